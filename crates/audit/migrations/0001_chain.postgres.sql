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
CREATE UNIQUE INDEX audit_head_is_one ON audit_head ((true));

-- Links only ever follow the end, and move it: once for all links of a statement.
CREATE FUNCTION audit_entries_follow() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    first BIGINT;
    last BIGINT;
    added BIGINT;
BEGIN
    SELECT min(seq), max(seq), count(*) INTO first, last, added FROM links;
    IF added = 0 THEN
        RETURN NULL;
    END IF;
    IF last - first + 1 = added THEN
        UPDATE audit_head SET seq = last, hash = (SELECT hash FROM links WHERE seq = last) WHERE seq = first - 1;
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit: a link follows the end of the chain';
END $$;
CREATE TRIGGER audit_entries_follow AFTER INSERT ON audit_entries REFERENCING NEW TABLE AS links
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_follow();

CREATE FUNCTION audit_head_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.chain = OLD.chain AND NEW.seq > OLD.seq
            AND EXISTS (SELECT 1 FROM audit_entries WHERE seq = NEW.seq AND hash = NEW.hash) THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'audit: the end of the chain moves on to its links only';
    END IF;
    RAISE EXCEPTION 'audit: the end of the chain stays';
END $$;
CREATE TRIGGER audit_head_moves BEFORE UPDATE OR DELETE ON audit_head FOR EACH ROW EXECUTE FUNCTION audit_head_moves();
CREATE TRIGGER audit_head_is_not_emptied BEFORE TRUNCATE ON audit_head FOR EACH STATEMENT EXECUTE FUNCTION audit_head_moves();
