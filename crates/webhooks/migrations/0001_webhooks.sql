CREATE TABLE webhook_endpoints (
    id TEXT NOT NULL PRIMARY KEY,
    -- Sealed: an address may hold a token.
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    -- JSON list of names; empty: every event.
    events TEXT NOT NULL,
    -- Sealed, and the one before it until that moment.
    secret TEXT NOT NULL,
    previous_secret TEXT,
    previous_until BIGINT,
    enabled BOOLEAN NOT NULL,
    -- `operator`, `gone` or `failing`.
    disabled_reason TEXT,
    disabled_at BIGINT,
    -- Since the last success; absent while it answers.
    failing_since BIGINT,
    failures BIGINT NOT NULL,
    last_success_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- What is sent, as it is sent.
CREATE TABLE webhook_events (
    id TEXT NOT NULL PRIMARY KEY,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX webhook_events_created_at ON webhook_events (created_at);

-- One event to one endpoint: `waiting`, `delivered` or `failed`.
CREATE TABLE webhook_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    event_id TEXT NOT NULL REFERENCES webhook_events (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    -- How often it was started again: a job of an earlier start makes no further call.
    generation BIGINT NOT NULL,
    -- The job that makes the calls, or made them last.
    job_id TEXT,
    attempts BIGINT NOT NULL,
    status BIGINT,
    error TEXT,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    UNIQUE (endpoint_id, event_id)
);
CREATE INDEX webhook_deliveries_event_id ON webhook_deliveries (event_id);
