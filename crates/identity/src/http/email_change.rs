//! Another address for one's account.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{Secret, Timestamp};
use baluarte_web::{Caller, Invalid, Json, Problem, SignedIn, problem::INVALID_FIELDS};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::views::{Answer, NO_STORE};
use crate::{Email, EmailChange, EmailChanged, Identity};

/// An address that waits for both mailboxes.
#[derive(Serialize, ToSchema)]
pub(super) struct EmailChangeView {
    #[schema(example = "zoe.new@example.com")]
    email: String,
    /// Whoever reads the present address has said yes.
    old_confirmed: bool,
    /// Whoever reads the new one has.
    new_confirmed: bool,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl From<EmailChange> for EmailChangeView {
    fn from(change: EmailChange) -> Self {
        let EmailChange { email, old_confirmed, new_confirmed, expires_at } = change;
        Self { email: email.to_string(), old_confirmed, new_confirmed, expires_at }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct WaitingView {
    /// Null when nothing waits.
    #[schema(required)]
    change: Option<EmailChangeView>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeEmail {
    #[schema(example = "zoe.new@example.com")]
    email: String,
}

/// Ask for another address
///
/// Mails a link to the present address and one to the new one; it takes effect when both have confirmed, within an hour. The answer is the
/// same whether or not the new address has an account. 403 `identity.step_up_required` unless its owner has shown lately who they are.
#[utoipa::path(post, path = "/api/v1/users/me/email", tag = "identity", request_body = ChangeEmail, security(("bearer" = []), ("session" = [])),
    responses((status = 202, body = EmailChangeView), Problem))]
pub(super) async fn ask_email_change(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Json(body): Json<ChangeEmail>,
) -> Answer<Response> {
    let mut invalid = Invalid::default();
    let email = invalid.check("/email", body.email.parse::<Email>());
    invalid.finish()?;
    let email = email.ok_or_else(|| Problem::of(&INVALID_FIELDS))?;
    let change = identity.ask_email_change(&ctx, &email).await?;
    Ok((StatusCode::ACCEPTED, NO_STORE, Json(EmailChangeView::from(change))).into_response())
}

/// Read what one's address waits for
#[utoipa::path(get, path = "/api/v1/users/me/email", tag = "identity", security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = WaitingView), Problem))]
pub(super) async fn find_email_change(State(identity): State<Identity>, SignedIn(ctx, _): SignedIn) -> Answer<Response> {
    let change = identity.find_email_change(&ctx).await?.map(EmailChangeView::from);
    Ok((NO_STORE, Json(WaitingView { change })).into_response())
}

/// Keep the address one has
///
/// Both links are void. There need not be a change that waits.
#[utoipa::path(delete, path = "/api/v1/users/me/email", tag = "identity", security(("bearer" = []), ("session" = [])),
    responses((status = 204, description = "Nothing waits any more"), Problem))]
pub(super) async fn cancel_email_change(State(identity): State<Identity>, SignedIn(ctx, _): SignedIn) -> Answer<StatusCode> {
    identity.cancel_email_change(&ctx).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmailLink {
    /// From the link in either mail.
    #[schema(value_type = String)]
    token: Secret,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ConfirmedView {
    /// False: the other mailbox has not confirmed yet.
    changed: bool,
}

/// Confirm another address with a link's token
///
/// Once for each of the two mails. With the second one the address changes, every session ends but the one that asked, and both
/// addresses get a notice.
#[utoipa::path(post, path = "/api/v1/auth/email/confirm", tag = "identity", request_body = EmailLink, security(()),
    responses((status = 200, body = ConfirmedView), Problem))]
pub(super) async fn confirm_email_change(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    Json(body): Json<EmailLink>,
) -> Answer<Json<ConfirmedView>> {
    let changed = identity.confirm_email_change(&ctx, &body.token).await? == EmailChanged::Done;
    Ok(Json(ConfirmedView { changed }))
}

/// Say that one did not ask for another address
///
/// Both links are void. With the token from the present address every session of the account ends too.
#[utoipa::path(post, path = "/api/v1/auth/email/refuse", tag = "identity", request_body = EmailLink, security(()),
    responses((status = 204, description = "Nothing changes"), Problem))]
pub(super) async fn refuse_email_change(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    Json(body): Json<EmailLink>,
) -> Answer<StatusCode> {
    identity.refuse_email_change(&ctx, &body.token).await?;
    Ok(StatusCode::NO_CONTENT)
}
