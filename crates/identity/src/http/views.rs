//! What several endpoints say.

use baluarte_kernel::{Cursor, Page, PageQuery, Timestamp, UserId};
use baluarte_web::{Invalid, Problem};
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Identity, Refreshed, TokenPair, User};

/// For answers that hold a secret or belong to one person.
pub(super) const NO_STORE: [(HeaderName, HeaderValue); 1] = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

/// An account, as its owner sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct UserView {
    #[schema(value_type = String, example = "usr_0192f0c1d2e37000a1b2c3d4e5f60718")]
    id: UserId,
    #[schema(example = "zoe@example.com")]
    email: String,
    #[schema(example = "Zoë")]
    name: String,
    /// `user`, `admin`, or one that the operator made up.
    #[schema(example = "user")]
    role: String,
    /// The plan's name.
    #[schema(example = "free")]
    plan: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl UserView {
    pub(super) fn of(user: &User, identity: &Identity) -> Self {
        Self {
            id: user.id,
            email: user.email.to_string(),
            name: user.name.to_string(),
            role: user.role.to_string(),
            plan: identity.plan_of(user.id).to_string(),
            created_at: user.created_at,
        }
    }
}

/// A pair of tokens and whose they are.
#[derive(Serialize, ToSchema)]
pub(super) struct TokensView {
    /// For `Authorization: Bearer`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 900)]
    expires_in: u64,
    /// Good for one `POST /api/v1/auth/refresh`.
    refresh_token: String,
    user: UserView,
}

impl TokensView {
    pub(super) fn of(tokens: &TokenPair, user: &User, identity: &Identity) -> Self {
        Self {
            access_token: tokens.access_token.expose().to_owned(),
            token_type: "Bearer",
            // Up: the whole lifetime for a token that was made in the middle of a second.
            expires_in: tokens.expires_in.as_millis().div_ceil(1_000) as u64,
            refresh_token: tokens.refresh_token.expose().to_owned(),
            user: UserView::of(user, identity),
        }
    }

    pub(super) fn refreshed(refreshed: &Refreshed, identity: &Identity) -> Self {
        Self::of(&refreshed.tokens, &refreshed.user, identity)
    }
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
pub(super) fn page_query(limit: Option<u32>, cursor: Option<Cursor>) -> Answer<PageQuery> {
    let mut invalid = Invalid::default();
    if limit.is_some_and(|limit| limit == 0 || limit > PageQuery::MAX) {
        invalid.add("limit", format!("is 1 to {}", PageQuery::MAX));
    }
    invalid.finish()?;
    Ok(PageQuery { limit, cursor })
}

/// What every handler comes back with.
pub(super) type Answer<T> = Result<T, Problem>;
