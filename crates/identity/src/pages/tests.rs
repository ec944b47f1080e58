//! Every page in every language, without a service behind it. Leaves them under `target/pages` to be looked at.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::response::Response;
use baluarte_kernel::{Actor, Clock, CredentialKind, Ctx, Locale, Page, Principal, Secret, SessionId, Timestamp, UserId};
use baluarte_web::{Problem, RenderContext, Site, Visit, WebConfig, problem};
use http::{StatusCode, header};

use super::{
    account, api_keys, console, email_change, factors, invitation, logins, magic_link, passwords, register, sign_in, verify, words::Words,
};
use crate::{BadPassword, Session, SessionKind, User};

pub(super) const NOW: Timestamp = Timestamp::from_micros(1_795_305_600_000_000);
pub(super) const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1";

pub(super) fn visit(locale: Locale, path: &str) -> Visit {
    Visit {
        site: Site::new(&WebConfig { brand: "Tienda Añil".to_owned(), ..WebConfig::default() }, "https://shop.example"),
        locale,
        path: path.to_owned(),
    }
}

pub(super) fn user(name: &str) -> User {
    User {
        id: UserId::generate(),
        email: "zoe.fernandez@example.com".parse().unwrap(),
        name: name.parse().unwrap(),
        role: crate::Role::user(),
        locale: Locale::Es,
        email_verified_at: Some(NOW),
        disabled_at: None,
        reset_required_at: None,
        last_sign_in_at: None,
        created_at: NOW,
    }
}

fn session(user_agent: &str, ip: &str, current: bool) -> Session {
    Session {
        id: SessionId::generate(),
        kind: SessionKind::Cookie,
        user_agent: Some(user_agent.to_owned()),
        ip: ip.parse().ok(),
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: NOW.plus(Duration::from_secs(86_400)),
        current,
    }
}

pub(super) fn signed_in() -> Ctx {
    let principal = Principal {
        user_id: UserId::generate(),
        email: "zoe.fernandez@example.com".to_owned(),
        name: "Zoë".to_owned(),
        role: "user".to_owned(),
        session_id: None,
        key_id: None,
        epoch: 0,
        scopes: None,
        credential: CredentialKind::SessionCookie,
        issued_at: NOW,
        proven_at: NOW,
        expires_at: NOW,
    };
    Ctx { actor: Actor::User(Arc::new(principal)), ..Ctx::system(Clock::fixed(NOW)) }
}

