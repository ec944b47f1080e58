//! What operators see of messages, and do with them.

use axum::{
    extract::State as Held,
    response::{IntoResponse, Response},
};
use baluarte_kernel::{Cursor, Page, PageQuery, Timestamp, UserId};
use baluarte_web::{Admin, Invalid, Json, Path, Problem, Query};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Channel, MessageFilter, MessageId, Notify, Phone, ProviderState, State, Stored, Suppression, SuppressionId};

/// It says whom we write to.
const NO_STORE: [(HeaderName, HeaderValue); 1] = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

/// A message without what it says.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageDelivery)]
pub(super) struct MessageView {
    #[schema(value_type = String, example = "msg_0192f0c1d2e37000a1b2c3d4e5f60718")]
    id: MessageId,
    channel: Channel,
    /// As far as to recognise it, unless more was asked for.
    #[schema(example = "z…@example.com")]
    to: String,
    /// Whose account it is about; null for messages to others.
    #[schema(value_type = Option<String>, required, example = "usr_0192f0c1d2e37000a1b2c3d4e5f60718")]
    user_id: Option<UserId>,
    /// Which template.
    #[schema(example = "identity.verify_email")]
    kind: String,
    #[schema(example = "pt")]
    locale: String,
    state: State,
    /// Times it was handed to a provider.
    attempts: u32,
    /// Who was asked last.
    #[schema(required)]
    provider: Option<String>,
    /// The provider's own name for it.
    #[schema(required)]
    provider_reference: Option<String>,
    #[schema(required)]
    last_error: Option<String>,
    /// Not sent after that.
    #[schema(value_type = String, format = DateTime)]
    useful_until: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Since when it has been in its state; null while it is queued.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    ended_at: Option<Timestamp>,
}

impl MessageView {
    fn of(message: Stored, reveal: bool) -> Self {
        Self {
            to: if reveal { message.to.clone() } else { message.redacted_to() },
            id: message.id,
            user_id: message.about,
            channel: message.channel,
            kind: message.kind,
            locale: message.locale,
            state: message.state,
            attempts: message.attempts,
            provider: message.provider,
            provider_reference: message.provider_reference,
            last_error: message.last_error,
            useful_until: message.useful_until,
            created_at: message.created_at,
            ended_at: message.ended_at,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct MessagesQuery {
    #[serde(default)]
    channel: Option<Channel>,
    #[serde(default)]
    state: Option<State>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    user_id: Option<UserId>,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    cursor: Option<Cursor>,
}

/// List messages, the newest first
///
/// What they say is not shown to anybody.
#[utoipa::path(get, path = "/api/v1/admin/messages", tag = "notify",
    params(
        ("channel" = Option<Channel>, Query),
        ("state" = Option<State>, Query),
        ("kind" = Option<String>, Query, description = "Only of this template: `identity.verify_email`"),
        ("to" = Option<String>, Query, description = "Only to this address or number, in full"),
        ("user_id" = Option<String>, Query, description = "Only about this account"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = List<MessageView>), Problem))]
pub(super) async fn list_messages(
    Held(notify): Held<Notify>,
    Admin(ctx, _): Admin,
    Query(query): Query<MessagesQuery>,
) -> Result<Json<List<MessageView>>, Problem> {
    let filter = MessageFilter { channel: query.channel, state: query.state, kind: query.kind, to: query.to, about: query.user_id };
    let page = notify.list_messages(&ctx, &filter, &page_query(query.limit, query.cursor)?).await?;
    Ok(Json(page.map(|message| MessageView::of(message, false)).into()))
}

#[derive(Deserialize)]
pub(super) struct FindQuery {
    #[serde(default)]
    reveal: bool,
}

/// Read what became of a message
///
/// With `reveal=true` the whole recipient, which the audit log records.
#[utoipa::path(get, path = "/api/v1/admin/messages/{id}", tag = "notify",
    params(("id" = String, Path), ("reveal" = Option<bool>, Query, description = "Show the whole recipient")),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = MessageView), Problem))]
pub(super) async fn find_message(
    Held(notify): Held<Notify>,
    Admin(ctx, _): Admin,
    Path(id): Path<MessageId>,
    Query(query): Query<FindQuery>,
) -> Result<Response, Problem> {
    let message = notify.find_message(&ctx, id, query.reveal).await?;
    Ok((NO_STORE, Json(MessageView::of(message, query.reveal))).into_response())
}

/// Send a message again that nobody took
///
/// Only while it is useful: a code that has expired is not sent.
#[utoipa::path(post, path = "/api/v1/admin/messages/{id}/resend", tag = "notify", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 202, body = MessageView), Problem))]
pub(super) async fn resend_message(
    Held(notify): Held<Notify>,
    Admin(ctx, _): Admin,
    Path(id): Path<MessageId>,
) -> Result<Response, Problem> {
    let message = notify.resend_message(&ctx, id).await?;
    Ok((StatusCode::ACCEPTED, Json(MessageView::of(message, false))).into_response())
}

/// How the delivery of messages is doing.
#[derive(Serialize, ToSchema)]
pub(super) struct ProvidersView {
    /// In the order in which they are tried.
    providers: Vec<ProviderView>,
    /// What text messages have used of their budgets in the present hour and day.
    sms_spent: Vec<SpentView>,
    /// Where SendGrid's event webhook is to be pointed at.
    sendgrid_callback: String,
}

/// A provider, as this replica sees it.
#[derive(Serialize, ToSchema)]
struct ProviderView {
    channel: Channel,
    #[schema(example = "smtp")]
    name: String,
    /// It fails, and is left alone for a while.
    open: bool,
}

