//! Who calls.

use std::{convert::Infallible, sync::Arc};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use baluarte_kernel::{Ctx, Principal};
use http::request::Parts;

use crate::problem::{INTERNAL, Problem};

/// Anybody, signed in or not. The server's middleware puts the [`Ctx`] into the request.
#[derive(Debug, Clone)]
pub struct Caller(pub Ctx);

/// Somebody who has signed in; 401 for others.
#[derive(Debug, Clone)]
pub struct SignedIn(pub Ctx, pub Arc<Principal>);

/// Somebody who has signed in, or a program with an API key; 401 for others. What it may do is for the use case to ask:
/// [`Ctx::user_with`] or [`Ctx::require_scope`].
#[derive(Debug, Clone)]
pub struct Keyed(pub Ctx);

/// An administrator; 401 or 403 for others.
#[derive(Debug, Clone)]
pub struct Admin(pub Ctx, pub Arc<Principal>);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Ctx>() {
            Some(ctx) => Ok(Self(ctx.clone())),
            None => {
                tracing::error!(target: "web", path = parts.uri.path(), "no context on the request: its middleware is missing");
                Err(Problem::of(&INTERNAL))
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Caller(ctx) = Caller::from_request_parts(parts, state).await?;
        let principal = ctx.user().map_err(|denied| Problem::forbidden(&denied))?.clone();
        Ok(Self(ctx, principal))
    }
}

impl<S: Sync> FromRequestParts<S> for Keyed {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Caller(ctx) = Caller::from_request_parts(parts, state).await?;
        if ctx.principal().is_none() {
            return Err(Problem::sign_in_required());
        }
        Ok(Self(ctx))
    }
}

/// `Option<SignedIn>`: pages that send people to the sign-in page instead of refusing.
impl<S: Sync> OptionalFromRequestParts<S> for SignedIn {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Infallible> {
        Ok(<Self as FromRequestParts<S>>::from_request_parts(parts, state).await.ok())
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let SignedIn(ctx, principal) = <SignedIn as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        ctx.require_admin().map_err(|denied| Problem::forbidden(&denied))?;
        Ok(Self(ctx, principal))
    }
}
