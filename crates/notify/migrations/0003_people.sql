-- Whom a message is for, where that is somebody with an account: it goes with them.
ALTER TABLE messages ADD COLUMN user_id TEXT;
CREATE INDEX messages_user_id ON messages (user_id) WHERE user_id IS NOT NULL;

-- From now on `address` is a keyed hash (`h1.…`); `notify.sweep` makes one of what stands there in clear. What an operator is shown of it,
-- and whom it belonged to:
ALTER TABLE suppressions ADD COLUMN shown TEXT;
ALTER TABLE suppressions ADD COLUMN user_id TEXT;
CREATE INDEX suppressions_user_id ON suppressions (user_id) WHERE user_id IS NOT NULL;

-- How long the first of those has waited that are still to be sent.
CREATE INDEX messages_waiting ON messages (channel, next_attempt_at) WHERE state IN ('waiting', 'queued');
