//! Work that is done again and again, as plain data: floors that know no queue hand it out, `jobs` runs it.

use std::{fmt, sync::Arc, time::Duration};

use crate::{BoxFuture, Ctx};

/// What a piece of periodic work can come back with: it is tried again, with growing pauses.
pub type WorkError = Box<dyn std::error::Error + Send + Sync>;

type Deed = dyn Fn(Ctx) -> BoxFuture<'static, Result<(), WorkError>> + Send + Sync;

/// A task with a timetable. Of all replicas one runs it each time, and never two runs of it at once.
#[derive(Clone)]
pub struct Periodic {
    /// Component and imperative, `audit.prune`: names the schedule and its jobs, so it stays what it is.
    pub name: &'static str,
    /// Five fields of cron, `0 3 * * *`, or six with seconds first.
    pub cron: String,
    /// A name of the IANA time zone database, such as `America/Sao_Paulo`. `UTC` unless told.
    pub time_zone: String,
    /// A run that takes longer has failed. Ten minutes unless told.
    pub time_limit: Duration,
    deed: Arc<Deed>,
}

impl Periodic {
    pub fn new<F>(name: &'static str, cron: impl Into<String>, deed: impl Fn(Ctx) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), WorkError>> + Send + 'static,
    {
        Self {
            name,
            cron: cron.into(),
            time_zone: "UTC".to_owned(),
            time_limit: Duration::from_secs(600),
            deed: Arc::new(move |ctx| Box::pin(deed(ctx))),
        }
    }

    #[must_use]
    pub fn in_time_zone(self, time_zone: impl Into<String>) -> Self {
        Self { time_zone: time_zone.into(), ..self }
    }

    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Does it once.
    pub fn run(&self, ctx: Ctx) -> BoxFuture<'static, Result<(), WorkError>> {
        (self.deed)(ctx)
    }
}

impl fmt::Debug for Periodic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Periodic").field("name", &self.name).field("cron", &self.cron).field("time_zone", &self.time_zone).finish()
    }
}
