-- Addresses that people want to have instead of theirs, until both mailboxes have said so. One for each account: asking again
-- voids what was asked before.
CREATE TABLE email_changes (
    user_id          TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    new_email        TEXT NOT NULL,
    -- The address and users.password_changed_at when it was asked for: another one of either voids it.
    old_email        TEXT NOT NULL,
    bound_to         BIGINT NOT NULL,
    -- The session that asked; it stays.
    session_id       TEXT NOT NULL,
    -- Keyed hashes of the tokens in the two mails. Where the new address belongs to somebody else, nobody is given its token.
    old_hash         TEXT NOT NULL UNIQUE,
    new_hash         TEXT NOT NULL UNIQUE,
    old_confirmed_at BIGINT,
    new_confirmed_at BIGINT,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL
);
CREATE INDEX email_changes_expires_at ON email_changes (expires_at);
