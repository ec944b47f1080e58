//! The frame around every page, and the headers it travels with.

mod assets;
mod error;
mod problems;
mod routes;
mod visit;
mod words;

use askama::Template;
use axum::response::{IntoResponse, Response};
use baluarte_kernel::Locale;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

pub(crate) use self::error::error_page;
use self::words::Words;
pub use self::{
    assets::asset_url,
    problems::Catalogue,
    routes::{language_cookie, page_routes},
    visit::Visit,
};
use crate::{Problem, Site};

/// One page: a title, a frame, and what its own template renders.
#[derive(Debug)]
pub struct Page<'a> {
    frame: Frame<'a>,
    cache: &'static str,
    referrer: &'static str,
}

#[derive(Debug, Template)]
#[template(path = "shell.html")]
struct Frame<'a> {
    site: &'a Site,
    locale: Locale,
    t: &'static Words,
    title: &'a str,
    /// A single task beside the wall, or a sheet of content.
    gate: bool,
    /// Where the language switch comes back to; absent: no switch.
    path: Option<&'a str>,
    links: Vec<Link<'a>>,
    languages: [Locale; 3],
    origin: &'a str,
    icon: &'a str,
    style: &'a str,
    script: &'a str,
    content: String,
}

#[derive(Debug)]
struct Link<'a> {
    href: &'a str,
    label: &'a str,
    current: bool,
}

impl<'a> Page<'a> {
    /// A page with one task (sign in, register): beside the wall on wide screens.
    pub fn gate(visit: &'a Visit, title: &'a str) -> Self {
        Self::new(&visit.site, visit.locale, Some(&visit.path), title, true)
    }

    /// A page of content.
    pub fn sheet(visit: &'a Visit, title: &'a str) -> Self {
        Self::new(&visit.site, visit.locale, Some(&visit.path), title, false)
    }

    fn new(site: &'a Site, locale: Locale, path: Option<&'a str>, title: &'a str, gate: bool) -> Self {
        let frame = Frame {
            site,
            locale,
            t: Words::of(locale),
            title,
            gate,
            path,
            links: Vec::new(),
            languages: Locale::ALL,
            origin: &site.assets_origin,
            icon: asset_url("icon.svg"),
            style: asset_url("style.css"),
            script: asset_url("page.js"),
            content: String::new(),
        };
        Self { frame, cache: "no-store", referrer: "same-origin" }
    }

    /// A link in the page's head.
    #[must_use]
    pub fn link(mut self, href: &'a str, label: &'a str, current: bool) -> Self {
        self.frame.links.push(Link { href, label, current });
        self
    }

    /// The language switch comes back to `path` instead: for forms that are shown again where only POST answers.
    #[must_use]
    pub fn back_to(mut self, path: &'a str) -> Self {
        self.frame.path = Some(path);
        self
    }

    /// The address holds a token: it is told to nobody, not even to our own pages.
    ///
    /// Elsewhere the policy is `same-origin`, because under `no-referrer` browsers send `Origin: null` with forms.
    #[must_use]
    pub fn secret_address(mut self) -> Self {
        self.referrer = "no-referrer";
        self
    }

    /// The same for everybody: may be kept for five minutes. Otherwise pages are never stored.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.cache = "public, max-age=300";
        self
    }

    pub fn respond(self, status: StatusCode, content: &impl Template) -> Response {
        let (site, locale, cache, referrer) = (self.frame.site, self.frame.locale, self.cache, self.referrer);
        match self.render(content) {
            Ok(html) => {
                let mut headers = HeaderMap::with_capacity(10);
                page_headers(&mut headers, site, locale);
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
                headers.insert(header::REFERRER_POLICY, HeaderValue::from_static(referrer));
                (status, headers, html).into_response()
            }
            Err(err) => Problem::internal(&err).into_response(),
        }
    }

    fn render(mut self, content: &impl Template) -> askama::Result<String> {
        self.frame.content = content.render()?;
        self.frame.render()
    }
}

/// Sets what every page of ours carries: type, language, the content security policy and its company.
pub(crate) fn page_headers(headers: &mut HeaderMap, site: &Site, locale: Locale) {
    // Pages may be asked for under a host of the gateway while their style lives on our own.
    let own = if site.assets_origin.is_empty() { String::new() } else { format!(" {}", site.assets_origin) };
    let policy = format!(
        "default-src 'none'; style-src 'self'{own}; script-src 'self'{own}; img-src 'self'{own} data:; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_LANGUAGE, locale.tag()),
        (header::VARY, "accept, accept-language, cookie"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
