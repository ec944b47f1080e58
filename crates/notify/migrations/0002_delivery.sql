-- `queued`, `sent`, `delivered`, `bounced`, `failed`, `expired`, `suppressed` or `refused`. `waiting` is how the version before
-- called what no job delivers yet; `notify.sweep` makes such rows `queued`.
ALTER TABLE messages ADD COLUMN provider TEXT;
-- The provider's own name for it.
ALTER TABLE messages ADD COLUMN provider_reference TEXT;
-- It was handed over and nobody knows the outcome yet.
ALTER TABLE messages ADD COLUMN trying_since BIGINT;
-- It has been counted in the budgets of text messages.
ALTER TABLE messages ADD COLUMN counted BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE messages ADD COLUMN ended_at BIGINT;
CREATE INDEX messages_queued ON messages (useful_until) WHERE state IN ('waiting', 'queued');
CREATE INDEX messages_sealed ON messages (useful_until) WHERE sealed IS NOT NULL;

-- Nothing is sent to these until they expire or an operator takes them out.
CREATE TABLE suppressions (
    id TEXT NOT NULL PRIMARY KEY,
    channel TEXT NOT NULL,
    -- Small letters; numbers in the international form.
    address TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    UNIQUE (channel, address)
);
CREATE INDEX suppressions_expires_at ON suppressions (expires_at);

-- Text messages in fixed windows: what a budget is measured by.
CREATE TABLE sms_spendings (
    -- `total`, `country:PT`, or a keyed hash of a number or of a block of numbers.
    bucket TEXT NOT NULL,
    -- The window: how long it is and when it began.
    span BIGINT NOT NULL,
    began_at BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    -- Millionths of the operator's currency.
    cost BIGINT NOT NULL,
    PRIMARY KEY (bucket, span, began_at)
);
CREATE INDEX sms_spendings_began_at ON sms_spendings (began_at);
