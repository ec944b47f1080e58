-- How the code that was sent last went: 'email' or 'sms'. NULL is 'email', from before there was another way.
ALTER TABLE challenges ADD COLUMN code_channel TEXT;
-- Sealed: the telephone number that becomes a factor with the code that was sent there.
ALTER TABLE challenges ADD COLUMN phone TEXT;
