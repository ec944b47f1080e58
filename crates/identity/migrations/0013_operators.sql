-- Since when the password does not sign in, until another one is chosen; NULL: it does.
ALTER TABLE users ADD COLUMN reset_required_at BIGINT;
