-- Keys for programs that act for somebody. A row that is gone is a key that was revoked.
CREATE TABLE api_keys (
    id           TEXT NOT NULL PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    -- SHA-256 of the key, which holds more randomness than anybody can try: no key of ours has to survive for it to be found.
    key_hash     TEXT NOT NULL UNIQUE,
    -- How it begins, for its owner to recognise it by.
    hint         TEXT NOT NULL,
    -- Names, sorted, with a space between them.
    scopes       TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    -- To the minute.
    last_used_at BIGINT,
    -- The key that was made in its place; it works until expires_at beside it.
    replaced_by  TEXT
);
CREATE INDEX api_keys_user_id ON api_keys (user_id, id);
CREATE INDEX api_keys_expires_at ON api_keys (expires_at);
