//! Other people's accounts, for those who help to run the place: what each may is decided in `permissions`.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{Cursor, Secret, Timestamp, UserId};
use baluarte_web::{Invalid, Json, Path, Problem, Query, SignedIn, problem::INVALID_FIELDS};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::views::{Answer, List, NO_STORE, UserView, page_query};
use crate::{AccountState, Act, Email, Identity, Name, NewAccount, Reason, Role, User, UserFilter, permissions::Permission};

/// An account, as administrators see it.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountView {
    #[serde(flatten)]
    user: UserView,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    email_verified_at: Option<Timestamp>,
    /// Since when they may not sign in.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    disabled_at: Option<Timestamp>,
    /// Since when the password does not sign in, until its owner chooses another one.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    reset_required_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_sign_in_at: Option<Timestamp>,
}

impl AccountView {
    pub(super) fn of(user: &User, identity: &Identity) -> Self {
        Self {
            user: UserView::of(user, identity),
            email_verified_at: user.email_verified_at,
            disabled_at: user.disabled_at,
            reset_required_at: user.reset_required_at,
            last_sign_in_at: user.last_sign_in_at,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct UsersQuery {
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    disabled: Option<bool>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    factor: Option<String>,
    #[serde(default)]
    plan: Option<String>,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    cursor: Option<Cursor>,
}

/// List accounts, the newest first
#[utoipa::path(get, path = "/api/v1/admin/users", tag = "identity",
    params(
        ("query" = Option<String>, Query, description = "Part of the address or of the name"),
        ("role" = Option<String>, Query, description = "Only accounts with this role"),
        ("disabled" = Option<bool>, Query, description = "Only accounts that may not sign in, or only those that may"),
        ("state" = inline(Option<AccountState>), Query, description = "Only accounts that stand so"),
        ("factor" = Option<String>, Query, description = "Only accounts with this second factor: `totp`, `email`, `sms`, `passkey`, `any`, or `none`"),
        ("plan" = Option<String>, Query, description = "Only accounts on this plan; a page may then be short although there is a next one"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = List<AccountView>), Problem))]
pub(super) async fn list_users(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Query(query): Query<UsersQuery>,
) -> Answer<Json<List<AccountView>>> {
    let mut invalid = Invalid::default();
    let role = query.role.and_then(|role| invalid.check("role", role.parse::<Role>()));
    let state = query.state.and_then(|state| invalid.check("state", state.parse()));
    let factor = query.factor.and_then(|factor| invalid.check("factor", factor.parse()));
    invalid.finish()?;
    let text = query.query.filter(|part| !part.is_empty());
    let filter = UserFilter { query: text, role, disabled: query.disabled, state, factor, plan: query.plan };
    let users = identity.list_users(&ctx, &filter, &page_query(query.limit, query.cursor)?).await?;
    Ok(Json(users.map(|user| AccountView::of(&user, &identity)).into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateUser {
    #[schema(example = "zoe@example.com")]
    email: String,
    #[schema(example = "Zoë")]
    name: String,
    /// `user` unless told.
    #[serde(default)]
    role: Option<String>,
    /// Without one, a link to choose it is made.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CreatedView {
    user: AccountView,
    /// Where its owner chooses a password, once; only when none was given.
    #[schema(required)]
    set_password_url: Option<String>,
}

/// Create an account for somebody
///
/// Its address counts as confirmed.
#[utoipa::path(post, path = "/api/v1/admin/users", tag = "identity", request_body = CreateUser, security(("bearer" = []), ("session" = [])),
    responses((status = 201, body = CreatedView), Problem))]
pub(super) async fn create_user(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Json(body): Json<CreateUser>,
) -> Answer<Response> {
    let mut invalid = Invalid::default();
    let email = invalid.check("/email", body.email.parse::<Email>());
    let name = invalid.check("/name", body.name.parse::<Name>());
    let role = invalid.check("/role", body.role.map_or_else(|| Ok(Role::user()), |role| role.parse()));
    let (Some(email), Some(name), Some(role)) = (email, name, role) else {
        invalid.finish()?;
        return Err(Problem::of(&INVALID_FIELDS));
    };
    let created = identity.create_user(&ctx, NewAccount { email, name, role, password: body.password }).await?;
    let set_password_url = created.set_password_url.map(|url| url.expose().to_owned());
    Ok((StatusCode::CREATED, NO_STORE, Json(CreatedView { user: AccountView::of(&created.user, &identity), set_password_url }))
        .into_response())
}

/// Read an account
#[utoipa::path(get, path = "/api/v1/admin/users/{id}", tag = "identity", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = AccountView), Problem))]
pub(super) async fn find_user(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<UserId>,
) -> Answer<Json<AccountView>> {
    Ok(Json(AccountView::of(&identity.find_user(&ctx, id).await?, &identity)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateUser {
    /// What is absent stays.
    #[serde(default)]
    role: Option<String>,
    /// Ends all sessions and keeps the account from signing in.
    #[serde(default)]
    disabled: Option<bool>,
    /// Why: kept in the audit log.
    #[serde(default)]
    reason: Option<String>,
}

/// Change somebody's role, disable or enable them
///
/// Credentials given out before stop working at once. For administrators and owners who have shown lately who they are
/// (`identity.step_up_required` otherwise). Nobody gives a role above their own, and somebody stays owner and administrator.
#[utoipa::path(patch, path = "/api/v1/admin/users/{id}", tag = "identity", params(("id" = String, Path)), request_body = UpdateUser,
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = AccountView), Problem))]
pub(super) async fn update_user(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<UserId>,
    Json(body): Json<UpdateUser>,
) -> Answer<Json<AccountView>> {
    let mut invalid = Invalid::default();
    let role = body.role.and_then(|role| invalid.check("/role", role.parse::<Role>()));
    let reason = checked(&mut invalid, body.reason.as_deref());
    invalid.finish()?;
    // Even where nothing is left to be changed.
    let asked = [(role.is_some(), Permission::GiveRoles), (body.disabled.is_some(), Permission::Disable)];
    asked.into_iter().filter(|(asked, _)| *asked).try_for_each(|(_, permission)| Identity::may(&ctx, permission))?;
    let mut user = identity.find_user(&ctx, id).await?;
    if let Some(role) = role
        && role != user.role
    {
        user = identity.act(&ctx, id, Act::SetRole(role), reason.as_ref()).await?;
    }
    match body.disabled {
        Some(true) if user.disabled_at.is_none() => user = identity.act(&ctx, id, Act::Disable, reason.as_ref()).await?,
        Some(false) if user.disabled_at.is_some() => user = identity.act(&ctx, id, Act::Enable, reason.as_ref()).await?,
        Some(_) | None => {}
    }
    Ok(Json(AccountView::of(&user, &identity)))
}

/// The reason that was given, if any.
pub(super) fn checked(invalid: &mut Invalid, reason: Option<&str>) -> Option<Reason> {
    invalid.check("/reason", Reason::optional(reason.unwrap_or_default())).flatten()
}

/// Sign somebody out everywhere
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}/sessions", tag = "identity", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Signed out"), Problem))]
pub(super) async fn end_sessions(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<UserId>,
) -> Answer<StatusCode> {
    identity.end_sessions(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete an account and everything that is known of its owner
///
/// For good: sessions, links and messages go with it, what webhooks told about them is erased, and receivers are told `user.deleted`. For somebody
/// who asks for it and cannot do it themselves; whoever can uses `DELETE /api/v1/users/me`. The last administrator stays.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}", tag = "identity", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Deleted"), Problem))]
pub(super) async fn delete_user(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<UserId>,
) -> Answer<StatusCode> {
    identity.delete_user(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
