-- The links of the chain, never changed. What each column means and how it goes into the hash: docs/audit.md.
CREATE TABLE audit_entries (
    -- 1, 2, 3 … without a gap.
    seq              BIGINT NOT NULL PRIMARY KEY,
    id               TEXT NOT NULL UNIQUE,
    -- 'entry', or 'batch': one link for many things kept elsewhere.
    kind             TEXT NOT NULL,
    at               BIGINT NOT NULL,
    action           TEXT NOT NULL,
    severity         TEXT NOT NULL,
    status           TEXT NOT NULL,
    actor_kind       TEXT NOT NULL,
    actor_id         TEXT,
    actor_session    TEXT,
    resource_kind    TEXT NOT NULL,
    resource_id      TEXT,
    request_id       TEXT,
    -- RFC 8785.
    details          TEXT NOT NULL,
    -- Over the personal fields below; NULL when there have never been any.
    personal         BYTEA,
    salt             TEXT,
    actor_name       TEXT,
    ip               TEXT,
    user_agent       TEXT,
    personal_details TEXT,
    -- The link that tells of the erasure of the personal fields.
    erased_by        BIGINT,
    -- Over everything above but the personal fields, and over the hash of the link before.
    hash             BYTEA NOT NULL
);
CREATE INDEX audit_entries_at ON audit_entries (at);
CREATE INDEX audit_entries_action ON audit_entries (action, seq);
CREATE INDEX audit_entries_actor_id ON audit_entries (actor_id, seq) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_entries_resource_id ON audit_entries (resource_id, seq) WHERE resource_id IS NOT NULL;
CREATE INDEX audit_entries_request_id ON audit_entries (request_id, seq) WHERE request_id IS NOT NULL;
CREATE INDEX audit_entries_ip ON audit_entries (ip, seq) WHERE ip IS NOT NULL;
CREATE INDEX audit_entries_unusual ON audit_entries (seq) WHERE status <> 'success' OR severity IN ('warning', 'alert');

-- One row: the end of the chain. Locked last in every transaction that adds to it.
CREATE TABLE audit_head (
    chain TEXT NOT NULL PRIMARY KEY,
    seq   BIGINT NOT NULL,
    hash  BYTEA NOT NULL
);

-- A link only ever follows the end, and moves it.
CREATE TRIGGER audit_entries_follow BEFORE INSERT ON audit_entries BEGIN
    SELECT RAISE(ABORT, 'audit: a link follows the end of the chain')
        WHERE NOT EXISTS (SELECT 1 FROM audit_head WHERE seq = NEW.seq - 1);
    UPDATE audit_head SET seq = NEW.seq, hash = NEW.hash;
END;
CREATE TRIGGER audit_head_moves BEFORE UPDATE ON audit_head BEGIN
    SELECT RAISE(ABORT, 'audit: the end of the chain moves on by one link at a time')
        WHERE NEW.chain <> OLD.chain OR NEW.seq <> OLD.seq + 1;
END;
CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_head BEGIN
    SELECT RAISE(ABORT, 'audit: the end of the chain stays');
END;
CREATE TRIGGER audit_head_is_one BEFORE INSERT ON audit_head BEGIN
    SELECT RAISE(ABORT, 'audit: there is one chain') WHERE EXISTS (SELECT 1 FROM audit_head);
END;
