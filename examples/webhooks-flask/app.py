"""A Flask app that receives Baluarte's webhooks and jobs, and believes only those that Baluarte signed.

    WEBHOOK_SECRET=whsec_… flask --app app run

The secret is the one that was shown when the endpoint was registered (webhooks), or what `baluarte secret signing NAME` prints
(jobs). Calls arrive at least once and in any order: recognise a repetition by its `webhook-id`, and answer quickly.
"""

import os

from flask import Flask, abort, jsonify, request
from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
app = Flask(__name__)

# In a real app: a unique column, written in the transaction that does the work.
done: set[str] = set()


@app.post("/webhooks")
def receive():
    try:
        # The bytes as they came: JSON that was read and written again is not what was signed. Older than five minutes
        # is refused, too.
        event = webhook.verify(request.get_data(), dict(request.headers))
    except WebhookVerificationError:
        abort(401)
    if request.headers["webhook-id"] not in done:
        done.add(request.headers["webhook-id"])
        app.logger.info("received %s", event.get("type"))
    # Any 2xx: Baluarte does not send it again. Anything else, or no answer in time: it does.
    return "", 204


@app.get("/webhooks")
def count():
    return jsonify(sorted(done))


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "9000")))
