//! What those who help to run the place do to other people's accounts: each act has a permission, stays below one's own rank, and is
//! kept in the audit log with who, whom and why.

use baluarte_audit::{Entry, Shown};
use baluarte_db::Tx;
use baluarte_kernel::{Actor, CredentialKind, Ctx, Event, Forbidden, Timestamp, UserId};
use sea_orm::ConnectionTrait;

use super::Identity;
use crate::{
    Act, FactorKind, IdentityError, Reason, Role, User, actions,
    permissions::{Permission, Rank},
    revocations::{Revocation, Subject},
    store::{
        self,
        users::{Account, Change, Leader},
    },
    throttle::Keys,
};

/// What an act has done, to be told when it is committed.
struct Done {
    entry: Entry,
    revoked: Vec<Revocation>,
    events: Vec<Event>,
}

impl Done {
    fn new(entry: Entry) -> Self {
        Self { entry, revoked: Vec::new(), events: Vec::new() }
    }
}

impl Identity {
    /// Whether the caller has this permission at all.
    pub fn may(ctx: &Ctx, permission: Permission) -> Result<(), IdentityError> {
        Self::permit(ctx, permission).map(drop)
    }

    /// How high the caller ranks, if they may.
    pub(super) fn permit(ctx: &Ctx, permission: Permission) -> Result<Rank, IdentityError> {
        match &ctx.actor {
            Actor::Operator | Actor::System => Ok(Rank::HIGHEST),
            Actor::Anonymous => Err(Forbidden::NotSignedIn.into()),
            Actor::User(principal) if principal.credential == CredentialKind::ApiKey => Err(Forbidden::KeyRefused.into()),
            Actor::User(principal) if permission.is_held_by(&principal.role) => Ok(Rank::of(&principal.role)),
            Actor::User(_) => Err(Forbidden::RoleNeeded(permission.lowest()).into()),
        }
    }

    /// Whoever acts has shown lately who they are; the operator at the command line need not.
    pub(super) async fn require_fresh(&self, ctx: &Ctx) -> Result<(), IdentityError> {
        let Actor::User(principal) = &ctx.actor else { return Ok(()) };
        self.require_fresh_proof(ctx, principal.user_id).await
    }

    /// Does it, and says how the account stands afterwards.
    pub async fn act(&self, ctx: &Ctx, id: UserId, act: Act, reason: Option<&Reason>) -> Result<User, IdentityError> {
        let rank = Self::permit(ctx, act.permission())?;
        if act.is_sensitive() {
            self.require_fresh(ctx).await?;
        }
        let tx = self.inner.kit.db.begin().await?;
        let leaders = store::users::lock_leaders(&self.inner.kit.db, &tx).await?;
        store::factors::lock_user(&tx, id).await?;
        let account = store::users::find_user(&tx, id).await?.ok_or(IdentityError::UserNotFound(id))?;
        if account.user.role.rank() > rank || matches!(&act, Act::SetRole(role) if role.rank() > rank) {
            return Err(IdentityError::Outranked);
        }
        let done = match &act {
            Act::Disable => {
                keep_leading(&leaders, id, None)?;
                self.change(ctx, &tx, &account, Change::Disable).await?
            }
            Act::Enable => self.change(ctx, &tx, &account, Change::Enable).await?,
            Act::SetRole(role) => {
                keep_leading(&leaders, id, Some(role))?;
                self.change(ctx, &tx, &account, Change::Role(role)).await?
            }
            Act::EndSessions => {
                let (entry, revoked) = self.end_all(ctx, &tx, id, Entry::new(&actions::SESSIONS_ENDED, "user")).await?;
                Done { entry, revoked, events: vec![Event::SessionsRevoked { user_id: id }] }
            }
            Act::Unblock => self.unblock(&tx, &account).await?,
            Act::RequireReset => self.void_password(ctx, &tx, &account).await?,
            Act::RemoveFactor(kind) => self.take_factor(ctx, &tx, &account, *kind).await?,
            Act::RemoveFactors => self.take_factors(ctx, &tx, &account).await?,
        };
        let mut entry = done.entry.of(id);
        if let Some(reason) = reason {
            entry = entry.personal("reason", Shown(reason.as_str()));
        }
        self.inner.kit.audit.record(ctx, &tx, entry);
        for event in done.events {
            self.publish(ctx, &tx, event).await?;
        }
        let after = store::users::find_user(&tx, id).await?.ok_or(IdentityError::UserNotFound(id))?;
        tx.commit().await?;
        self.announce(done.revoked);
        tracing::info!(target: "identity", user_id = %id, act = act.as_str(), "acted on an account");
        Ok(after.user)
    }

