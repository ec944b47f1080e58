-- Registrations that were answered and wait for their mail, where addresses have to be confirmed: the answer takes as
-- long whether or not the address has an account, and is not lost. Gone a moment later.
CREATE TABLE registrations (
    id            TEXT NOT NULL PRIMARY KEY,
    email         TEXT NOT NULL,
    name          TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    locale        TEXT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE INDEX registrations_created_at ON registrations (created_at);
