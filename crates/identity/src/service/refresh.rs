//! Refreshing: one token is good at a time; the one before it, for ten seconds more, answers with the same child.

use baluarte_audit::Entry;
use baluarte_db::{Batch, Db};
use baluarte_kernel::{Ctx, Secret, SessionId, Timestamp};

use super::{Identity, sign_in::printable};
use crate::{
    Alert, AlertKind, IdentityError, Refreshed, actions,
    store::{
        self,
        sessions::{Live, RefreshState},
    },
    token::{AccessToken, REFRESH_GRACE, RefreshToken},
};

/// A session that wants to move on from token number `seq`.
pub(super) struct Rotation {
    session_id: SessionId,
    seq: u32,
    at: Timestamp,
}

/// Many sessions move on in one commit; each learns whether it was the one that used its token.
pub(super) fn rotations(db: Db, most: usize) -> Batch<Rotation, bool> {
    Batch::new(db, most, |tx, wanted: &[Rotation]| {
        Box::pin(async move {
            let mut moved = Vec::with_capacity(wanted.len());
            for rotation in wanted {
                moved.push(store::sessions::rotate(tx, rotation.session_id, rotation.seq, rotation.at).await?);
            }
            Ok(moved)
        })
    })
}

/// What a token that we made stands for now.
enum Standing {
    /// It is the session's current one.
    Current,
    /// It was, a moment ago: its child is the current one.
    JustUsed,
    /// Somebody kept it.
    Reused,
}

impl Identity {
    /// The next pair of tokens. The previous refresh token gets the same pair within ten seconds.
    pub async fn refresh(&self, ctx: &Ctx, refresh_token: &Secret) -> Result<Refreshed, IdentityError> {
        let token = RefreshToken::parse(refresh_token.expose()).ok_or(IdentityError::RefreshInvalid)?;
        // Twice at most: whoever loses a race finds the winner's child the second time.
        for _ in 0..2 {
            let now = ctx.now();
            let (live, state) = self.find_refreshable(&token, now).await?;
            match standing(&token, &state, now).ok_or(IdentityError::RefreshInvalid)? {
                Standing::JustUsed => return Ok(self.child(&live, &state, now)),
                Standing::Reused => {
                    self.end_family(ctx, &live).await?;
                    return Err(IdentityError::RefreshReused);
                }
                Standing::Current => {
                    let rotation = Rotation { session_id: token.session_id, seq: token.seq, at: now };
                    if self.inner.rotations.submit(rotation).await? {
                        let seq = token.seq.checked_add(1).ok_or(IdentityError::RefreshInvalid)?;
                        return Ok(self.child(&live, &RefreshState { seq, since: now, ..state }, now));
                    }
                }
            }
        }
        Err(IdentityError::RefreshInvalid)
    }

    /// The token's session, if we made the token and the session is alive.
    async fn find_refreshable(&self, token: &RefreshToken, now: Timestamp) -> Result<(Live, RefreshState), IdentityError> {
        let found = store::sessions::find_by_id(self.inner.kit.db.read(), token.session_id).await?;
        let mut live = found.ok_or(IdentityError::RefreshInvalid)?;
        let state = live.refresh.take().ok_or(IdentityError::RefreshInvalid)?;
        let good = token.matches(&self.inner.kit.secrets, &state.salt) && live.is_alive(self.inner.config.refresh_idle.get(), None, now);
        let good = good && self.is_proven_enough(&live);
        if good { Ok((live, state)) } else { Err(IdentityError::RefreshInvalid) }
    }

    /// Everything in it follows from the session's state, so that two callers get the same.
    fn child(&self, live: &Live, state: &RefreshState, now: Timestamp) -> Refreshed {
        let token = AccessToken {
            user: &live.user,
            epoch: live.epoch,
            session_id: live.session.id,
            seq: state.seq,
            issued_at: state.since,
            proven_at: live.proven_at(),
        };
        Refreshed { tokens: self.token_pair(&token, &state.salt, now), user: live.user.clone() }
    }

    /// RFC 9700, 4.14.2: nobody can tell the thief from the owner, so both lose the session.
    async fn end_family(&self, ctx: &Ctx, live: &Live) -> Result<(), IdentityError> {
        let tx = self.inner.kit.db.begin().await?;
        store::sessions::delete_session(&tx, live.session.id, live.user.id).await?;
        let revoked = self.revoke_sessions(&tx, &[live.session.id], ctx.now()).await?;
        let alert = Alert {
            kind: AlertKind::RefreshReused,
            user_agent: ctx.user_agent.as_deref().map(printable),
            ip: ctx.client_ip().map(|ip| ip.to_canonical()),
            at: ctx.now(),
        };
        store::devices::insert_alert(&tx, live.user.id, &alert).await?;
        let entry = Entry::new(&actions::REFRESH_REUSED, "session").of(live.session.id).failure().detail("user", live.user.id);
        self.inner.kit.audit.record(ctx, &tx, entry);
        tx.commit().await?;
        self.announce(revoked);
        tracing::warn!(
            target: "identity",
            user_id = %live.user.id,
            session_id = %live.session.id,
            "a refresh token was used again: its session has ended"
        );
        Ok(())
    }
}

/// `None` for a token that has not been given out yet: the database is older than the token.
fn standing(token: &RefreshToken, state: &RefreshState, now: Timestamp) -> Option<Standing> {
    if token.seq == state.seq {
        Some(Standing::Current)
    } else if token.seq > state.seq {
        None
    } else if token.seq + 1 == state.seq && now.since(state.since) <= REFRESH_GRACE {
        Some(Standing::JustUsed)
    } else {
        Some(Standing::Reused)
    }
}
