-- Recorded calls, in batches; each has a link of the chain, whose details hold both Merkle roots. What is inside: docs/audit-calls.md.
CREATE TABLE audit_calls (
    -- The link's resource_id; in order of time.
    id       TEXT NOT NULL PRIMARY KEY,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    calls    BIGINT NOT NULL,
    -- Who called what: compressed records.
    records  BYTEA NOT NULL,
    -- Addresses and user agents, in the same order; NULL once they are erased.
    private  BYTEA
);
CREATE INDEX audit_calls_last_at ON audit_calls (last_at);
CREATE INDEX audit_calls_personal ON audit_calls (last_at) WHERE private IS NOT NULL;

CREATE TRIGGER audit_calls_stay_as_they_are BEFORE UPDATE ON audit_calls BEGIN
    SELECT RAISE(ABORT, 'audit: recorded calls are never changed')
        -- A link says first up to which time, in microseconds.
        WHERE NOT coalesce(NEW.id IS OLD.id AND NEW.first_at IS OLD.first_at AND NEW.last_at IS OLD.last_at AND NEW.calls IS OLD.calls
            AND NEW.records IS OLD.records AND NEW.private IS NULL
            AND OLD.last_at < (SELECT CAST(resource_id AS BIGINT) FROM audit_entries WHERE action = 'audit.call.anonymised'
                ORDER BY seq DESC LIMIT 1), FALSE);
END;
CREATE TRIGGER audit_calls_stay BEFORE DELETE ON audit_calls BEGIN
    SELECT RAISE(ABORT, 'audit: only calls that a signed pruning covers are deleted')
        WHERE NOT EXISTS (SELECT 1 FROM audit_entries JOIN audit_prunings ON audit_prunings.seq >= audit_entries.seq
            WHERE audit_entries.resource_id = OLD.id);
END;
