//! Somebody's account is gone, and the messages to them with it.

use std::collections::BTreeSet;

use baluarte_db::DbError;
use baluarte_jobs::{Failure, Job, Policy, Run, Subscription, once_more};
use baluarte_kernel::{Published, UserId};
use serde::{Deserialize, Serialize};

use crate::{Notify, message::normal, store::people};

/// List them in `server/src/components.rs`.
pub const SUBSCRIPTIONS: &[Subscription] = &[Subscription::of::<ForgetPerson>(&["user.deleted"])];

/// Messages at a time, so that nobody waits long for the writer.
const PIECE: i64 = 200;

#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ForgetPerson(Published);

impl Job for ForgetPerson {
    const KIND: &'static str = "notify.forget_person";
    const POLICY: Policy = Policy::new();
    type Deps = Notify;

    async fn run(self, run: Run, notify: Notify) -> Result<(), Failure> {
        let Some(user) = self.0.event.user_id() else { return Ok(()) };
        notify.forget_person(user).await?;
        once_more(&run, &self.0)
    }
}

impl Notify {
    /// Deletes every message to them, sent or not. That an address of theirs is dead stays known, by a hash and without a name.
    async fn forget_person(&self, user: UserId) -> Result<(), DbError> {
        loop {
            let tx = self.inner.db.begin().await?;
            let found = people::list(&tx, user, PIECE).await?;
            let keys: BTreeSet<String> =
                found.iter().map(|message| self.suppression_key(message.channel, &normal(message.channel, &message.to))).collect();
            people::make_nameless(&tx, user, &keys.into_iter().collect::<Vec<_>>()).await?;
            people::delete(&tx, &found).await?;
            tx.commit().await?;
            if (found.len() as i64) < PIECE {
                return Ok(());
            }
        }
    }
}
