-- People who may sign in.
CREATE TABLE users (
    id                  TEXT NOT NULL PRIMARY KEY,
    -- Lower case, NFC.
    email               TEXT NOT NULL UNIQUE,
    email_verified_at   BIGINT,
    name                TEXT NOT NULL,
    -- The name as people search for it: lower case, NFC.
    name_folded         TEXT NOT NULL,
    role                TEXT NOT NULL,
    locale              TEXT NOT NULL,
    -- PHC string; NULL until a password is chosen.
    password_hash       TEXT,
    -- Moves with every change of the password; links to choose a new one are bound to it.
    password_changed_at BIGINT NOT NULL,
    -- Counts up when everything this person holds is revoked at once.
    epoch               BIGINT NOT NULL,
    disabled_at         BIGINT,
    last_sign_in_at     BIGINT,
    created_at          BIGINT NOT NULL
);
CREATE INDEX users_name_folded ON users (name_folded, id);

-- Signed-in devices. A row that is gone is a session that ended.
CREATE TABLE sessions (
    id             TEXT NOT NULL PRIMARY KEY,
    user_id        TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- 'cookie' or 'tokens'.
    kind           TEXT NOT NULL,
    -- Cookie sessions: keyed hash of the cookie's value.
    cookie_hash    TEXT UNIQUE,
    -- Token sessions: goes into every refresh token of this session, so that SECRET_KEY alone cannot make one.
    refresh_salt   TEXT,
    -- Token sessions: the number of the only refresh token that may be used, and since when.
    refresh_seq    BIGINT NOT NULL,
    refreshed_at   BIGINT NOT NULL,
    user_agent     TEXT,
    ip             TEXT,
    created_at     BIGINT NOT NULL,
    last_seen_at   BIGINT NOT NULL,
    -- The end, however busy the session is.
    expires_at     BIGINT NOT NULL
);
CREATE INDEX sessions_user_id ON sessions (user_id, created_at);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- Keys that sign tokens. Which one signs follows from the times alone, so that replicas agree without talking.
CREATE TABLE signing_keys (
    kid         TEXT NOT NULL PRIMARY KEY,
    -- One row for each number: of two replicas that make the next key at once, one wins.
    generation  BIGINT NOT NULL UNIQUE,
    public_key  TEXT NOT NULL,
    -- Sealed.
    private_key TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    -- Signs from here until the next generation's active_from.
    active_from BIGINT NOT NULL
);

-- What was revoked lately, for replicas that missed the hint. Rows go once every token they concern has expired.
CREATE TABLE revocations (
    -- ses_… or usr_…
    subject    TEXT NOT NULL PRIMARY KEY,
    -- For people: credentials of an earlier epoch are void.
    epoch      BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX revocations_revoked_at ON revocations (revoked_at);
CREATE INDEX revocations_expires_at ON revocations (expires_at);

-- Links in mails: work once. Deleted when used.
CREATE TABLE links (
    token_hash TEXT NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- 'verify_email' or 'choose_password'
    purpose    TEXT NOT NULL,
    -- users.password_changed_at when the link was made.
    bound_to   BIGINT NOT NULL,
    -- For 'verify_email': name and password hash of the registration it was sent for, as JSON.
    payload    TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX links_user_id ON links (user_id, purpose);
CREATE INDEX links_expires_at ON links (expires_at);

-- Failures to sign in, and mails asked for: what throttles, across restarts and replicas.
CREATE TABLE throttles (
    -- Keyed hash of what is counted, so that addresses without an account are not collected here.
    key           TEXT NOT NULL PRIMARY KEY,
    count         BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL
);
CREATE INDEX throttles_expires_at ON throttles (expires_at);

-- Networks from which somebody signed in before: failures from elsewhere do not lock them out there.
CREATE TABLE sign_in_places (
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- /24 or /64
    network      TEXT NOT NULL,
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, network)
);
CREATE INDEX sign_in_places_last_used_at ON sign_in_places (last_used_at);
