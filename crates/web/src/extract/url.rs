//! What the address carries: path segments and the query.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::{INVALID_FIELDS, NOT_FOUND, Problem};

/// The query; a value that does not fit is a 422 that names its parameter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse_pairs(parts.uri.query().unwrap_or_default().as_bytes(), "").map(Self)
    }
}

/// The segments of the path; one that does not fit (a malformed id) names nothing that exists: 404.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) if !parts.uri.path().contains("%00") => Ok(Self(value)),
            _ => Err(Problem::of(&NOT_FOUND)),
        }
    }
}

/// Reads `a=1&b=2`; errors name `prefix` and the key.
pub(super) fn parse_pairs<T: DeserializeOwned>(text: &[u8], prefix: &str) -> Result<T, Problem> {
    if text.contains(&0) || text.windows(3).any(|window| window == b"%00") {
        return Err(Problem::of(&INVALID_FIELDS).field("", "text must not contain the character U+0000"));
    }
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text));
    serde_path_to_error::deserialize(pairs).map_err(|err| {
        let text = err.inner().to_string();
        if let Some(field) = text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
            return Problem::of(&INVALID_FIELDS).field(format!("{prefix}{field}"), "is required");
        }
        let key = err.path().to_string();
        Problem::of(&INVALID_FIELDS).field(if key == "." { prefix.to_owned() } else { format!("{prefix}{key}") }, text)
    })
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::PageQuery;

    use super::*;

    #[test]
    fn a_wrong_parameter_is_a_422_that_names_it() {
        let problem = parse_pairs::<PageQuery>(b"limit=ten", "").unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.errors[0].pointer.as_str()), (422, "limit"));
        let problem = parse_pairs::<PageQuery>(b"cursor=%%%", "").unwrap_err();
        assert_eq!(problem.errors[0].pointer, "cursor");
        assert!(parse_pairs::<PageQuery>(b"limit=10&unknown=1", "").is_ok());
        assert!(parse_pairs::<PageQuery>(b"limit=1%00", "").is_err());
    }
}
