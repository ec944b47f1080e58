//! All there is to see about an account, for those who help to run the place.

use baluarte_audit::EntryFilter;
use baluarte_kernel::{Actor, Ctx, PageQuery, UserId};
use baluarte_notify::MessageFilter;

use super::Identity;
use crate::{
    IdentityError, Throttled, UserDetails,
    permissions::{POSTS, Permission, Rank},
    store,
};

/// Of everything that can be long: the latest.
const LATEST: usize = 20;

impl Identity {
    pub async fn find_details(&self, ctx: &Ctx, id: UserId) -> Result<UserDetails, IdentityError> {
        let rank = Self::permit(ctx, Permission::Look)?;
        let (read, now) = (self.inner.kit.db.read(), ctx.now());
        let account = store::users::find_user(read, id).await?.ok_or(IdentityError::UserNotFound(id))?;
        let mut throttles = Vec::new();
        for (what, network, key) in self.throttled(read, &account).await? {
            let count = store::throttles::find(read, &key, now).await?;
            if count.count > 0 {
                let blocked_until = (count.blocked_until > now).then_some(count.blocked_until);
                throttles.push(Throttled { what, network, failures: count.count, blocked_until });
            }
        }
        let sessions = store::sessions::list_sessions(read, id, self.idle_since(now), None, LATEST, now).await?;
        let mut trusted = store::factors::trusted::list_trusted(read, id, now).await?;
        trusted.truncate(LATEST);
        Ok(UserDetails {
            factors: store::factors::list_factors(read, id).await?,
            passkeys: store::factors::passkeys::list_passkeys(read, id).await?.into_iter().map(|stored| stored.passkey).collect(),
            recovery_codes: store::factors::recovery::count(read, id).await?,
            sessions,
            trusted,
            throttles,
            alerts: self.alerts_of(ctx, id).await?,
            messages: self.messages_of(ctx, id).await?,
            entries: self.entries_of(ctx, id).await?,
            may: Self::may_to(ctx, rank, account.user.role.rank()),
            user: account.user,
        })
    }

    /// What the caller may do to somebody of this rank.
    fn may_to(ctx: &Ctx, rank: Rank, theirs: Rank) -> Vec<Permission> {
        // The highest post has everything there is.
        let all = POSTS.first().map_or(&[][..], |post| post.may).iter().copied();
        all.filter(|permission| Self::permit(ctx, *permission).is_ok() && (theirs <= rank || *permission == Permission::Look)).collect()
    }

    // Whoever may look at an account sees what belongs to it, whatever else of messages and of the audit log is closed to them.

    async fn messages_of(&self, ctx: &Ctx, id: UserId) -> Result<Vec<baluarte_notify::Stored>, IdentityError> {
        let seen = Ctx { actor: Actor::System, ..ctx.clone() };
        let filter = MessageFilter { about: Some(id), ..MessageFilter::default() };
        Ok(self.inner.kit.notify.list_messages(&seen, &filter, &latest()).await?.items)
    }

    async fn entries_of(&self, ctx: &Ctx, id: UserId) -> Result<Vec<baluarte_audit::Recorded>, IdentityError> {
        let seen = Ctx { actor: Actor::System, ..ctx.clone() };
        let (by, about) = (Some(id.to_string()), Some(id.to_string()));
        let mut entries = Vec::new();
        for filter in [EntryFilter { actor_id: by, ..EntryFilter::default() }, EntryFilter { resource_id: about, ..EntryFilter::default() }]
        {
            let found = self.inner.kit.audit.list_entries(&seen, &filter, &latest()).await;
            entries.extend(found.map_err(|err| IdentityError::Internal(format!("entries of the audit log: {err}")))?.items);
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
        // Of each sort the latest, so that a flood of failures does not push out what its owner did.
        entries.dedup_by_key(|entry| entry.seq);
        Ok(entries)
    }
}

fn latest() -> PageQuery {
    PageQuery { limit: u32::try_from(LATEST).ok(), cursor: None }
}
