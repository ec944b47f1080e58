-- How much work the hash is that another program made for this account; NULL for a hash of ours.
ALTER TABLE users ADD COLUMN password_scheme TEXT;
CREATE INDEX users_password_scheme ON users (password_scheme) WHERE password_scheme IS NOT NULL;
