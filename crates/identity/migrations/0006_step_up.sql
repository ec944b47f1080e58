-- When its owner showed again that it is still them, in the middle of the session; NULL: not since signing in.
ALTER TABLE sessions ADD COLUMN proven_at BIGINT;
