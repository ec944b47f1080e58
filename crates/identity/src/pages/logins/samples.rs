//! Pages of this folder with made-up content.

use axum::response::Response;
use baluarte_kernel::Locale;
use http::StatusCode;

use super::{Why, account, ask, confirm_page, explain};
use crate::{
    Login, LoginId, ProviderName, ToConnect, WaysIn,
    pages::{
        factors::FactorWords,
        tests::{NOW, signed_in, visit},
    },
};

pub(in crate::pages) fn providers() -> Vec<ProviderName> {
    [("google", "Google"), ("github", "GitHub"), ("work", "Tienda Añil Interna")]
        .map(|(name, title)| ProviderName { name: name.to_owned(), title: title.to_owned() })
        .to_vec()
}

fn login(title: &str, label: &str, usable: bool) -> Login {
    Login {
        id: LoginId::generate(),
        provider: title.to_lowercase(),
        title: title.to_owned(),
        label: label.to_owned(),
        usable,
        created_at: NOW,
        last_used_at: usable.then_some(NOW),
    }
}

fn waiting() -> ToConnect {
    ToConnect { title: "Google".to_owned(), label: "zoe.fernandez@gmail.example".to_owned(), return_to: "/shop".to_owned() }
}

pub(in crate::pages) fn overview(locale: Locale, label: &str) -> Response {
    let ways = WaysIn {
        password: false,
        passkeys: false,
        logins: vec![login("Google", label, true), login("Old", "zoe", false)],
        providers: providers(),
    };
    account::logins_page(&signed_in(), &visit(locale, "/auth/account/logins"), StatusCode::OK, &ways, "")
}

pub(in crate::pages) fn remove(locale: Locale) -> Response {
    let t = super::LoginWords::of(locale);
    account::remove_page(&visit(locale, "/auth/account/logins"), StatusCode::CONFLICT, &login("GitHub", "zoe", true), t.last_way_in)
}

pub(in crate::pages) fn connect(locale: Locale) -> Response {
    ask(&signed_in(), &visit(locale, "/auth/connect"), &waiting())
}

pub(in crate::pages) fn first(locale: Locale, why: &str) -> Response {
    explain(&visit(locale, "/auth/connect"), &waiting(), &Why { why: why.to_owned() }, true)
}

pub(in crate::pages) fn confirm(locale: Locale) -> Response {
    confirm_page(&visit(locale, "/auth/confirm"), FactorWords::of(locale).again, &providers(), "/vault")
}

pub(in crate::pages) fn declined(locale: Locale) -> Response {
    let t = super::LoginWords::of(locale);
    let links = vec![("/auth/with/google".to_owned(), t.try_again), ("/auth/login".to_owned(), t.other_ways)];
    super::page(
        &visit(locale, "/auth/callback/google"),
        StatusCode::FORBIDDEN,
        &baluarte_web::fill(t.declined, &["Google"]),
        t.declined_text,
        &links,
    )
}
