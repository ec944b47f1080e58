-- What a list may show of a job that calls an address: the request itself is in the sealed payload.
CREATE TABLE http_jobs (
    job_id TEXT NOT NULL PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    -- Who asked for it; a schedule has nobody.
    owner TEXT,
    method TEXT NOT NULL,
    target TEXT NOT NULL
);
CREATE INDEX http_jobs_owner ON http_jobs (owner, job_id);

-- The calls that were made for a job: what the receiver said, redacted.
CREATE TABLE http_calls (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    began_at BIGINT NOT NULL,
    took_us BIGINT NOT NULL,
    -- Absent when there was no answer.
    status BIGINT,
    answer TEXT NOT NULL,
    error TEXT,
    PRIMARY KEY (job_id, attempt)
);
