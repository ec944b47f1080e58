-- Keys that live in people's devices. Whoever has one also has a row of the kind 'passkey' in factors.
CREATE TABLE passkeys (
    id              TEXT NOT NULL PRIMARY KEY,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- As the authenticator calls it, base64url; nobody brings one that somebody else has.
    credential_id   TEXT NOT NULL UNIQUE,
    -- COSE, base64url.
    public_key      TEXT NOT NULL,
    -- The count of the last signature; 0 for those that do not count.
    sign_count      BIGINT NOT NULL,
    -- It may be copied to other devices of its owner, and has been: 0 or 1.
    backup_eligible BIGINT NOT NULL,
    backed_up       BIGINT NOT NULL,
    -- Hints for browsers, with spaces between them.
    transports      TEXT NOT NULL,
    name            TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    last_used_at    BIGINT
);
CREATE INDEX passkeys_user_id ON passkeys (user_id, created_at);

-- Challenges that were answered: a row here is what makes a second use impossible. By a keyed hash.
CREATE TABLE used_challenges (
    hash       TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_challenges_expires_at ON used_challenges (expires_at);
