//! Accounts by invitation: an administrator sends a link, and whoever holds it chooses name and password.

use std::time::Duration;

use baluarte_audit::{Entry, Shown};
use baluarte_kernel::{Ctx, Page, PageQuery, Period, Secret};

use super::{Identity, sessions::valid};
use crate::{
    Acceptance, CreatedInvitation, EmailVerification, IdentityError, Invitation, InvitationId, InvitationKind, NewInvitation, Registered,
    Registration, Role, UserId, actions,
    permissions::Permission,
    store::{self, invitations::NewRow, registrations::Waiting},
};

/// How long a link works unless told.
const LIFETIME: Period = Period::from_secs(7 * 86_400);
/// Invitations that can be accepted at a time, at most.
const OPEN: u64 = 10_000;
/// Those that are over can be seen for so long.
pub(super) const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

impl Identity {
    /// How long a link works at most.
    pub(crate) const LONGEST_INVITATION: Period = Period::from_secs(90 * 86_400);
    /// Accounts that one link can make, at most.
    pub(crate) const MOST_INVITED: u32 = 1_000;

    /// Mails the link where there is an address; earlier ones to it are void.
    pub async fn invite(&self, ctx: &Ctx, new: NewInvitation) -> Result<CreatedInvitation, IdentityError> {
        let rank = Self::permit(ctx, Permission::Create)?;
        if self.inner.config.registration == Registration::Closed {
            return Err(IdentityError::RegistrationClosed);
        }
        if new.role.rank() > rank {
            return Err(IdentityError::Outranked);
        }
        if new.email.is_none() && new.role.rank() > Role::user().rank() {
            return Err(IdentityError::InvitationNeedsEmail);
        }
        self.require_fresh(ctx).await?;
        let now = ctx.now();
        let expires_at = new.expires_at.unwrap_or_else(|| now.plus(LIFETIME.get())).min(now.plus(Self::LONGEST_INVITATION.get()));
        let max_uses = if new.email.is_some() { 1 } else { new.max_uses.clamp(1, Self::MOST_INVITED) };
        let user_id = new.email.is_some().then(UserId::generate);
        let token = Secret::new(baluarte_secrets::random_token());
        let tx = self.inner.kit.db.begin().await?;
        if let Some(email) = &new.email {
            if store::users::find_user_by_email(&tx, email).await?.is_some() {
                return Err(IdentityError::EmailTaken);
            }
            store::invitations::revoke_of(&tx, email, now).await?;
        }
        if store::invitations::count_open(&tx, now).await? >= OPEN {
            return Err(IdentityError::TooManyInvitations);
        }
        let row = NewRow {
            id: InvitationId::generate(),
            email: new.email.as_ref(),
            role: &new.role,
            user_id,
            token_hash: self.link_hash(&token),
            max_uses,
            expires_at,
        };
        let invitation = store::invitations::insert_invitation(&tx, row, now).await?;
        let url = Secret::new(self.inner.mails.invitation_url(&token));
        if let (Some(email), Some(user_id)) = (&new.email, user_id) {
            let lifetime = Period::from_secs(expires_at.since(now).as_secs());
            let mail = self.inner.mails.invitation(email, new.locale.unwrap_or(ctx.locale), &url, lifetime, now).about(user_id);
            self.inner.kit.notify.send(ctx, &tx, mail).await?;
        }
        let entry = Entry::new(&actions::INVITATION_CREATED, "invitation").of(invitation.id).detail("uses", i64::from(max_uses));
        self.inner.kit.audit.record(ctx, &tx, entry.detail("role", Shown(new.role.as_str())).detail("by_address", new.email.is_some()));
        tx.commit().await?;
        tracing::info!(target: "identity", invitation_id = %invitation.id, role = %new.role, "invited somebody");
        Ok(CreatedInvitation { invitation, url })
    }

    /// The latest first; those that are over stay for a month.
    pub async fn list_invitations(&self, ctx: &Ctx, page: &PageQuery) -> Result<Page<Invitation>, IdentityError> {
        Self::permit(ctx, Permission::Look)?;
        let after = page.cursor.as_ref().map(valid::<InvitationKind>).transpose()?;
        Ok(store::invitations::list_invitations(self.inner.kit.db.read(), after, page.limit()).await?)
    }

    /// Nobody can accept it any more.
    pub async fn revoke_invitation(&self, ctx: &Ctx, id: InvitationId) -> Result<(), IdentityError> {
        Self::permit(ctx, Permission::Create)?;
        let tx = self.inner.kit.db.begin().await?;
        if !store::invitations::revoke(&tx, id, ctx.now()).await? {
            return Err(IdentityError::InvitationNotFound);
        }
        self.inner.kit.audit.record(ctx, &tx, Entry::new(&actions::INVITATION_REVOKED, "invitation").of(id));
        Ok(tx.commit().await?)
    }

    /// What the holder of a link may accept, without using it.
    pub async fn find_invitation(&self, ctx: &Ctx, token: &Secret) -> Result<Invitation, IdentityError> {
        if self.inner.config.registration == Registration::Closed {
            return Err(IdentityError::RegistrationClosed);
        }
        let found = store::invitations::find_invitation(self.inner.kit.db.read(), &self.link_hash(token), ctx.now()).await?;
        found.ok_or(IdentityError::LinkInvalid)
    }

    /// Creates the account. An address that the link was sent to is proven by it; another one as when registering.
    pub async fn accept_invitation(&self, ctx: &Ctx, acceptance: Acceptance) -> Result<Registered, IdentityError> {
        let open = self.find_invitation(ctx, &acceptance.token).await?;
        let proven = open.email.is_some();
        let email = open.email.or(acceptance.email).ok_or(IdentityError::AddressMissing)?;
        self.inner.context.check(&acceptance.password, &email, &acceptance.name)?;
        let password_hash = self.inner.passwords.hash(&acceptance.password).await?;
        let new = Waiting { email, name: acceptance.name, password_hash, locale: ctx.locale, role: open.role };

        let tx = self.inner.kit.db.begin().await?;
        let used = store::invitations::use_invitation(&tx, &self.link_hash(&acceptance.token), ctx.now()).await?;
        let used = used.ok_or(IdentityError::LinkInvalid)?;
        if !proven && self.inner.config.email_verification == EmailVerification::Required {
            let entry = Entry::new(&actions::INVITATION_ACCEPTED, "invitation").of(used.id);
            self.inner.kit.audit.record(ctx, &tx, entry);
            self.ask_to_confirm(ctx, tx, &new).await?;
            return Ok(Registered::CheckYourMail);
        }
        let account = self.create_at_once(ctx, &tx, used.user_id.unwrap_or_else(UserId::generate), &new, proven).await?;
        let entry = Entry::new(&actions::INVITATION_ACCEPTED, "invitation").of(used.id).detail("role", Shown(new.role.as_str()));
        self.inner.kit.audit.record(ctx, &tx, entry.by(account.user.id, None, account.user.email.as_str()));
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %account.user.id, invitation_id = %used.id, "accepted an invitation");
        Ok(Registered::Created(account.user))
    }
}
