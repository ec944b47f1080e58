#![doc = include_str!("../README.md")]

mod cross_origin;
mod docs;
mod extract;
mod fallback;
mod invalid;
mod negotiate;
pub mod openapi;
mod outbox;
mod page;
pub mod problem;
mod return_to;
mod security_headers;
mod site;
mod text;

// What the macros `texts!` and `problems!` name.
pub use baluarte_kernel::Locale;
pub use http::StatusCode;

pub use cross_origin::{SameOrigin, cross_origin};
pub use docs::docs_routes;
pub use extract::{Admin, BodyTrouble, Caller, Form, Json, Keyed, Path, Query, SignedIn};
pub use fallback::{method_not_allowed, not_found};
pub use invalid::Invalid;
pub use negotiate::{LANGUAGE_COOKIE, cookie, locale_of, prefers_html};
pub use outbox::{OutboxMessage, outbox_html, outbox_page, samples_page};
pub use page::{Catalogue, Page, Visit, asset_url, language_cookie, page_routes};
pub use problem::{FieldError, Problem, ProblemDoc, RenderContext};
pub use return_to::ReturnTo;
pub use security_headers::{Policy, SecurityHeaders};
pub use site::{Site, WebConfig};
pub use text::{Text, fill};
