-- A job is `scheduled` (due later), `ready`, `running`, and in the end `done`, `dead` or `canceled`.
CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    -- Jobs of one lane are taken in order. Kinds that limit how many run at once have a lane of their own, all others share ''.
    lane TEXT NOT NULL,
    state TEXT NOT NULL,
    -- Smaller goes first.
    priority BIGINT NOT NULL,
    run_at BIGINT NOT NULL,
    -- JSON, or what `secrets` made of it.
    payload TEXT NOT NULL,
    sealed BOOLEAN NOT NULL,
    -- Runs that were begun, the present one included.
    attempts BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    -- Nobody wants it any more after that.
    expires_at BIGINT,
    unique_key TEXT,
    -- ',a,b,' or ''.
    tags TEXT NOT NULL,
    -- The request that caused it.
    request_id TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    -- Who runs it, or ran it last. A worker never comes back under the same identifier.
    worker TEXT,
    cancel_requested BOOLEAN NOT NULL,
    progress TEXT,
    error TEXT
);
-- Small, because each holds the rows of one state only: what was done long ago slows nobody down.
CREATE INDEX jobs_ready ON jobs (lane, priority, run_at, id) WHERE state = 'ready';
CREATE INDEX jobs_scheduled ON jobs (run_at) WHERE state = 'scheduled';
CREATE INDEX jobs_running ON jobs (worker) WHERE state = 'running';
CREATE INDEX jobs_done ON jobs (finished_at) WHERE state = 'done';
CREATE INDEX jobs_buried ON jobs (finished_at) WHERE state IN ('dead', 'canceled');
CREATE UNIQUE INDEX jobs_kind_unique_key ON jobs (kind, unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('scheduled', 'ready', 'running');

-- Why attempts failed.
CREATE TABLE job_errors (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    at BIGINT NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (job_id, attempt)
);

-- A worker is alive as long as it says so; one that fell silent is lost, and its jobs go to others.
CREATE TABLE workers (
    id TEXT NOT NULL PRIMARY KEY,
    -- Host and process.
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    concurrency BIGINT NOT NULL,
    running BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    stopping BOOLEAN NOT NULL,
    lost_at BIGINT
);

CREATE TABLE schedules (
    name TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    cron TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    -- Whoever moves it on starts the job.
    next_at BIGINT NOT NULL,
    last_at BIGINT,
    last_job TEXT,
    last_outcome TEXT,
    -- Runs that did not happen in their time, and when the latest of them was noticed.
    missed BIGINT NOT NULL,
    missed_at BIGINT
);
