//! Signed-in devices: seen and ended by their owner.

use baluarte_audit::Entry;
use baluarte_kernel::{Ctx, Cursor, Page, PageQuery, SessionId};

use super::Identity;
use crate::{IdentityError, Session, actions, store};

impl Identity {
    /// Ends the session that asks, everywhere at once.
    pub async fn sign_out(&self, ctx: &Ctx) -> Result<(), IdentityError> {
        let principal = ctx.user()?;
        self.revoke_session(ctx, principal.session_id.ok_or(IdentityError::SessionNotFound)?).await
    }

    /// The caller's devices, the latest first.
    pub async fn list_sessions(&self, ctx: &Ctx, page: &PageQuery) -> Result<Page<Session>, IdentityError> {
        let (principal, now) = (ctx.user()?, ctx.now());
        // A cursor is the id of a session.
        let after = page.cursor.as_ref().map(valid::<baluarte_kernel::SessionKind>).transpose()?;
        let idle_since = self.idle_since(now);
        let found =
            store::sessions::list_sessions(self.inner.kit.db.read(), principal.user_id, idle_since, after, page.limit(), now).await?;
        Ok(found.map(|session| Session { current: Some(session.id) == principal.session_id, ..session }))
    }

    /// Signs one of the caller's devices out.
    pub async fn revoke_session(&self, ctx: &Ctx, id: SessionId) -> Result<(), IdentityError> {
        let principal = ctx.user()?;
        let tx = self.inner.kit.db.begin().await?;
        if !store::sessions::delete_session(&tx, id, principal.user_id).await? {
            return Err(IdentityError::SessionNotFound);
        }
        let revoked = self.revoke_sessions(&tx, &[id], ctx.now()).await?;
        self.inner.kit.audit.record(ctx, &tx, Entry::new(&actions::SESSION_ENDED, "session").of(id));
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %principal.user_id, session_id = %id, "signed out");
        Ok(())
    }

    /// Signs out every device of the caller but the one that asks.
    pub async fn revoke_other_sessions(&self, ctx: &Ctx) -> Result<(), IdentityError> {
        let principal = ctx.user()?;
        let tx = self.inner.kit.db.begin().await?;
        let ended = store::sessions::delete_sessions(&tx, principal.user_id, principal.session_id).await?;
        store::factors::trusted::forget_trusted(&tx, principal.user_id).await?;
        let revoked = self.revoke_sessions(&tx, &ended, ctx.now()).await?;
        let entry = Entry::new(&actions::SESSIONS_ENDED, "user").of(principal.user_id).detail("sessions", ended.len());
        self.inner.kit.audit.record(ctx, &tx, entry);
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %principal.user_id, ended = ended.len(), "signed out of the other devices");
        Ok(())
    }
}

/// A cursor that holds an id of this kind.
pub(super) fn valid<K: baluarte_kernel::Kind>(cursor: &Cursor) -> Result<&Cursor, IdentityError> {
    match cursor.key().parse::<baluarte_kernel::Id<K>>() {
        Ok(_) => Ok(cursor),
        Err(_) => Err(IdentityError::BadCursor(baluarte_kernel::BadCursor)),
    }
}
