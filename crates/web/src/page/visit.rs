use std::convert::Infallible;

use axum::extract::FromRequestParts;
use baluarte_kernel::{Ctx, Locale};
use http::request::Parts;

use crate::{Site, negotiate};

/// What a page needs to know of the request that asks for it.
///
/// The server puts the [`Site`] into the extensions of every request; without it pages carry the default brand.
#[derive(Debug, Clone)]
pub struct Visit {
    pub site: Site,
    pub locale: Locale,
    /// Path and query: where the language switch comes back to.
    pub path: String,
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            site: parts.extensions.get::<Site>().cloned().unwrap_or_default(),
            locale: parts.extensions.get::<Ctx>().map_or_else(|| negotiate::locale_of(&parts.headers), |ctx| ctx.locale),
            path: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}