    /// Ends all sessions; nobody can sign in to the account until it is enabled again.
    pub async fn disable_user(&self, ctx: &Ctx, id: UserId) -> Result<User, IdentityError> {
        self.act(ctx, id, Act::Disable, None).await
    }

    pub async fn enable_user(&self, ctx: &Ctx, id: UserId) -> Result<User, IdentityError> {
        self.act(ctx, id, Act::Enable, None).await
    }

    /// Access tokens with the old role stop working at once; sessions go on with the new one.
    pub async fn set_role(&self, ctx: &Ctx, id: UserId, role: Role) -> Result<User, IdentityError> {
        self.act(ctx, id, Act::SetRole(role), None).await
    }

    /// Signs somebody out everywhere.
    pub async fn end_sessions(&self, ctx: &Ctx, id: UserId) -> Result<User, IdentityError> {
        self.act(ctx, id, Act::EndSessions, None).await
    }

    /// For somebody who has lost everything. All sessions end.
    pub async fn reset_factors(&self, ctx: &Ctx, id: UserId) -> Result<User, IdentityError> {
        self.act(ctx, id, Act::RemoveFactors, None).await
    }

    // ── the acts, in the caller's transaction ──

    async fn change(&self, ctx: &Ctx, tx: &Tx, before: &Account, change: Change<'_>) -> Result<Done, IdentityError> {
        let (id, now) = (before.user.id, ctx.now());
        let account = store::users::change_user(tx, id, change, now).await?.ok_or(IdentityError::UserNotFound(id))?;
        let (entry, event) = match change {
            Change::Disable => {
                let ended = store::sessions::delete_sessions(tx, id, None).await?;
                store::factors::trusted::forget_trusted(tx, id).await?;
                let keys = store::api_keys::delete_all(tx, id).await?;
                let entry = Entry::new(&actions::USER_DISABLED, "user").detail("sessions", ended.len()).detail("api_keys", keys);
                (entry, Event::UserDisabled { user_id: id })
            }
            Change::Enable => (Entry::new(&actions::USER_ENABLED, "user"), Event::UserEnabled { user_id: id }),
            Change::Role(role) => {
                let entry = Entry::new(&actions::ROLE_CHANGED, "user").detail("from", Shown(before.user.role.as_str()));
                (entry.detail("to", Shown(role.as_str())), Event::RoleChanged { user_id: id, role: role.to_string() })
            }
        };
        let revoked = vec![self.revoke(tx, Subject::User(id), account.epoch, now).await?];
        Ok(Done { entry, revoked, events: vec![event] })
    }

    /// Ends every session and every trust in a browser.
    async fn end_all(&self, ctx: &Ctx, tx: &Tx, id: UserId, entry: Entry) -> Result<(Entry, Vec<Revocation>), IdentityError> {
        let ended = store::sessions::delete_sessions(tx, id, None).await?;
        let devices = store::factors::trusted::forget_trusted(tx, id).await?;
        let revoked = self.revoke_sessions(tx, &ended, ctx.now()).await?;
        Ok((entry.detail("sessions", ended.len()).detail("trusted_devices", devices), revoked))
    }

    /// What counts an account as a whole, and at the places its owner is known at.
    async fn unblock(&self, tx: &Tx, account: &Account) -> Result<Done, IdentityError> {
        let keys: Vec<String> = self.throttled(tx, account).await?.into_iter().map(|(_, _, key)| key).collect();
        store::throttles::clear(tx, &keys).await?;
        Ok(Done::new(Entry::new(&actions::UNBLOCKED, "user")))
    }