/// What was spent in one window.
#[derive(Serialize, ToSchema)]
struct SpentView {
    /// `total`, or `country:PT`.
    #[schema(example = "country:PT")]
    budget: String,
    /// The length of the window.
    #[schema(example = 3600)]
    span_seconds: i64,
    messages: i64,
    /// In the currency of `notify.sms_guard.price`.
    cost: f64,
}

/// List the providers of messages and what is spent
#[utoipa::path(get, path = "/api/v1/admin/messages/providers", tag = "notify", security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = ProvidersView), Problem))]
pub(super) async fn list_providers(Held(notify): Held<Notify>, Admin(ctx, _): Admin) -> Result<Json<ProvidersView>, Problem> {
    let view = |ProviderState { channel, name, open }| ProviderView { channel, name, open };
    let spent = notify.spent(&ctx).await.map_err(crate::NotifyError::from)?;
    let spent = spent.into_iter().map(|spent| SpentView {
        budget: spent.bucket,
        span_seconds: spent.span_us / 1_000_000,
        messages: spent.messages,
        cost: spent.cost as f64 / 1_000_000.0,
    });
    Ok(Json(ProvidersView {
        providers: notify.provider_states().into_iter().map(view).collect(),
        sms_spent: spent.collect(),
        sendgrid_callback: notify.sendgrid_callback_url(),
    }))
}

/// An address to which nothing is sent.
#[derive(Serialize, ToSchema)]
pub(super) struct SuppressionView {
    #[schema(value_type = String, example = "sup_0192f0c1d2e37000a1b2c3d4e5f60718")]
    id: SuppressionId,
    channel: Channel,
    /// As far as to recognise it: the whole address is stored nowhere. Search for it to see whether it is meant.
    #[schema(example = "z…@example.com")]
    address: String,
    /// `bounced`, `complained`, `opted-out` or `operator`.
    #[schema(example = "bounced")]
    reason: String,
    /// What the provider, or the operator, said.
    #[schema(required)]
    detail: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Until then.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl From<Suppression> for SuppressionView {
    fn from(Suppression { id, channel, address, reason, detail, created_at, expires_at, .. }: Suppression) -> Self {
        Self { id, channel, address, reason, detail, created_at, expires_at }
    }
}

#[derive(Deserialize)]
pub(super) struct SuppressionsQuery {
    #[serde(default)]
    channel: Option<Channel>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    cursor: Option<Cursor>,
}

/// List addresses to which nothing is sent, the newest first
#[utoipa::path(get, path = "/api/v1/admin/suppressions", tag = "notify",
    params(
        ("channel" = Option<Channel>, Query),
        ("address" = Option<String>, Query, description = "Only this address or number, in full"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("bearer" = []), ("session" = [])), responses((status = 200, body = List<SuppressionView>), Problem))]
pub(super) async fn list_suppressions(
    Held(notify): Held<Notify>,
    Admin(ctx, _): Admin,
    Query(query): Query<SuppressionsQuery>,
) -> Result<Response, Problem> {
    let page = page_query(query.limit, query.cursor)?;
    let page = notify.list_suppressions(&ctx, query.channel, query.address.as_deref(), &page).await?;
    Ok((NO_STORE, Json(List::from(page.map(SuppressionView::from)))).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddSuppression {
    channel: Channel,
    #[schema(example = "zoe@example.com")]
    address: String,
    /// Why, for whoever looks later.
    #[serde(default)]
    detail: Option<String>,
}

/// Send nothing to an address any more
#[utoipa::path(post, path = "/api/v1/admin/suppressions", tag = "notify", request_body = AddSuppression,
    security(("bearer" = []), ("session" = [])), responses((status = 201, body = SuppressionView), Problem))]
pub(super) async fn add_suppression(
    Held(notify): Held<Notify>,
    Admin(ctx, _): Admin,
    Json(body): Json<AddSuppression>,
) -> Result<Response, Problem> {
    let mut invalid = Invalid::default();
    let plausible = match body.channel {
        Channel::Email => body.address.contains('@') && (3..=254).contains(&body.address.len()),
        Channel::Sms => body.address.parse::<Phone>().is_ok(),
    };
    if !plausible {
        invalid.add("/address", "expected an address such as zoe@example.com, or a number such as +351912345678");
    }
    if body.detail.as_ref().is_some_and(|detail| detail.chars().count() > 200) {
        invalid.add("/detail", "is at most 200 characters");
    }
    invalid.finish()?;
    let added = notify.add_suppression(&ctx, body.channel, &body.address, body.detail).await?;
    Ok((StatusCode::CREATED, NO_STORE, Json(SuppressionView::from(added))).into_response())
}

/// Send to an address again
#[utoipa::path(delete, path = "/api/v1/admin/suppressions/{id}", tag = "notify", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Taken off the list"), Problem))]
pub(super) async fn remove_suppression(
    Held(notify): Held<Notify>,
    Admin(ctx, _): Admin,
    Path(id): Path<SuppressionId>,
) -> Result<StatusCode, Problem> {
    notify.remove_suppression(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct List<T> {
    items: Vec<T>,
    /// For `?cursor=`; null on the last page.
    #[schema(value_type = Option<String>, required)]
    next_cursor: Option<Cursor>,
}

impl<T> From<Page<T>> for List<T> {
    fn from(page: Page<T>) -> Self {
        Self { items: page.items, next_cursor: page.next_cursor }
    }
}

/// Which page is wanted; 422 for a size that there is not.
fn page_query(limit: Option<u32>, cursor: Option<Cursor>) -> Result<PageQuery, Problem> {
    let mut invalid = Invalid::default();
    if limit.is_some_and(|limit| limit == 0 || limit > PageQuery::MAX) {
        invalid.add("limit", format!("is 1 to {}", PageQuery::MAX));
    }
    invalid.finish()?;
    Ok(PageQuery { limit, cursor })
}
