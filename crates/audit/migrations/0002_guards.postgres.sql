-- Keys that sign checkpoints. Each is endorsed by the one before, the first by itself.
CREATE TABLE audit_keys (
    -- SHA-256 of the public key, in hexadecimal.
    kid         TEXT NOT NULL PRIMARY KEY,
    -- One row for each number: of two replicas that make the next key at once, one wins.
    generation  BIGINT NOT NULL UNIQUE,
    -- Ed25519, 32 bytes in hexadecimal.
    public_key  TEXT NOT NULL,
    -- PKCS#8, sealed.
    private_key TEXT NOT NULL,
    at          BIGINT NOT NULL,
    endorsed_by TEXT NOT NULL,
    signature   TEXT NOT NULL
);

-- Signed: at this time the chain ended here. Kept for ever.
CREATE TABLE audit_checkpoints (
    seq       BIGINT NOT NULL PRIMARY KEY,
    hash      BYTEA NOT NULL,
    at        BIGINT NOT NULL,
    kid       TEXT NOT NULL,
    signature TEXT NOT NULL
);

-- Signed: the links up to here were removed because of their age. Only these may be deleted; what is left follows the hash.
CREATE TABLE audit_prunings (
    seq       BIGINT NOT NULL PRIMARY KEY,
    hash      BYTEA NOT NULL,
    at        BIGINT NOT NULL,
    kid       TEXT NOT NULL,
    signature TEXT NOT NULL
);

-- People whose personal fields are to be taken out of the links up to `seq`, which tells of it.
CREATE TABLE audit_erasures (
    seq     BIGINT NOT NULL PRIMARY KEY,
    subject TEXT NOT NULL,
    at      BIGINT NOT NULL,
    done_at BIGINT
);
CREATE INDEX audit_erasures_open ON audit_erasures (seq) WHERE done_at IS NULL;

-- How far each place outside has been sent checkpoints.
CREATE TABLE audit_anchors (
    place           TEXT NOT NULL PRIMARY KEY,
    -- The last checkpoint that arrived.
    seq             BIGINT NOT NULL,
    arrived_at      BIGINT,
    failures        BIGINT NOT NULL,
    last_error      TEXT,
    next_attempt_at BIGINT NOT NULL
);

-- What the last check of the whole chain found; one row.
CREATE TABLE audit_checks (
    id         BIGINT NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL,
    through    BIGINT NOT NULL,
    entries    BIGINT NOT NULL,
    took_ms    BIGINT NOT NULL,
    -- NULL: the chain holds.
    broken_seq BIGINT,
    broken     TEXT
);

-- Append-only. A link is only ever stripped of its personal fields, by a link that says whose; and only those are deleted that a
-- signed pruning covers.
CREATE FUNCTION audit_entries_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT 1 FROM audit_prunings WHERE seq >= OLD.seq) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'audit: only links that a signed pruning covers are deleted';
    END IF;
    IF (NEW.seq, NEW.id, NEW.kind, NEW.at, NEW.action, NEW.severity, NEW.status, NEW.actor_kind, NEW.actor_id, NEW.actor_session,
            NEW.resource_kind, NEW.resource_id, NEW.request_id, NEW.details, NEW.personal, NEW.hash)
        IS NOT DISTINCT FROM (OLD.seq, OLD.id, OLD.kind, OLD.at, OLD.action, OLD.severity, OLD.status, OLD.actor_kind, OLD.actor_id,
            OLD.actor_session, OLD.resource_kind, OLD.resource_id, OLD.request_id, OLD.details, OLD.personal, OLD.hash)
        AND OLD.erased_by IS NULL AND NEW.salt IS NULL AND NEW.actor_name IS NULL AND NEW.ip IS NULL AND NEW.user_agent IS NULL
        AND NEW.personal_details IS NULL
        AND EXISTS (SELECT 1 FROM audit_entries AS said WHERE said.seq = NEW.erased_by AND said.seq >= OLD.seq
            AND said.action = 'audit.person.erased' AND said.resource_id IN (OLD.actor_id, OLD.resource_id)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit: a link is never changed';
END $$;
CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE ON audit_entries FOR EACH ROW EXECUTE FUNCTION audit_entries_stay();

CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit: % is never changed and nothing is deleted from it', TG_TABLE_NAME;
END $$;
CREATE TRIGGER audit_entries_are_not_emptied BEFORE TRUNCATE ON audit_entries FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_checkpoints_stay BEFORE UPDATE OR DELETE ON audit_checkpoints FOR EACH ROW EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_checkpoints_are_not_emptied BEFORE TRUNCATE ON audit_checkpoints FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_prunings_stay BEFORE UPDATE OR DELETE ON audit_prunings FOR EACH ROW EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_prunings_are_not_emptied BEFORE TRUNCATE ON audit_prunings FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_keys_stay BEFORE UPDATE OR DELETE ON audit_keys FOR EACH ROW EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_keys_are_not_emptied BEFORE TRUNCATE ON audit_keys FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();
