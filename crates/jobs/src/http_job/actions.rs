//! What is recorded of HTTP jobs.

baluarte_audit::actions! {
    ENQUEUED = "jobs.http_job.enqueued", Info, "Somebody asked for an address to be called.";
    CANCELED = "jobs.http_job.canceled", Info, "Somebody took a job back that calls an address.";
}
