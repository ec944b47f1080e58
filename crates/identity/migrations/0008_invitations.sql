-- Links with which somebody may create an account.
CREATE TABLE invitations (
    id         TEXT NOT NULL PRIMARY KEY,
    -- Whose address it was sent to; NULL: whoever holds the link.
    email      TEXT,
    role       TEXT NOT NULL,
    -- Keyed hash of the token in the link.
    token_hash TEXT NOT NULL UNIQUE,
    max_uses   BIGINT NOT NULL,
    uses       BIGINT NOT NULL,
    -- Of one that was sent to an address: the account that it makes, so that the mail and this row go with it.
    user_id    TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX invitations_email ON invitations (email);
CREATE INDEX invitations_user_id ON invitations (user_id);
CREATE INDEX invitations_expires_at ON invitations (expires_at);

-- What somebody who was invited is to be; NULL: an ordinary user.
ALTER TABLE registrations ADD COLUMN role TEXT;
