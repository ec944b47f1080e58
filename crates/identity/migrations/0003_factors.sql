-- What somebody proves besides the password. A row that is not confirmed is an enrolment that has begun; it asks for nothing yet.
CREATE TABLE factors (
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- 'totp' or 'email'
    kind         TEXT NOT NULL,
    -- Sealed; 'totp' only.
    secret       TEXT,
    -- 'totp': the last step of time whose code was taken. No step is taken twice.
    last_step    BIGINT NOT NULL,
    confirmed_at BIGINT,
    last_used_at BIGINT,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (user_id, kind)
);

-- Codes on paper, each good once. A row that is gone was used.
CREATE TABLE recovery_codes (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Keyed hash over person and code.
    code_hash  TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);

-- Questions that are open: after the password of a sign-in, or while an address is made a factor. A row that is gone was
-- answered; one that was answered wrongly too often answers nobody any more.
CREATE TABLE challenges (
    -- Keyed hash of the token its owner holds.
    token_hash   TEXT NOT NULL PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- 'sign_in', 'enrol' (a sign-in that has to set up a factor first) or 'email' (somebody signed in sets it up)
    purpose      TEXT NOT NULL,
    -- The session that is wanted: 'cookie' or 'tokens'.
    session_kind TEXT NOT NULL,
    -- users.password_changed_at when the password was right: another one voids the question.
    bound_to     BIGINT NOT NULL,
    tries        BIGINT NOT NULL,
    -- The code that was sent last, as a keyed hash; earlier ones are void.
    code_hash    TEXT,
    code_sent_at BIGINT NOT NULL,
    sends        BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX challenges_user_id ON challenges (user_id, created_at);
CREATE INDEX challenges_expires_at ON challenges (expires_at);

-- Browsers that need no second factor for a while.
CREATE TABLE trusted_devices (
    id           TEXT NOT NULL PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Keyed hash of the cookie's value.
    token_hash   TEXT NOT NULL UNIQUE,
    user_agent   TEXT,
    ip           TEXT,
    -- When the factor was proven there.
    proved_at    BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX trusted_devices_user_id ON trusted_devices (user_id, last_used_at);
CREATE INDEX trusted_devices_expires_at ON trusted_devices (expires_at);

-- When a second factor was last proven for this session; NULL: never.
ALTER TABLE sessions ADD COLUMN factor_at BIGINT;
