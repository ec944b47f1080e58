//! Somebody's account is gone: what was told about them is erased, and what is still to be told is not told any more.

use baluarte_db::{DbError, Tx};
use baluarte_jobs::{Failure, Job, Policy, Run, once_more};
use baluarte_kernel::{Event, Published};
use serde::{Deserialize, Serialize};

use crate::{Webhooks, store::people};

#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ForgetPerson(Published);

impl Job for ForgetPerson {
    const KIND: &'static str = "webhooks.forget_person";
    const POLICY: Policy = Policy::new();
    type Deps = Webhooks;

    async fn run(self, run: Run, webhooks: Webhooks) -> Result<(), Failure> {
        let Some(user) = self.0.event.user_id() else { return Ok(()) };
        let tx = webhooks.inner.db.begin().await?;
        people::forget(&tx, user, run.ctx.now()).await?;
        tx.commit().await?;
        once_more(&run, &self.0)
    }
}

impl Webhooks {
    /// About somebody who is gone; that they are gone is told.
    pub(crate) async fn is_too_late(&self, tx: &Tx, event: &Event) -> Result<bool, DbError> {
        match (event, event.user_id()) {
            (Event::UserDeleted { .. }, _) | (_, None) => Ok(false),
            (_, Some(user)) => people::is_forgotten(tx, user).await,
        }
    }
}
