//! `/docs`: the API's reference, drawn on the server from the OpenAPI document, with a form to try each operation.
//!
//! Our own rather than a bundled viewer, so that it works under the same policy as every page (no inline style, nothing
//! from elsewhere), can be read without JavaScript and by screen readers, and costs kilobytes instead of megabytes.

mod calls;
mod operation;
mod prose;
mod schema;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use askama::Template;
use axum::{Router, extract::State, response::Response, routing::get};
use http::StatusCode;
use serde_json::Value;

use self::{operation::Operation, words::Words};
use crate::{Page, Visit, asset_url};

/// Everything the page says. Worked out for each reader: it is seldom read, and would be held for as long as the server runs.
#[derive(Debug)]
struct Reference {
    version: String,
    description: String,
    groups: Vec<Group>,
}

/// The operations of one tag.
#[derive(Debug)]
struct Group {
    name: String,
    operations: Vec<Operation>,
}

impl Reference {
    fn new(document: &str) -> Self {
        // JSON by construction: it is what /openapi.json serves.
        let document: Value = serde_json::from_str(document).unwrap_or_default();
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let server = text("/servers/0/url");
        let mut groups: Vec<Group> = Vec::new();
        for operation in operation::all(&document, &server) {
            match groups.iter_mut().find(|group| group.name == operation.tag) {
                Some(group) => group.operations.push(operation),
                None => groups.push(Group { name: operation.tag.clone(), operations: vec![operation] }),
            }
        }
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Self { version: text("/info/version"), description: text("/info/description"), groups }
    }
}

#[derive(Template)]
#[template(path = "docs.html")]
struct DocsPage<'a> {
    t: &'static Words,
    reference: &'a Reference,
    script: &'static str,
}

/// `GET /docs` for `document`, an OpenAPI document as JSON; `/openapi.json` is the server's to answer.
pub fn docs_routes(document: Arc<str>) -> Router {
    Router::new().route("/docs", get(show)).route("/docs/", get(show)).with_state(document)
}

async fn show(State(document): State<Arc<str>>, visit: Visit) -> Response {
    let t = Words::of(visit.locale);
    let content = DocsPage { t, reference: &Reference::new(&document), script: asset_url("docs.js") };
    Page::sheet(&visit, t.title).public().respond(StatusCode::OK, &content)
}
