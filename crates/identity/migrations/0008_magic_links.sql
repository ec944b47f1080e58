-- Links that sign in without a password. One for each browser that asked: asking again voids the one before.
CREATE TABLE magic_links (
    -- Keyed hash of the cookie of the browser that asked: the link opens nothing in another one.
    browser_hash TEXT NOT NULL PRIMARY KEY,
    -- Keyed hashes of what the mail says: the token in the link, and the code for whoever reads the mail elsewhere.
    token_hash   TEXT NOT NULL UNIQUE,
    code_hash    TEXT NOT NULL,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Address and users.password_changed_at when it was asked for: another one of either voids it.
    email        TEXT NOT NULL,
    bound_to     BIGINT NOT NULL,
    -- Where its owner wanted to go.
    return_to    TEXT NOT NULL,
    -- Codes that were typed.
    tries        BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX magic_links_user_id ON magic_links (user_id);
CREATE INDEX magic_links_expires_at ON magic_links (expires_at);
