//! Passkeys: set up, listed, named, removed; and signing in with one.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::Timestamp;
use baluarte_web::{Caller, Json, Path, Problem, SignedIn};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LoginView, Maybe, ReauthenticationBody, entered, sheet};
use crate::{
    Assertion, Identity, NewCredential, Passkey, PasskeyId,
    http::{
        auth::SessionWish,
        views::{Answer, NO_STORE},
    },
};

/// What `navigator.credentials` takes, binary values as base64url (`PublicKeyCredential.parse…OptionsFromJSON` reads it).
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct OptionsView<T: Serialize> {
    #[serde(rename = "publicKey")]
    #[schema(value_type = Object)]
    pub(super) public_key: T,
}

pub(super) fn options<T: Serialize>(public_key: T) -> Response {
    (NO_STORE, Json(OptionsView { public_key })).into_response()
}

/// As the API document shows it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(in crate::http) struct PasskeyOptions {
    /// Options of the Web Authentication standard as JSON; good for five minutes and one use.
    #[schema(rename = "publicKey", value_type = Object)]
    public_key: (),
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct PasskeyView {
    #[schema(value_type = String)]
    id: PasskeyId,
    name: String,
    /// It is kept by a service of its owner's and may be on several devices.
    synced: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

impl From<Passkey> for PasskeyView {
    fn from(Passkey { id, name, backed_up, created_at, last_used_at }: Passkey) -> Self {
        Self { id, name, synced: backed_up, created_at, last_used_at }
    }
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct PasskeysView {
    items: Vec<PasskeyView>,
    /// Always null: there are twenty at most.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct AddedPasskeyView {
    #[serde(flatten)]
    passkey: PasskeyView,
    /// This once, where there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AddPasskey {
    /// What its owner calls it, at most 60 characters.
    #[serde(default)]
    #[schema(example = "Laptop")]
    name: String,
    credential: NewCredential,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RenamePasskey {
    #[schema(example = "Laptop")]
    name: String,
}

/// List one's own passkeys, the oldest first
#[utoipa::path(get, path = "/api/v1/mfa/passkeys", tag = "identity", security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = PasskeysView), Problem))]
pub(in crate::http) async fn list_passkeys(State(identity): State<Identity>, SignedIn(ctx, _): SignedIn) -> Answer<Json<PasskeysView>> {
    let items = identity.list_passkeys(&ctx).await?.into_iter().map(PasskeyView::from).collect();
    Ok(Json(PasskeysView { items, next_cursor: None }))
}

/// Begin to set up a passkey
///
/// Gives what `navigator.credentials.create` needs; what that makes goes to `/api/v1/mfa/passkeys/confirm`. Asks for the password ten
/// minutes after signing in.
#[utoipa::path(post, path = "/api/v1/mfa/passkeys", tag = "identity", request_body = Option<ReauthenticationBody>,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = PasskeyOptions), Problem))]
pub(in crate::http) async fn begin_passkey(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Maybe(shown): Maybe,
) -> Answer<Response> {
    Ok(options(identity.begin_passkey(&ctx, &shown).await?))
}

/// Set up a passkey that the browser has made
///
/// With the first one all other sessions end, and recovery codes are made where there were none.
#[utoipa::path(post, path = "/api/v1/mfa/passkeys/confirm", tag = "identity", request_body = AddPasskey,
    security(("bearer" = []), ("session" = [])), responses((status = 201, body = AddedPasskeyView), Problem))]
pub(in crate::http) async fn add_passkey(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Json(body): Json<AddPasskey>,
) -> Answer<Response> {
    let (passkey, codes) = identity.add_passkey(&ctx, &body.name, &body.credential).await?;
    let view = AddedPasskeyView { passkey: passkey.into(), recovery_codes: sheet(&codes) };
    Ok((StatusCode::CREATED, NO_STORE, Json(view)).into_response())
}

/// Give a passkey another name
#[utoipa::path(patch, path = "/api/v1/mfa/passkeys/{id}", tag = "identity", params(("id" = String, Path)), request_body = RenamePasskey,
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Renamed"), Problem))]
pub(in crate::http) async fn rename_passkey(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<PasskeyId>,
    Json(body): Json<RenamePasskey>,
) -> Answer<StatusCode> {
    identity.rename_passkey(&ctx, id, &body.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a passkey
///
/// Asks for the password or a code, unless the factor was proven in the last ten minutes. All other sessions end, and no
/// device is trusted any more.
#[utoipa::path(delete, path = "/api/v1/mfa/passkeys/{id}", tag = "identity", params(("id" = String, Path)),
    request_body = Option<ReauthenticationBody>, security(("bearer" = []), ("session" = [])),
    responses((status = 204, description = "Removed"), Problem))]
pub(in crate::http) async fn remove_passkey(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<PasskeyId>,
    Maybe(shown): Maybe,
) -> Answer<StatusCode> {
    identity.remove_passkey(&ctx, id, &shown).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begin to sign in with a passkey
///
/// Gives what `navigator.credentials.get` needs, also for the browser's own suggestions (`mediation: "conditional"`). The browser says who
/// it is; nothing here tells whether there is such an account.
#[utoipa::path(post, path = "/api/v1/auth/passkey/options", tag = "identity", security(()),
    responses((status = 200, body = PasskeyOptions), Problem))]
pub(in crate::http) async fn passkey_options(State(identity): State<Identity>, Caller(ctx): Caller) -> Answer<Response> {
    Ok(options(identity.sign_in_options(&ctx)?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PasskeySignIn {
    credential: Assertion,
    #[serde(default)]
    session: SessionWish,
}

/// Sign in with a passkey
///
/// It stands for the password and the second factor together, so it has to recognise its owner (a finger, a face, a PIN). Gives what
/// signing in with a password would have given.
#[utoipa::path(post, path = "/api/v1/auth/passkey", tag = "identity", request_body = PasskeySignIn, security(()),
    responses((status = 200, body = LoginView), Problem))]
pub(in crate::http) async fn sign_in_with_passkey(
    State(identity): State<Identity>,
    Caller(ctx): Caller,
    Json(body): Json<PasskeySignIn>,
) -> Answer<Response> {
    let signed_in = identity.sign_in_with_passkey(&ctx, &body.credential, body.session.into()).await?;
    Ok(entered(&identity, &signed_in))
}
