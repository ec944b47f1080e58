-- subject, text and html are in `sealed`, which is empty once nobody needs them any more.
CREATE TABLE messages (
    id TEXT NOT NULL PRIMARY KEY,
    channel TEXT NOT NULL,
    recipient TEXT NOT NULL,
    locale TEXT NOT NULL,
    kind TEXT NOT NULL,
    sealed TEXT,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    claim TEXT,
    last_error TEXT,
    useful_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX messages_due ON messages (next_attempt_at) WHERE state = 'waiting';
CREATE INDEX messages_created_at ON messages (created_at);
