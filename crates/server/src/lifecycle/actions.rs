//! What the server itself records.

baluarte_audit::actions! {
    STARTED = "server.process.started", Info, "A process began to serve; `after_unclean_stop` tells that its predecessor never said it stopped.";
    STOPPED = "server.process.stopped", Info, "A process stopped in order; `finished` is false where background work was given up.";
    LOST = "server.process.lost", Warning, "A process ended without saying so: it was killed, or its machine was.";
    RELOADED = "server.configuration.reloaded", Notice, "A new configuration was taken over while serving; the details name the keys, never their values.";
    REFUSED = "server.configuration.refused", Warning, "A new configuration was not taken over; the running one stays.";
    MIGRATED = "server.schema.migrated", Notice, "The tables were brought up to date.";
}
