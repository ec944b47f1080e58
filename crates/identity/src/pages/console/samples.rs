//! The pages with made-up people.

use std::time::Duration;

use axum::response::Response;
use baluarte_kernel::{Locale, Page, SessionId};
use http::StatusCode;

use super::{
    user::{self, Look},
    users::{self, Asked},
};
use crate::{
    Factor, FactorKind, Session, SessionKind, Throttled, User, UserDetails,
    pages::tests::{CHROME, NOW, visit},
    permissions::POSTS,
};

fn somebody() -> User {
    let mut user = crate::pages::tests::user("Zoë Fernández");
    user.disabled_at = Some(NOW);
    user.reset_required_at = Some(NOW);
    user
}

fn details(user: User, post: usize) -> UserDetails {
    let session = Session {
        id: SessionId::generate(),
        kind: SessionKind::Cookie,
        user_agent: Some(CHROME.to_owned()),
        ip: "203.0.113.7".parse().ok(),
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: NOW.plus(Duration::from_secs(60)),
        current: false,
    };
    UserDetails {
        user,
        factors: vec![Factor { kind: FactorKind::Totp, confirmed_at: NOW, last_used_at: Some(NOW) }],
        passkeys: Vec::new(),
        recovery_codes: 7,
        sessions: Page { items: vec![session], next_cursor: None },
        trusted: Vec::new(),
        throttles: vec![Throttled { what: "sign_in", network: None, failures: 22, blocked_until: Some(NOW) }],
        alerts: vec![crate::Alert { kind: crate::AlertKind::RefreshReused, user_agent: None, ip: "203.0.113.7".parse().ok(), at: NOW }],
        messages: Vec::new(),
        entries: Vec::new(),
        may: POSTS[post].may.to_vec(),
    }
}

pub(in crate::pages) fn pages(locale: Locale) -> Vec<(&'static str, Response)> {
    let (list, one) = (visit(locale, "/console/users"), visit(locale, "/console/users/usr_1"));
    let found = Page { items: vec![somebody(), crate::pages::tests::user("Bruno")], next_cursor: None };
    let t = crate::pages::Words::of(locale);
    vec![
        ("console-users", users::page(&list, &Asked::default(), &found)),
        (
            "console-nobody",
            users::page(&list, &Asked { query: "\"x".to_owned(), ..Asked::default() }, &Page { items: Vec::new(), next_cursor: None }),
        ),
        ("console-user", user::page(&one, &details(somebody(), 0), "free", StatusCode::OK, Look::default())),
        (
            "console-user-refused",
            user::page(&one, &details(somebody(), 0), "free", StatusCode::CONFLICT, Look { done: "", alert: t.last_owner }),
        ),
        (
            "console-user-looked-at",
            user::page(&one, &details(crate::pages::tests::user("Bruno"), 3), "free", StatusCode::OK, Look::default()),
        ),
    ]
}
