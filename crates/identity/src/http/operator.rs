//! What support sees of an account, and what it does to help its owner or to protect them.

use axum::extract::State;
use baluarte_kernel::{Timestamp, UserId};
use baluarte_web::{Invalid, Json, Path, Problem, SignedIn};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    admin::{AccountView, checked},
    sessions::SessionView,
    views::Answer,
};
use crate::{Act, FactorKind, Identity, Throttled, UserDetails};

/// A second factor of somebody.
#[derive(Serialize, ToSchema)]
struct HeldFactorView {
    /// `totp`, `email`, `sms` or `passkey`.
    kind: &'static str,
    #[schema(value_type = String, format = DateTime)]
    confirmed_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_used_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct HeldPasskeyView {
    name: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_used_at: Option<Timestamp>,
}

/// A browser that is asked for no second factor.
#[derive(Serialize, ToSchema)]
struct HeldTrustView {
    #[schema(required)]
    user_agent: Option<String>,
    #[schema(value_type = Option<String>, required)]
    ip: Option<std::net::IpAddr>,
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Failed attempts on an account.
#[derive(Serialize, ToSchema)]
struct ThrottleView {
    /// `sign_in` or `second_factor`.
    what: &'static str,
    /// From this network; absent: from anywhere.
    #[schema(required)]
    network: Option<String>,
    failures: u32,
    /// Until when attempts are refused.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    blocked_until: Option<Timestamp>,
}

impl From<Throttled> for ThrottleView {
    fn from(it: Throttled) -> Self {
        Self { what: it.what, network: it.network, failures: it.failures, blocked_until: it.blocked_until }
    }
}

/// Something that the owner of an account should know.
#[derive(Serialize, ToSchema)]
struct AlertView {
    /// `refresh_reused`: a refresh token was used a second time, and its session ended.
    kind: &'static str,
    #[schema(required)]
    user_agent: Option<String>,
    #[schema(value_type = Option<String>, required)]
    ip: Option<std::net::IpAddr>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// A message that was sent, without what it said.
#[derive(Serialize, ToSchema)]
struct SentView {
    /// `email` or `sms`.
    channel: &'static str,
    kind: String,
    state: &'static str,
    /// Where it went, mostly hidden.
    to: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// An entry of the audit log by or about the person.
#[derive(Serialize, ToSchema)]
struct HeldEntryView {
    seq: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    action: String,
    severity: String,
    status: String,
    /// `user`, `operator`, `system` or `anonymous`.
    actor_kind: String,
    #[schema(required)]
    actor_id: Option<String>,
    #[schema(required)]
    actor_name: Option<String>,
}

/// An account with what belongs to it: of everything that can be long, the latest twenty (of the audit log: by and about the person).
#[derive(Serialize, ToSchema)]
pub(super) struct DetailsView {
    user: AccountView,
    factors: Vec<HeldFactorView>,
    passkeys: Vec<HeldPasskeyView>,
    recovery_codes: u32,
    sessions: Vec<SessionView>,
    trusted_devices: Vec<HeldTrustView>,
    throttles: Vec<ThrottleView>,
    alerts: Vec<AlertView>,
    messages: Vec<SentView>,
    audit: Vec<HeldEntryView>,
}

impl DetailsView {
    fn of(found: UserDetails, identity: &Identity) -> Self {
        let factor =
            |it: crate::Factor| HeldFactorView { kind: it.kind.as_str(), confirmed_at: it.confirmed_at, last_used_at: it.last_used_at };
        let passkey = |it: crate::Passkey| HeldPasskeyView { name: it.name, created_at: it.created_at, last_used_at: it.last_used_at };
        let trust = |it: crate::TrustedDevice| HeldTrustView {
            user_agent: it.user_agent,
            ip: it.ip,
            last_used_at: it.last_used_at,
            expires_at: it.expires_at,
        };
        let sent = |it: baluarte_notify::Stored| SentView {
            channel: it.channel.as_str(),
            state: it.state.as_str(),
            to: it.redacted_to(),
            kind: it.kind,
            created_at: it.created_at,
        };
        let entry = |it: baluarte_audit::Recorded| HeldEntryView {
            seq: it.seq,
            at: it.at,
            action: it.action,
            severity: it.severity,
            status: it.status,
            actor_kind: it.actor.kind,
            actor_id: it.actor.id,
            actor_name: it.actor.name,
        };
        Self {
            user: AccountView::of(&found.user, identity),
            factors: found.factors.into_iter().map(factor).collect(),
            passkeys: found.passkeys.into_iter().map(passkey).collect(),
            recovery_codes: found.recovery_codes,
            sessions: found.sessions.items.into_iter().map(SessionView::from).collect(),
            trusted_devices: found.trusted.into_iter().map(trust).collect(),
            throttles: found.throttles.into_iter().map(ThrottleView::from).collect(),
            alerts: found
                .alerts
                .into_iter()
                .map(|it| AlertView { kind: it.kind.as_str(), user_agent: it.user_agent, ip: it.ip, at: it.at })
                .collect(),
            messages: found.messages.into_iter().map(sent).collect(),
            audit: found.entries.into_iter().map(entry).collect(),
        }
    }
}

/// Read an account with its factors, devices, messages, throttles and recent entries
#[utoipa::path(get, path = "/api/v1/admin/users/{id}/details", tag = "identity", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = DetailsView), Problem))]
pub(super) async fn find_details(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<UserId>,
) -> Answer<Json<DetailsView>> {
    Ok(Json(DetailsView::of(identity.find_details(&ctx, id).await?, &identity)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Because {
    /// Why: kept in the audit log.
    #[serde(default)]
    reason: Option<String>,
}

/// Make somebody's password void
///
/// Nobody sets a password for somebody else: the old one stops working, all sessions end, and its owner is mailed a link to choose
/// another one. Whoever signs in with the old one is told so.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/require-reset", tag = "identity", params(("id" = String, Path)), request_body = Because,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = AccountView), Problem))]
pub(super) async fn require_reset(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<UserId>,
    Json(body): Json<Because>,
) -> Answer<Json<AccountView>> {
    act(&identity, &ctx, id, Act::RequireReset, body.reason.as_deref()).await.map(Json)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LostFactor {
    /// `totp`, `email`, `sms` or `passkey`; absent: all of them, and the recovery codes.
    #[serde(default)]
    kind: Option<String>,
    /// How it was made sure that it is the owner who asks: kept in the audit log.
    reason: String,
}

/// Take away a second factor that its owner has lost
///
/// Make sure first that it is the owner who asks, by other means than mail and password alone; `reason` says how. All sessions and
/// trusted devices of the account end, and its owner is told by mail.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/remove-factor", tag = "identity", params(("id" = String, Path)), request_body = LostFactor,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = AccountView), Problem))]
pub(super) async fn remove_factor(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<UserId>,
    Json(body): Json<LostFactor>,
) -> Answer<Json<AccountView>> {
    let mut invalid = Invalid::default();
    let kind = body.kind.map(|kind| kind.parse::<FactorKind>().map_err(|()| "is none of: totp, email, sms, passkey"));
    let kind = invalid.check("/kind", kind.transpose()).flatten();
    let reason = invalid.check("/reason", body.reason.parse());
    invalid.finish()?;
    let user = identity.act(&ctx, id, kind.map_or(Act::RemoveFactors, Act::RemoveFactor), reason.as_ref()).await?;
    Ok(Json(AccountView::of(&user, &identity)))
}

/// Clear the counts of failed attempts that keep somebody out
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/unblock", tag = "identity", params(("id" = String, Path)), request_body = Because,
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Cleared"), Problem))]
pub(super) async fn unblock(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<UserId>,
    Json(body): Json<Because>,
) -> Answer<StatusCode> {
    act(&identity, &ctx, id, Act::Unblock, body.reason.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn act(identity: &Identity, ctx: &baluarte_kernel::Ctx, id: UserId, act: Act, reason: Option<&str>) -> Answer<AccountView> {
    let mut invalid = Invalid::default();
    let reason = checked(&mut invalid, reason);
    invalid.finish()?;
    Ok(AccountView::of(&identity.act(ctx, id, act, reason.as_ref()).await?, identity))
}
