//! Somebody's account is gone: what finished jobs say about them goes too.

use std::time::Duration;

use baluarte_db::DbError;
use baluarte_kernel::{Published, UserId};
use serde::{Deserialize, Serialize};

use crate::{Failure, Job, Jobs, Policy, Registry, Run, Subscription, store::forget, tag_as_kept};

/// List it in `server/src/components.rs`.
pub const SUBSCRIPTION: Subscription = Subscription::of::<ForgetPerson>(&["user.deleted"]);

/// So long after an account was deleted nothing is under way any more that had begun with it: whoever keeps something about
/// people forgets it at once, and looks once more then. Longer than any run that writes about a person.
pub const SETTLED: Duration = Duration::from_secs(600);

/// The tag of a job that is about somebody: it is deleted with their account once it has ended.
pub fn about(user: UserId) -> String {
    tag("about", user)
}

/// The tag of a job that somebody asked for.
pub(crate) fn by(user: UserId) -> String {
    tag("by", user)
}

/// As tags are stored.
fn tag(word: &str, user: UserId) -> String {
    tag_as_kept(&format!("{word}:{user}"))
}

/// Deletes finished jobs about somebody, and those that they asked for, with what receivers answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ForgetPerson(Published);

impl Job for ForgetPerson {
    const KIND: &'static str = "jobs.forget_person";
    const POLICY: Policy = Policy::new();
    type Deps = Jobs;

    async fn run(self, run: Run, jobs: Jobs) -> Result<(), Failure> {
        let Some(user) = self.0.event.user_id() else { return Ok(()) };
        jobs.forget_person(user).await?;
        once_more(&run, &self.0)
    }
}

/// What a job answers that has just forgotten somebody: it comes back once more when nothing is under way any more that had
/// begun before.
///
/// # Errors
/// Until then.
pub fn once_more(run: &Run, deleted: &Published) -> Result<(), Failure> {
    let settled = deleted.timestamp.plus(SETTLED);
    match run.ctx.now() < settled {
        true => Err(Failure::snooze(settled.since(run.ctx.now()), "done; once more when what was under way has ended")),
        false => Ok(()),
    }
}

impl Jobs {
    /// What workers do for the queue itself.
    pub fn registry(&self) -> Registry {
        Registry::default().register::<ForgetPerson>(self.clone())
    }

    /// Calls they asked for that have not been made yet are made; nobody's name is on them any more.
    async fn forget_person(&self, user: UserId) -> Result<(), DbError> {
        let db = &self.inner.db;
        forget::disown(db, user).await?;
        forget::delete_ended(db, &[about(user), by(user)]).await
    }
}
