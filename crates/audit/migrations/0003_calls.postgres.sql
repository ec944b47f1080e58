-- Recorded calls, in batches; each has a link of the chain, whose details hold both Merkle roots. What is inside: docs/audit-calls.md.
CREATE TABLE audit_calls (
    -- The link's resource_id; in order of time. Compared byte by byte, whatever the database's language.
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    calls    BIGINT NOT NULL,
    -- Who called what: compressed records.
    records  BYTEA NOT NULL,
    -- Addresses and user agents, in the same order; NULL once they are erased.
    private  BYTEA
);
-- Compressed already.
ALTER TABLE audit_calls ALTER COLUMN records SET STORAGE EXTERNAL;
ALTER TABLE audit_calls ALTER COLUMN private SET STORAGE EXTERNAL;
CREATE INDEX audit_calls_last_at ON audit_calls (last_at);
CREATE INDEX audit_calls_personal ON audit_calls (last_at) WHERE private IS NOT NULL;

CREATE FUNCTION audit_calls_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT 1 FROM audit_entries JOIN audit_prunings ON audit_prunings.seq >= audit_entries.seq
            WHERE audit_entries.resource_id = OLD.id) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'audit: only calls that a signed pruning covers are deleted';
    END IF;
    IF (NEW.id, NEW.first_at, NEW.last_at, NEW.calls, NEW.records) IS NOT DISTINCT FROM (OLD.id, OLD.first_at, OLD.last_at, OLD.calls, OLD.records)
        AND NEW.private IS NULL
        -- A link says first up to which time, in microseconds.
        AND OLD.last_at < (SELECT CAST(resource_id AS BIGINT) FROM audit_entries WHERE action = 'audit.call.anonymised'
            ORDER BY seq DESC LIMIT 1) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit: recorded calls are never changed';
END $$;
CREATE TRIGGER audit_calls_stay BEFORE UPDATE OR DELETE ON audit_calls FOR EACH ROW EXECUTE FUNCTION audit_calls_stay();
CREATE TRIGGER audit_calls_are_not_emptied BEFORE TRUNCATE ON audit_calls FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
