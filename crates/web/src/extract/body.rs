//! Bodies: JSON and forms.

use std::error::Error;

use axum::{
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};

use crate::problem::{
    BODY_TOO_LARGE, BODY_TOO_SLOW, INTERNAL, INVALID_FIELDS, MALFORMED_BODY, MALFORMED_JSON, Problem, UNSUPPORTED_MEDIA_TYPE,
};

/// Why a body could not be read to its end; whoever makes the request's body puts it into the chain of its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyTrouble {
    #[error("the body is larger than allowed")]
    TooLarge,
    #[error("the body came too slowly")]
    TooSlow,
}

/// A JSON body, read or written.
///
/// Reading refuses: 415 another content type, 413 too large, 408 too slow, 400 not JSON, 422 what is not an object, and every
/// missing, unknown or wrong field with its JSON Pointer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !media_type(request.headers()).is_some_and(|kind| kind == "application/json" || kind.ends_with("+json")) {
            return Err(unsupported("application/json"));
        }
        parse_json(&read(request, state).await?).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(err) => Problem::internal(&err).into_response(),
        }
    }
}

/// An HTML form, `application/x-www-form-urlencoded`.
///
/// A missing field is a 422; pages that show the form again therefore give their fields `#[serde(default)]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if media_type(request.headers()).as_deref() != Some("application/x-www-form-urlencoded") {
            return Err(unsupported("application/x-www-form-urlencoded"));
        }
        super::url::parse_pairs(&read(request, state).await?, "/").map(Self)
    }
}

/// The essence of `Content-Type`, lower case, without parameters.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn unsupported(expected: &str) -> Problem {
    Problem::of(&UNSUPPORTED_MEDIA_TYPE).detail(format!("send Content-Type: {expected}"))
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&rejection);
        while let Some(err) = cause {
            if let Some(trouble) = err.downcast_ref::<BodyTrouble>() {
                return Problem::of(match trouble {
                    BodyTrouble::TooLarge => &BODY_TOO_LARGE,
                    BodyTrouble::TooSlow => &BODY_TOO_SLOW,
                });
            }
            cause = err.source();
        }
        // axum's own limit hides its error from the chain.
        Problem::of(if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE { &BODY_TOO_LARGE } else { &MALFORMED_BODY })
    })
}

fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // serde takes a list for the fields of a struct in their order; nobody promised that order.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        super::structure::mistakes::<T>(body)?;
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|err| {
        let pointer = pointer(err.path());
        json_problem::<T>(pointer, err.inner(), body)
    })?;
    reader.end().map_err(|err| json_problem::<T>(String::new(), &err, body))?;
    if has_nul(body) {
        return Err(Problem::of(&INVALID_FIELDS).field("", "text must not contain the character U+0000"));
    }
    Ok(value)
}

fn json_problem<T: DeserializeOwned>(pointer: String, err: &serde_json::Error, body: &[u8]) -> Problem {
    match err.classify() {
        serde_json::error::Category::Data => match super::structure::mistakes::<T>(body) {
            Err(problem) => problem,
            // Something that only the text shows, such as a field that is there twice.
            Ok(()) => {
                let text = err.to_string();
                let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
                Problem::of(&INVALID_FIELDS).field(pointer, without_value(text))
            }
        },
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof => Problem::of(&MALFORMED_JSON).detail(err.to_string()),
        // Reading from memory has no input to fail.
        serde_json::error::Category::Io => Problem::of(&INTERNAL),
    }
}

/// `invalid type: string "hunter2", expected u32` → `invalid type: string, expected u32`: what was sent may be a secret.
pub(super) fn without_value(text: &str) -> String {
    match (text.strip_prefix("invalid ").and_then(|rest| rest.split_once(": ")), text.rsplit_once(", expected ")) {
        (Some((kind, found)), Some((_, expected))) => {
            let found = found.split([' ', ',']).next().unwrap_or_default();
            format!("invalid {kind}: {found}, expected {expected}")
        }
        _ => text.to_owned(),
    }
}

pub(super) fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&escape(key));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// RFC 6901, section 3.
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// JSON can only write U+0000 as `\u0000`. PostgreSQL cannot store it, so nobody gets to see it.
fn has_nul(body: &[u8]) -> bool {
    body.windows(6)
        .enumerate()
        .any(|(at, window)| window == br"\u0000" && body[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read into")]
    struct Order {
        email: String,
        items: Vec<Item>,
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read into")]
    struct Item {
        #[serde(rename = "a/b")]
        count: u32,
    }

    fn refused(body: &str) -> (u16, Vec<(String, String)>) {
        let problem = parse_json::<Order>(body.as_bytes()).unwrap_err();
        (problem.status.as_u16(), problem.errors.into_iter().map(|error| (error.pointer, error.detail)).collect())
    }

    #[test]
    fn what_is_not_json_is_a_400() {
        for body in ["", "{", "{]", "nope", r#"{"email":"a","items":[]} x"#, "\u{feff}{}"] {
            assert_eq!(refused(body), (400, vec![]), "{body}");
        }
    }

    #[test]
    fn a_wrong_field_is_a_422_with_its_pointer() {
        let one = |pointer: &str, detail: &str| (422, vec![(pointer.to_owned(), detail.to_owned())]);
        assert_eq!(refused(r#"{"items":[]}"#), one("/email", "is required"));
        assert_eq!(refused(r#"{"email":"a","items":[{}]}"#), one("/items/0/a~1b", "is required"));
        assert_eq!(
            refused(r#"{"email":"a","items":[{"a/b":1},{"a/b":"hunter2"}]}"#),
            one("/items/1/a~1b", "invalid type: string, expected u32")
        );
        assert_eq!(refused(r#"{"email":311.0,"items":[]}"#), one("/email", "invalid type: floating, expected a string"));
        assert_eq!(refused("[]").0, 422);
    }

    #[test]
    fn the_character_nul_never_reaches_the_database() {
        assert_eq!(refused(r#"{"email":"a\u0000","items":[]}"#).0, 422);
        assert!(parse_json::<Order>(br#"{"email":"a\\u0000","items":[]}"#).is_ok());
    }
}
