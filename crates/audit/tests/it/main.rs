//! What the audit log promises, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod record;

baluarte_audit::actions! {
    TRIED = "test.thing.tried", Info, "A thing was tried.";
    BROKEN = "test.thing.broken", Warning, "A thing broke.";
}
