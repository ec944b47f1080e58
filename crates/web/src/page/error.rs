//! A problem as people see it.

use askama::Template;
use http::{StatusCode, header};

use super::{Page, Words, asset_url};
use crate::{Problem, RenderContext, fill};

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    t: &'static Words,
    origin: &'a str,
    icon: &'a str,
    status: u16,
    title: &'a str,
    explanation: &'a str,
    remedy: &'a str,
    wait: Option<String>,
    sign_in: bool,
    /// Whoever may not sees there who they are and what they have, and can sign in as somebody else.
    account: bool,
    request_id: &'a str,
    code: &'a str,
}

/// What is shown never contains `detail`: it is English, and made for programs.
pub(crate) fn error_page(problem: &Problem, cx: &RenderContext<'_>) -> String {
    let t = Words::of(cx.locale);
    let doc = problem.doc;
    let title = doc.title.get(cx.locale);
    let wait = problem.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).map(|seconds| fill(t.wait, &[seconds]));
    let content = ErrorPage {
        t,
        origin: &cx.site.assets_origin,
        icon: asset_url("icon.svg"),
        status: problem.status.as_u16(),
        title,
        explanation: doc.explanation.get(cx.locale),
        remedy: doc.remedy.get(cx.locale),
        wait,
        sign_in: problem.status == StatusCode::UNAUTHORIZED,
        account: problem.status == StatusCode::FORBIDDEN,
        request_id: cx.request_id,
        code: problem.code,
    };
    // Rendering into memory fails only if a template's own code does, and these have none.
    Page::new(cx.site, cx.locale, cx.path, title, true).render(&content).unwrap_or_else(|_| title.to_owned())
}
