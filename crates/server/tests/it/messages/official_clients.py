"""What the providers' own clients say: `twilio URL TOKEN JSON` prints the signature, `sendgrid KEY TIMESTAMP SIGNATURE BODY` whether it holds."""

import json
import sys

if sys.argv[1] == "twilio":
    from twilio.request_validator import RequestValidator

    url, token, parameters = sys.argv[2:5]
    print(RequestValidator(token).compute_signature(url, json.loads(parameters)), end="")
else:
    from sendgrid.helpers.eventwebhook import EventWebhook

    key, timestamp, signature, body = sys.argv[2:6]
    webhook = EventWebhook()
    public_key = webhook.convert_public_key_to_ecdsa(key)
    print(webhook.verify_signature(body, signature, timestamp, public_key), end="")
