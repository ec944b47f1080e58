"""A Flask app behind Baluarte: it reads who is calling, and verifies it where that matters.

    BALUARTE_URL=https://shop.example.com UPSTREAM=shop flask --app app run

Baluarte removes `Remote-*` and `X-Baluarte-Identity` from what clients send and sets them itself, so an app that only
Baluarte can reach may simply believe the headers (`/hello`). An app that others on the network can reach too verifies
the signed identity (`/account`).
"""

import os

import jwt
from flask import Flask, abort, jsonify, request

# What Baluarte calls itself (`server.public_url`), and what its configuration calls this app
# (`[gateway.upstreams.NAME]`): a token for another app of yours is not good for this one.
ISSUER = os.environ["BALUARTE_URL"]
AUDIENCE = os.environ["UPSTREAM"]

# Fetched once and kept; asked for again when a token names a key that is not among them.
keys = jwt.PyJWKClient(f"{ISSUER}/.well-known/jwks.json", cache_keys=True, lifespan=300, timeout=5)

app = Flask(__name__)


def verified_identity() -> dict:
    """The claims of X-Baluarte-Identity, or 401: `sub`, `email`, `name`, `role`, `plan`."""
    token = request.headers.get("X-Baluarte-Identity", "")
    try:
        if jwt.get_unverified_header(token).get("typ") != "baluarte-identity+jwt":
            abort(401)
        key = keys.get_signing_key_from_jwt(token)
        return jwt.decode(
            token,
            key.key,
            algorithms=["EdDSA"],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={"require": ["exp", "iat", "sub"]},
        )
    except jwt.PyJWTError:
        abort(401)


@app.get("/hello")
def hello():
    user = request.headers.get("Remote-User")
    if not user:
        return "Hello, stranger.\n"
    groups = request.headers.get("Remote-Groups", "")
    return f"Hello, {request.headers.get('Remote-Email')} ({groups}).\n"


@app.get("/account")
def account():
    identity = verified_identity()
    return jsonify(user=identity["sub"], email=identity["email"], role=identity["role"], plan=identity["plan"])


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