/// Each page in each of its states.
async fn pages(locale: Locale) -> Vec<(&'static str, Response)> {
    let t = Words::of(locale);
    let at = |path: &str| visit(locale, path);
    let (login, enrol) = (at("/auth/login"), at("/auth/register"));
    let sessions = Page {
        items: vec![
            session(CHROME, "203.0.113.7", true),
            session(SAFARI, "2001:db8::17", false),
            session("curl/8.5.0", "198.51.100.20", false),
        ],
        next_cursor: None,
    };
    let (ok, wrong) = (StatusCode::OK, StatusCode::UNPROCESSABLE_ENTITY);
    let token = Secret::new("link-token");
    let filled = register::Registering {
        name: "Zoë".to_owned(),
        email: "zoe".to_owned(),
        password: Secret::new("hunter2"),
        return_to: "/shop".to_owned(),
    };
    let enrol_wrong =
        register::Wrong { email: t.bad_email, password: super::password_words(t, BadPassword::TooShort), ..register::Wrong::default() };
    let person = user("Zoë Fernández");
    let show = |status, look: &account::Look<'_>| account::account_page(&at("/auth/account"), &person, "free", &sessions, status, look);
    let accepting = invitation::Accepting { token: token.clone(), ..invitation::Accepting::default() };
    let waiting =
        crate::EmailChange { email: "zoe.new@example.com".parse().unwrap(), old_confirmed: true, new_confirmed: false, expires_at: NOW };
    let look = sign_in::Look { email: "zoe@example.com", return_to: "/shop/cart", ..sign_in::Look::default() };
    let mut all = console::samples::pages(locale);
    all.extend(vec![
        ("login", sign_in::render(true, None, &[], &login, ok, sign_in::Look::default())),
        (
            "login-fields",
            sign_in::render(
                true,
                None,
                &[],
                &login,
                wrong,
                sign_in::Look { email_error: t.bad_email, password_error: t.password_missing, email: "zoe", ..look },
            ),
        ),
        (
            "login-wrong",
            sign_in::render(true, None, &[], &login, StatusCode::UNAUTHORIZED, sign_in::Look { alert: t.wrong_credentials, ..look }),
        ),
        (
            "login-unverified",
            sign_in::render(false, None, &[], &login, StatusCode::FORBIDDEN, sign_in::Look { alert: t.not_verified, resend: true, ..look }),
        ),
        ("login-done", sign_in::render(true, None, &[], &login, ok, sign_in::Look { done: t.done_reset, ..sign_in::Look::default() })),
        ("register", register::render(&enrol, &[], ok, &register::Registering::default(), &register::Wrong::default())),
        ("register-wrong", register::render(&enrol, &[], wrong, &filled, &enrol_wrong)),
        ("register-closed", register::not_here(&enrol, &crate::IdentityError::RegistrationClosed)),
        ("check-mail", passwords::check_mail(at("/auth/check-mail"), baluarte_web::Query::default()).await),
        ("forgot", passwords::show_forgot(at("/auth/forgot-password")).await),
        ("forgot-wrong", passwords::ask_address(&at("/auth/forgot-password"), wrong, t.forgot, "/auth/forgot-password", "zoe", true)),
        ("reset", passwords::ask_password(&at("/auth/reset-password?token=x"), ok, &token, "", "")),
        ("reset-wrong", passwords::ask_password(&at("/auth/reset-password"), wrong, &token, "", t.password_common)),
        ("link-dead", passwords::dead_link(&at("/auth/reset-password"), "/auth/forgot-password")),
        ("verify", verify::ask(&at("/auth/verify-email?token=x"), &token)),
        ("account", show(ok, &account::Look { done: t.done_profile, ..account::Look::default() })),
        ("account-wrong", show(wrong, &account::Look { current_error: t.wrong_password, ..account::Look::default() })),
        ("step-totp", factors::samples::step(locale, "totp", false)),
        ("step-email", factors::samples::step(locale, "email", true)),
        ("step-sms", factors::samples::step(locale, "sms", true)),
        ("step-sms-not-sent", factors::samples::step(locale, "sms", false)),
        ("login-passkey", sign_in::render(true, Some(&factors::samples::request()), &[], &login, ok, sign_in::Look::default())),
        ("step-passkey", factors::samples::step(locale, "passkey", false)),
        ("confirm-totp", factors::samples::confirm(locale, "totp")),
        ("confirm-email", factors::samples::confirm(locale, "email")),
        ("confirm-password", factors::samples::confirm_password(locale)),
        ("passkey-new", factors::samples::passkey_new(locale)),
        ("phone", factors::samples::phone(locale, ok)),
        ("phone-wrong", factors::samples::phone(locale, wrong)),
        ("step-recovery-wrong", factors::samples::step(locale, "recovery", true)),
        ("enrol", factors::samples::choose(locale)),
        ("totp", factors::samples::totp(locale)),
        ("codes", factors::samples::codes(locale)),
        ("factors", factors::samples::overview(locale)),
        ("factors-none", factors::samples::nothing_yet(locale)),
        ("factor-remove", factors::samples::remove(locale)),
        ("link-ask", magic_link::ask_page(&at("/auth/magic-link"), ok, "", "/shop", "")),
        ("link-ask-wrong", magic_link::ask_page(&at("/auth/magic-link"), wrong, "zoe", "", t.bad_email)),
        ("link-sent", magic_link::sent_page(&at("/auth/magic-link/sent"), ok, "", "")),
        ("link-sent-wrong", magic_link::sent_page(&at("/auth/magic-link/sent"), wrong, "", t.bad_email)),
        ("link-open", magic_link::open_page(&at("/auth/magic-link"), &token)),
        ("link-other-browser", magic_link::other_browser(&at("/auth/magic-link"))),
        ("login-link", sign_in::render(true, None, &[], &login, ok, sign_in::Look { link: true, ..look })),
        ("invitation", invitation::invitation_page(&at("/auth/invitation"), ok, None, &accepting, &register::Wrong::default())),
        ("invitation-wrong", invitation::invitation_page(&at("/auth/invitation"), wrong, Some(&person.email), &accepting, &enrol_wrong)),
        ("email-change", email_change::change_page(&at("/auth/account/email"), ok, Some(&waiting), "", "", "")),
        ("email-change-wrong", email_change::change_page(&at("/auth/account/email"), wrong, None, "zoe", "", t.bad_email)),
        ("email-confirm-old", email_change::confirm_page(&at("/auth/account/email/confirm"), &waiting, crate::Mailbox::Old, &token)),
        ("email-confirm-new", email_change::confirm_page(&at("/auth/account/email/confirm"), &waiting, crate::Mailbox::New, &token)),
        ("keys", api_keys::samples::overview(locale, "Nightly export")),
        ("keys-none", api_keys::samples::nothing_yet(locale)),
        ("key-new", api_keys::samples::new(locale, "", false)),
        ("key-new-wrong", api_keys::samples::new(locale, "", true)),
        ("key-rotate", api_keys::samples::rotate(locale)),
        ("key-shown", api_keys::samples::made(locale)),
        ("delete", account::ask_before_deleting(&signed_in(), &at("/auth/account/delete"), ok, "", Some(""))),
        ("login-providers", sign_in::render(true, Some(&factors::samples::request()), &logins::samples::providers(), &login, ok, look)),
        ("register-providers", register::render(&enrol, &logins::samples::providers(), ok, &filled, &register::Wrong::default())),
        ("account-without-password", show(ok, &account::Look { no_password: true, connects: true, ..account::Look::default() })),
        ("delete-without-password", account::ask_before_deleting(&signed_in(), &at("/auth/account/delete"), ok, "", None)),
        ("logins", logins::samples::overview(locale, "zoe.fernandez@gmail.example")),
        ("login-remove", logins::samples::remove(locale)),
        ("login-connect", logins::samples::connect(locale)),
        ("login-known", logins::samples::first(locale, "known")),
        ("login-unknown", logins::samples::first(locale, "unknown")),
        ("login-declined", logins::samples::declined(locale)),
        ("confirm-login", logins::samples::confirm(locale)),
        ("signed-out", sign_in::signed_out(at("/auth/signed-out")).await),
    ]);
    all
}

