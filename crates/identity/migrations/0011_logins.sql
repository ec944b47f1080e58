-- Accounts elsewhere with which people sign in here.
CREATE TABLE logins (
    id           TEXT NOT NULL PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Its name in the configuration when it was connected.
    provider     TEXT NOT NULL,
    -- Who vouches, and what they call the person: never given to anybody else. Not the name in the configuration, which may come to mean
    -- another provider.
    issuer       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    -- The address or name they have there, so that their owner recognises it.
    label        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    UNIQUE (issuer, subject)
);
CREATE INDEX logins_user_id ON logins (user_id, created_at);
