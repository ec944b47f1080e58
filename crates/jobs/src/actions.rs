//! What operators do with the queue.

baluarte_audit::actions! {
    RETRIED = "jobs.job.retried", Info, "Somebody had a job tried again.";
    EDITED = "jobs.job.edited", Notice, "Somebody changed what a job is to do, and had it tried again.";
    CANCELED = "jobs.job.canceled", Info, "Somebody canceled a job.";
    BULK_RETRIED = "jobs.queue.retried", Notice, "Somebody had many jobs tried again.";
    SCHEDULE_RUN = "jobs.schedule.run", Info, "Somebody started a run of a schedule by hand.";
}