async fn text(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn keep(locale: Locale, name: &str, html: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/pages").join(locale.tag());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.html")), html).unwrap();
}

#[tokio::test]
async fn every_page_speaks_each_language_and_protects_its_visitor() {
    for locale in Locale::ALL {
        for (name, response) in pages(locale).await {
            let headers = response.headers().clone();
            let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
            assert_eq!(header("content-type"), "text/html; charset=utf-8", "{name}");
            assert_eq!(header("content-language"), locale.tag(), "{name}");
            assert_eq!(header("cache-control"), "no-store", "{name}");
            assert_eq!(header("x-content-type-options"), "nosniff", "{name}");
            assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{name}");
            let policy = header("content-security-policy");
            for part in [
                "default-src 'none'",
                "script-src 'self';",
                "style-src 'self';",
                "form-action 'self'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
            ] {
                assert!(policy.contains(part), "{name}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{name}");
            let html = text(response).await;
            keep(locale, name, &html);
            assert!(html.contains(&format!("<html lang=\"{}\">", locale.tag())), "{name}");
            assert!(!html.contains("{}") && !html.contains("{{"), "{name}: a gap was not filled");
            assert_eq!(html.matches("<h1>").count(), 1, "{name}");
            for inline in ["style=\"", " onclick", " onload", "<style", "javascript:"] {
                assert!(!html.contains(inline), "{name}: {inline}");
            }
            assert!(!html.contains("hunter2"), "{name}: a password came back");
            assert_eq!(html.contains("aria-invalid"), html.contains("-error\""), "{name}: errors are linked to their fields");
        }
    }
}

#[tokio::test]
async fn pages_that_hold_a_token_tell_nobody_where_they_are() {
    for (name, response) in pages(Locale::En).await {
        let policy = response.headers()[header::REFERRER_POLICY].clone();
        // What a provider sent back stands in the address of the last one.
        let holds_token = text(response).await.contains("link-token") || name == "login-declined";
        assert_eq!(policy == "no-referrer", holds_token, "{name}");
    }
}

#[tokio::test]
async fn what_people_typed_is_text_and_never_markup() {
    let evil = "\"><script>alert(1)</script>";
    let t = Words::of(Locale::En);
    let here = visit(Locale::En, "/auth/login?return_to=\"><script>alert(1)</script>");
    let sessions = Page { items: vec![session(evil, "::1", false)], next_cursor: None };
    let form = register::Registering {
        name: evil.to_owned(),
        email: evil.to_owned(),
        return_to: evil.to_owned(),
        ..register::Registering::default()
    };
    for response in [
        account::account_page(&here, &user(evil), evil, &sessions, StatusCode::OK, &account::Look::default()),
        api_keys::samples::overview(Locale::En, evil),
        api_keys::samples::new(Locale::En, evil, false),
        register::render(&here, &[], StatusCode::OK, &form, &register::Wrong::default()),
        sign_in::render(
            true,
            None,
            &logins::samples::providers(),
            &here,
            StatusCode::OK,
            sign_in::Look { email: evil, return_to: evil, ..sign_in::Look::default() },
        ),
        passwords::ask_password(&here, StatusCode::OK, &Secret::new(evil), "", t.password_long),
        logins::samples::overview(Locale::En, evil),
    ] {
        let html = text(response).await;
        assert!(html.contains("&#60;script&#62;") && !html.contains("<script>"), "{html}");
    }
}

#[tokio::test]
async fn plan_and_role_are_words_of_the_readers_language_unless_the_operator_named_them() {
    let sessions = Page { items: Vec::new(), next_cursor: None };
    let shown = async |locale, plan, role: &str| {
        let person = User { role: role.parse().unwrap(), ..user("Zoë") };
        text(account::account_page(&visit(locale, "/"), &person, plan, &sessions, StatusCode::OK, &account::Look::default())).await
    };
    for (locale, free, member, admin) in [
        (Locale::En, "Free", "Member", "Administrator"),
        (Locale::Es, "Gratuito", "Miembro", "Administración"),
        (Locale::Pt, "Gratuito", "Membro", "Administração"),
    ] {
        let words = |word: &str| format!("<dd>{word}</dd>");
        let html = shown(locale, "free", "user").await;
        assert!(html.contains(&words(free)) && html.contains(&words(member)), "{html}");
        let html = shown(locale, "pro", "admin").await;
        assert!(html.contains(&words("pro")) && html.contains(&words(admin)), "{html}");
        assert!(shown(locale, "pro", "editor").await.contains(&words("editor")));
        for role in ["owner", "support", "read-only"] {
            assert!(!shown(locale, "pro", role).await.contains(&words(role)), "{role} is a word of ours");
        }
    }
}

#[test]
fn error_pages_are_kept_beside_the_others() {
    let site = Site::default();
    for locale in Locale::ALL {
        for doc in problem::PROBLEMS {
            let cx = RenderContext { request_id: "019a2b4c77aa7c319f31000000000001", locale, prefers_html: true, path: None, site: &site };
            let (_, _, html) = problem::render(&Problem::of(doc).retry_after(Duration::from_secs(5)), &cx);
            keep(locale, &format!("error-{}", doc.code), std::str::from_utf8(&html).unwrap());
        }
    }
}
