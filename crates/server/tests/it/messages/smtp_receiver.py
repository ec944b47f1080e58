"""A mail server that wants a password, and prints each mail it takes as a line of JSON: `PORT`, or `PORT FOLDER` for one that speaks
TLS and writes `ca.pem` there.

What the recipient is called says what goes wrong, the first time: `busy` (for now), `nobody` (no such mailbox), `unwelcome` (after the
mail was read), `drop` (the line breaks within the mail), `lost` (the line breaks after it was taken).
"""

import email
import email.policy
import json
import ssl
import sys
import time
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, syntax

seen = set()


def tell(what):
    print(json.dumps(what), flush=True)


def mishap(envelope, name):
    """Is it time for this one? Each recipient has its own once."""
    found = [to for to in envelope.rcpt_tos if to.startswith(name) and to not in seen]
    seen.update(found)
    return bool(found)


class Printer:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such mailbox here"
        if address.startswith("busy") and address not in seen:
            seen.add(address)
            return "451 4.3.2 busy, come back later"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        if any(to.startswith("unwelcome") for to in envelope.rcpt_tos):
            return "554 5.6.0 nobody wants this"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
        headers = {name.lower(): str(value) for name, value in mail.items()}
        tls = session.ssl is not None
        tell({"from": envelope.mail_from, "to": envelope.rcpt_tos, "headers": headers, "parts": parts, "tls": tls})
        if mishap(envelope, "lost"):
            server.transport.abort()
        return "250 taken"


class Server(SMTP):
    @syntax("DATA")
    async def smtp_DATA(self, arg):
        if self.envelope and mishap(self.envelope, "drop"):
            await self.push("354 go on")
            self.transport.abort()
            return
        await super().smtp_DATA(arg)


class Here(Controller):
    def factory(self):
        return Server(self.handler, **self.SMTP_kwargs)


def authenticator(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"shop", b"s3cret pass")
    tell({"password": "right" if right else "wrong"})
    return AuthResult(success=right, handled=False)


def certificate(folder):
    """For 127.0.0.1, of an authority that only this server has."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def made(name, key, issuer, issuer_key, is_authority):
        now = datetime.datetime.now(datetime.timezone.utc)
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        return builder.add_extension(here, critical=False).sign(issuer_key, hashes.SHA256())

    def named(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = made(named("authority"), authority_key, named("authority"), authority_key, True)
    leaf = made(named("mail"), key, named("authority"), authority_key, False)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "mail.pem").write_bytes(leaf.public_bytes(pem) + secret)
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "mail.pem")
    return context


options = {"auth_required": True, "auth_require_tls": False}
if len(sys.argv) > 2:
    options = {"auth_required": True, "require_starttls": True, "tls_context": certificate(Path(sys.argv[2]))}
controller = Here(Printer(), hostname="127.0.0.1", port=int(sys.argv[1]), authenticator=authenticator, **options)
controller.start()
while True:
    time.sleep(60)