    /// Where failures on an account are counted, as far as that can be told: what, from which network, and the key.
    pub(super) async fn throttled(
        &self,
        conn: &impl ConnectionTrait,
        account: &Account,
    ) -> Result<Vec<(&'static str, Option<String>, String)>, IdentityError> {
        let (secrets, user) = (&self.inner.kit.secrets, account.user.id.to_string());
        let keys = |network: &str| {
            [
                ("sign_in", Keys::new(secrets, account.user.email.as_str(), network)),
                ("second_factor", Keys::second_factor(secrets, &user, network)),
            ]
        };
        let mut all: Vec<_> = keys("").into_iter().map(|(what, keys)| (what, None, keys.anywhere)).collect();
        for network in store::places::list_places(conn, account.user.id, Timestamp::default()).await? {
            all.extend(keys(&network).into_iter().map(|(what, keys)| (what, Some(network.clone()), keys.from_network)));
        }
        Ok(all)
    }

    async fn void_password(&self, ctx: &Ctx, tx: &Tx, before: &Account) -> Result<Done, IdentityError> {
        let (id, now) = (before.user.id, ctx.now());
        store::users::require_reset(tx, id, now).await?;
        let account = store::users::find_user(tx, id).await?.ok_or(IdentityError::UserNotFound(id))?;
        let (entry, revoked) = self.end_all(ctx, tx, id, Entry::new(&actions::RESET_REQUIRED, "user")).await?;
        let lifetime = self.inner.config.verification_lifetime;
        let token = self.choose_password_link(tx, &account, now.plus(lifetime.get()), now).await?;
        self.inner.kit.notify.send(ctx, tx, self.inner.mails.reset_required(&account.user, &token, lifetime, now)).await?;
        Ok(Done { entry, revoked, events: vec![Event::SessionsRevoked { user_id: id }] })
    }

    async fn take_factor(&self, ctx: &Ctx, tx: &Tx, account: &Account, kind: FactorKind) -> Result<Done, IdentityError> {
        let (id, now) = (account.user.id, ctx.now());
        if !store::factors::remove(tx, id, kind).await? {
            return Err(IdentityError::FactorNotFound);
        }
        if kind == FactorKind::Passkey {
            store::factors::passkeys::delete_passkeys(tx, id).await?;
        }
        // Where the role demands one, its owner sets another one up at the next sign-in.
        if store::factors::list_factors(tx, id).await?.is_empty() {
            store::factors::recovery::forget(tx, id).await?;
        }
        let entry = Entry::new(&actions::FACTOR_TAKEN, "user").detail("kind", kind.as_str());
        let (entry, revoked) = self.end_all(ctx, tx, id, entry).await?;
        self.inner.kit.notify.send(ctx, tx, self.factor_mails().taken(&account.user, kind, now)).await?;
        Ok(Done { entry, revoked, events: vec![Event::FactorRemoved { user_id: id, factor: kind.as_str().to_owned() }] })
    }

    async fn take_factors(&self, ctx: &Ctx, tx: &Tx, account: &Account) -> Result<Done, IdentityError> {
        let (id, now) = (account.user.id, ctx.now());
        let kinds = store::factors::list_factors(tx, id).await?;
        store::factors::remove_all(tx, id).await?;
        store::factors::passkeys::delete_passkeys(tx, id).await?;
        store::factors::recovery::forget(tx, id).await?;
        let entry = Entry::new(&actions::FACTORS_RESET, "user").detail("factors", kinds.len());
        let (entry, revoked) = self.end_all(ctx, tx, id, entry).await?;
        if !kinds.is_empty() {
            self.inner.kit.notify.send(ctx, tx, self.factor_mails().reset(&account.user, now)).await?;
        }
        let events = kinds.iter().map(|factor| Event::FactorRemoved { user_id: id, factor: factor.kind.as_str().to_owned() }).collect();
        Ok(Done { entry, revoked, events })
    }
}

/// Somebody stays administrator, and an owner where there is one. `after`: the role they are to have; `None`: they go.
pub(super) fn keep_leading(leaders: &[Leader], id: UserId, after: Option<&Role>) -> Result<(), IdentityError> {
    let Some(leader) = leaders.iter().find(|leader| leader.id == id) else { return Ok(()) };
    let mut others = leaders.iter().filter(|leader| leader.id != id);
    if leader.role.is_owner() && !after.is_some_and(Role::is_owner) && !others.clone().any(|other| other.role.is_owner()) {
        return Err(IdentityError::LastOwner);
    }
    if !after.is_some_and(Role::is_admin) && others.next().is_none() {
        return Err(IdentityError::LastAdmin);
    }
    Ok(())
}
