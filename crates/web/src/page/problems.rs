//! `/problems/<code>`: what each error code means, for whoever follows a problem's `type`.

use std::{fmt::Write, sync::Arc};

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use baluarte_kernel::Locale;
use http::StatusCode;

use super::{Page, Visit, Words};
use crate::{Problem, ProblemDoc, problem::NOT_FOUND};

/// Every problem code of the product, in alphabetical order.
#[derive(Debug, Clone)]
pub struct Catalogue(Arc<[&'static ProblemDoc]>);

impl Catalogue {
    /// Ours and the lists of the components (each `PROBLEMS`).
    pub fn new(lists: &[&'static [&'static ProblemDoc]]) -> Self {
        let mut docs: Vec<_> = lists.iter().copied().chain([crate::problem::PROBLEMS]).flatten().copied().collect();
        docs.sort_by_key(|doc| doc.code);
        docs.dedup_by_key(|doc| doc.code);
        Self(docs.into())
    }

    pub fn find(&self, code: &str) -> Option<&'static ProblemDoc> {
        self.0.iter().copied().find(|doc| doc.code == code)
    }

    pub fn iter(&self) -> impl Iterator<Item = &'static ProblemDoc> {
        self.0.iter().copied()
    }

    /// `docs/errors.md`.
    pub fn markdown(&self) -> String {
        let mut out = String::from(
            "# Error codes\n\nEvery refusal is an RFC 9457 problem with one of these codes, explained at `/problems/<code>` of a running server.\n\
             Programs switch on `code`; texts may change.\n\n| code | status | meaning | what to do |\n| --- | --- | --- | --- |\n",
        );
        for doc in self.iter() {
            let cell = |text: &str| text.replace('|', "\\|");
            // Writing into a string cannot fail.
            let _ = writeln!(
                out,
                "| `{}` | {} | {}. {} | {} |",
                doc.code,
                doc.status.as_u16(),
                cell(doc.title.en),
                cell(doc.explanation.en),
                cell(doc.remedy.en)
            );
        }
        out
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    t: &'static Words,
    locale: Locale,
    doc: &'static ProblemDoc,
    status: String,
}

#[derive(Template)]
#[template(path = "problems.html")]
struct ProblemsPage<'a> {
    t: &'static Words,
    locale: Locale,
    docs: &'a [&'static ProblemDoc],
}

pub(super) async fn one(State(catalogue): State<Catalogue>, Path(code): Path<String>, visit: Visit) -> Response {
    let Some(doc) = catalogue.find(&code) else { return Problem::of(&NOT_FOUND).into_response() };
    let content = ProblemPage { t: Words::of(visit.locale), locale: visit.locale, doc, status: doc.status.to_string() };
    Page::sheet(&visit, doc.title.get(visit.locale)).public().respond(StatusCode::OK, &content)
}

pub(super) async fn all(State(catalogue): State<Catalogue>, visit: Visit) -> Response {
    let t = Words::of(visit.locale);
    let content = ProblemsPage { t, locale: visit.locale, docs: &catalogue.0 };
    Page::sheet(&visit, t.all_problems).public().respond(StatusCode::OK, &content)
}
