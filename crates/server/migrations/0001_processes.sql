-- Serving processes that have not said goodbye. One that is gone and still here was killed.
CREATE TABLE server_processes (
    id         TEXT NOT NULL PRIMARY KEY,
    host       TEXT NOT NULL,
    -- Within what numbers of processes mean anything: a boot of a machine, and a container on it.
    scope      TEXT NOT NULL,
    pid        BIGINT NOT NULL,
    roles      TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
