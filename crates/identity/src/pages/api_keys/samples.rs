//! Each page in some of its states, without a service behind it.

use std::time::Duration;

use axum::response::Response;
use baluarte_kernel::{ApiKeyId, Locale, Period, Secret};
use http::StatusCode;

use super::{KeyWords, Wish, list, new_page, rotation, shown};
use crate::{
    ApiKey, CreatedApiKey,
    pages::tests::{NOW, visit},
};

fn key(name: &str, days: u64, used: bool) -> ApiKey {
    ApiKey {
        id: ApiKeyId::generate(),
        name: name.to_owned(),
        hint: "blt_4fQz".to_owned(),
        scopes: vec!["app".to_owned(), "orders".to_owned()],
        created_at: NOW,
        expires_at: NOW.plus(Duration::from_secs(days * super::DAY)),
        last_used_at: used.then_some(NOW),
        replaced_by: (days == 1).then(ApiKeyId::generate),
    }
}

pub(in crate::pages) fn overview(locale: Locale, name: &str) -> Response {
    let keys = [key(name, 90, true), key("CI", 30, false), key("CI", 1, true), key("Trial", 0, false)];
    list(&visit(locale, super::KEYS), &keys, NOW, KeyWords::of(locale).done_revoked, "")
}

pub(in crate::pages) fn nothing_yet(locale: Locale) -> Response {
    list(&visit(locale, super::KEYS), &[], NOW, "", "")
}

pub(in crate::pages) fn new(locale: Locale, name: &str, wrong: bool) -> Response {
    let t = KeyWords::of(locale);
    let offered = ["profile", "app", "jobs", "monitor", "orders"].map(str::to_owned);
    let wish = Wish { name: name.to_owned(), scopes: vec!["app".to_owned()], days: 90 };
    let (status, errors) = if wrong { (StatusCode::UNPROCESSABLE_ENTITY, (t.bad_name, t.no_scope)) } else { (StatusCode::OK, ("", "")) };
    new_page(&visit(locale, super::NEW), status, &offered, Period::from_secs(365 * super::DAY), &wish, errors)
}

pub(in crate::pages) fn rotate(locale: Locale) -> Response {
    rotation(&visit(locale, super::ROTATE), &key("Nightly export", 90, true))
}

pub(in crate::pages) fn made(locale: Locale) -> Response {
    let secret = Secret::new("blt_00000000000000000000000000000000000000001bNQGD");
    shown(&visit(locale, super::NEW), &CreatedApiKey { key: key("Nightly export", 90, false), secret })
}
