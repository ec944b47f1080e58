"""A mail server that wants a password, and prints each mail it takes as a line of JSON."""

import email
import email.policy
import json
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


class Printer:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
        headers = {name.lower(): str(value) for name, value in mail.items()}
        told = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "headers": headers, "parts": parts}
        print(json.dumps(told), flush=True)
        return "250 taken"


def authenticator(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"shop", b"s3cret pass")
    return AuthResult(success=right, handled=False)


controller = Controller(
    Printer(),
    hostname="127.0.0.1",
    port=int(sys.argv[1]),
    authenticator=authenticator,
    auth_required=True,
    auth_require_tls=False,
)
controller.start()
while True:
    time.sleep(60)
