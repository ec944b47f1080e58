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
CREATE TRIGGER audit_entries_stay_as_they_are BEFORE UPDATE ON audit_entries BEGIN
    SELECT RAISE(ABORT, 'audit: a link is never changed')
        WHERE NOT (NEW.seq IS OLD.seq AND NEW.id IS OLD.id AND NEW.kind IS OLD.kind AND NEW.at IS OLD.at AND NEW.action IS OLD.action
            AND NEW.severity IS OLD.severity AND NEW.status IS OLD.status AND NEW.actor_kind IS OLD.actor_kind
            AND NEW.actor_id IS OLD.actor_id AND NEW.actor_session IS OLD.actor_session AND NEW.resource_kind IS OLD.resource_kind
            AND NEW.resource_id IS OLD.resource_id AND NEW.request_id IS OLD.request_id AND NEW.details IS OLD.details
            AND NEW.personal IS OLD.personal AND NEW.hash IS OLD.hash
            AND OLD.erased_by IS NULL AND NEW.salt IS NULL AND NEW.actor_name IS NULL AND NEW.ip IS NULL AND NEW.user_agent IS NULL
            AND NEW.personal_details IS NULL
            AND EXISTS (SELECT 1 FROM audit_entries AS said WHERE said.seq = NEW.erased_by AND said.seq >= OLD.seq
                AND said.action = 'audit.person.erased' AND said.resource_id IN (OLD.actor_id, OLD.resource_id)));
END;
CREATE TRIGGER audit_entries_stay BEFORE DELETE ON audit_entries BEGIN
    SELECT RAISE(ABORT, 'audit: only links that a signed pruning covers are deleted')
        WHERE NOT EXISTS (SELECT 1 FROM audit_prunings WHERE seq >= OLD.seq);
END;
CREATE TRIGGER audit_checkpoints_stay_as_they_are BEFORE UPDATE ON audit_checkpoints BEGIN
    SELECT RAISE(ABORT, 'audit: a checkpoint is never changed');
END;
CREATE TRIGGER audit_checkpoints_stay BEFORE DELETE ON audit_checkpoints BEGIN
    SELECT RAISE(ABORT, 'audit: a checkpoint is never deleted');
END;
CREATE TRIGGER audit_prunings_stay_as_they_are BEFORE UPDATE ON audit_prunings BEGIN
    SELECT RAISE(ABORT, 'audit: a pruning is never changed');
END;
CREATE TRIGGER audit_prunings_stay BEFORE DELETE ON audit_prunings BEGIN
    SELECT RAISE(ABORT, 'audit: a pruning is never deleted');
END;
CREATE TRIGGER audit_keys_stay_as_they_are BEFORE UPDATE ON audit_keys BEGIN
    SELECT RAISE(ABORT, 'audit: a key is never changed');
END;
CREATE TRIGGER audit_keys_stay BEFORE DELETE ON audit_keys BEGIN
    SELECT RAISE(ABORT, 'audit: a key is never deleted');
END;
