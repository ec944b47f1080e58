-- Browsers in which somebody signed in before: each has attempts of its own, so that whoever fails elsewhere does not keep its owner out.
CREATE TABLE known_devices (
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Keyed hash of the cookie's value; one browser may be known to several people.
    token_hash   TEXT NOT NULL,
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, token_hash)
);
CREATE INDEX known_devices_last_used_at ON known_devices (last_used_at);

-- What somebody should know of their account: a refresh token was used twice.
CREATE TABLE alerts (
    id         TEXT NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    user_agent TEXT,
    ip         TEXT,
    at         BIGINT NOT NULL
);
CREATE INDEX alerts_user_id ON alerts (user_id, at);
CREATE INDEX alerts_at ON alerts (at);
