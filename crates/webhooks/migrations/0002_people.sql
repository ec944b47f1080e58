-- `body` is sealed from now on; rows from before hold JSON. It is empty once whom it was about is gone.
-- Whom the event is about.
ALTER TABLE webhook_events ADD COLUMN user_id TEXT;
CREATE INDEX webhook_events_user_id ON webhook_events (user_id) WHERE user_id IS NOT NULL;

-- People whose account is gone: what a late job tells of them is not written down any more.
CREATE TABLE webhook_forgotten (
    user_id TEXT NOT NULL PRIMARY KEY,
    forgotten_at BIGINT NOT NULL
);
CREATE INDEX webhook_forgotten_at ON webhook_forgotten (forgotten_at);

-- A delivery may also be `skipped`: no call was made, because the endpoint was disabled or the person is gone.
