//! The pages: what a browser without JavaScript sees and sends.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use baluarte_identity::{EmailVerification, MagicLinkMode, NewInvitation, Registration};
use baluarte_testkit::each_backend;
use baluarte_web::{Problem, Site, WebConfig};
use http::{HeaderMap, Request, header};
use tower::ServiceExt as _;

use crate::app::{App, Client, PASSWORD, PUBLIC_URL, home};

/// What the browser got.
struct Shown {
    status: u16,
    code: &'static str,
    headers: HeaderMap,
    html: String,
}

impl Shown {
    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    fn leads_to(&self, place: &str) -> &Self {
        assert_eq!((self.status, self.header(header::LOCATION)), (303, place), "{} {}", self.code, self.html);
        self
    }

    #[track_caller]
    fn shows(&self, status: u16, words: &str) -> &Self {
        assert_eq!(self.status, status, "{} {}", self.code, self.html);
        assert!(self.html.contains(words), "{words} is not on the page: {}", self.html);
        self
    }

    /// The session that the answer starts, or nothing.
    fn session(&self) -> Option<String> {
        let cookie = self.header(header::SET_COOKIE).strip_prefix("__Host-baluarte=")?;
        Some(cookie.split(';').next().unwrap().to_owned())
    }
}

async fn send(app: &App, client: &Client, mut request: Request<Body>) -> Shown {
    request.headers_mut().insert(header::ACCEPT, "text/html".parse().unwrap());
    request.extensions_mut().insert(app.ctx(client).await);
    request.extensions_mut().insert(Site::new(&WebConfig::default(), PUBLIC_URL));
    let component = app.identity.component();
    let router = component.api.split_for_parts().0.merge(component.pages);
    let (mut parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let html = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    let code = parts.extensions.remove::<Problem>().map_or("", |problem| problem.code);
    Shown { status: parts.status.as_u16(), code, headers: parts.headers, html }
}

async fn open(app: &App, client: &Client, path: &str) -> Shown {
    send(app, client, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn submit_from(app: &App, client: &Client, site: &str, path: &str, fields: &[(&str, &str)]) -> Shown {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = Request::post(path).header("sec-fetch-site", site).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    send(app, client, request.body(Body::from(body)).unwrap()).await
}

async fn submit(app: &App, client: &Client, path: &str, fields: &[(&str, &str)]) -> Shown {
    submit_from(app, client, "same-origin", path, fields).await
}

each_backend! {
    async fn signing_in_brings_people_back_to_a_path_of_ours_and_nowhere_else(test: TestDb) {
        let app = App::start(test).await;
        app.user("ana@example.com").await;
        for (wanted, got) in
            [("/shop?a=1", "/shop?a=1"), ("", "/auth/account"), ("//evil.example", "/auth/account"), ("https://evil.example", "/auth/account")]
        {
            let fields = [("email", "Ana@example.com"), ("password", PASSWORD), ("return_to", wanted)];
            let shown = submit(&app, &home(), "/auth/login", &fields).await;
            let session = shown.leads_to(got).session().expect("a session");
            let cookie = shown.header(header::SET_COOKIE);
            assert!(["HttpOnly", "Secure", "SameSite=Lax", "Path=/"].iter().all(|part| cookie.contains(part)), "{cookie}");
            open(&app, &home().with_cookie(&session), "/auth/account").await.shows(200, "ana@example.com");
        }
    }

    async fn a_wrong_password_shows_the_form_again_without_it(test: TestDb) {
        let app = App::start(test).await;
        app.user("ana@example.com").await;
        for email in ["ana@example.com", "nobody@example.com"] {
            let shown = submit(&app, &home(), "/auth/login", &[("email", email), ("password", "hunter2hunter2"), ("return_to", "/shop")]).await;
            shown.shows(401, "do not go together").shows(401, email).shows(401, "value=\"/shop\"");
            assert!(!shown.html.contains("hunter2") && shown.session().is_none());
        }
        submit(&app, &home(), "/auth/login", &[]).await.shows(422, "aria-invalid");
    }

    async fn forms_from_other_sites_are_refused(test: TestDb) {
        let app = App::start(test).await;
        app.user("ana@example.com").await;
        let ana = app.sign_in_with_cookie("ana@example.com").await;
        let paths = [
            "/auth/login",
            "/auth/register",
            "/auth/logout",
            "/auth/account/profile",
            "/auth/account/password",
            "/auth/account/sessions/end",
            "/auth/account/sessions/end-others",
            "/auth/account/delete",
            "/auth/invitation",
            "/auth/magic-link/code",
            "/auth/magic-link/confirm",
            "/auth/account/email",
            "/auth/account/email/cancel",
            "/auth/account/email/confirm",
            "/auth/account/email/refuse",
            "/auth/verify-email",
            "/auth/verify-email/resend",
        ];
        for path in paths {
            for site in ["cross-site", "same-site"] {
                let shown = submit_from(&app, &ana, site, path, &[]).await;
                assert_eq!((shown.status, shown.code), (403, "web.cross_origin"), "{path} from {site}");
            }
        }
        assert!(app.is_signed_in(&ana).await);
    }

    async fn pages_of_an_account_send_strangers_to_sign_in_first(test: TestDb) {
        let app = App::start(test).await;
        open(&app, &home(), "/auth/account").await.leads_to("/auth/login?return_to=%2Fauth%2Faccount");
        open(&app, &home(), "/auth/account/delete").await.leads_to("/auth/login?return_to=%2Fauth%2Faccount%2Fdelete");
        for path in ["profile", "password", "sessions/end-others"] {
            let fields = [("name", "X"), ("current_password", PASSWORD), ("new_password", "another long password")];
            submit(&app, &home(), &format!("/auth/account/{path}"), &fields).await.leads_to("/auth/login?return_to=%2Fauth%2Faccount");
        }
    }

    async fn an_account_is_kept_by_its_owner(test: TestDb) {
        let app = App::start(test).await;
        app.user("ana@example.com").await;
        let (ana, other) = (app.sign_in_with_cookie("ana@example.com").await, app.sign_in_with_cookie("ana@example.com").await);
        let shown = submit(&app, &ana, "/auth/account/profile", &[("name", "Ana <i>"), ("locale", "pt")]).await;
        assert!(shown.leads_to("/auth/account?done=profile").header(header::SET_COOKIE).starts_with("baluarte_lang=pt;"));
        open(&app, &ana, "/auth/account?done=profile").await.shows(200, "Ana &#60;i&#62;").shows(200, "Your profile is saved.");
        submit(&app, &ana, "/auth/account/profile", &[("name", " ")]).await.shows(422, "name-error");

        let change = |current, new| [("current_password", current), ("new_password", new)];
        submit(&app, &ana, "/auth/account/password", &change("not it at all", "another long password"))
            .await
            .shows(422, "current_password-error");
        submit(&app, &ana, "/auth/account/password", &change(PASSWORD, "short")).await.shows(422, "new_password-error");
        submit(&app, &ana, "/auth/account/password", &change(PASSWORD, "another long password")).await.leads_to("/auth/account?done=password");
        assert!(app.is_signed_in(&ana).await && !app.is_signed_in(&other).await, "the other devices are signed out");

        submit(&app, &ana, "/auth/account/delete", &[("password", PASSWORD)]).await.shows(422, "password-error");
        let gone = submit(&app, &ana, "/auth/account/delete", &[("password", "another long password")]).await;
        assert!(gone.leads_to("/auth/login?done=deleted").header(header::SET_COOKIE).contains("Max-Age=0"));
        assert!(!app.is_signed_in(&ana).await);
    }

    async fn devices_end_one_by_one_and_signing_out_ends_this_one(test: TestDb) {
        let app = App::start(test).await;
        app.user("ana@example.com").await;
        let (ana, other) = (app.sign_in_with_cookie("ana@example.com").await, app.sign_in_with_cookie("ana@example.com").await);
        let page = open(&app, &ana, "/auth/account").await;
        page.shows(200, "This device");
        let id = page.html.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        submit(&app, &ana, "/auth/account/sessions/end", &[("id", &id)]).await.leads_to("/auth/account?done=session");
        assert!(!app.is_signed_in(&other).await);
        submit(&app, &ana, "/auth/account/sessions/end", &[("id", "ses_nonsense")]).await.leads_to("/auth/account?done=session");
        submit(&app, &ana, "/auth/logout", &[]).await.leads_to("/auth/signed-out");
        assert!(!app.is_signed_in(&ana).await);
        submit(&app, &ana, "/auth/logout", &[]).await.leads_to("/auth/signed-out");
    }

    async fn opening_a_link_changes_nothing_until_its_button_is_pressed(test: TestDb) {
        let app = App::with(test, |config| config.email_verification = EmailVerification::Required).await;
        let fields = [("name", "Zoë"), ("email", "zoe@example.com"), ("password", PASSWORD)];
        submit(&app, &home(), "/auth/register", &fields).await.leads_to("/auth/check-mail?for=verify");
        let token = app.mailed_token("zoe@example.com").await;
        // As scanners of mail do.
        for _ in 0..2 {
            open(&app, &home(), &format!("/auth/verify-email?token={token}")).await.shows(200, &token);
        }
        let sign_in = [("email", "zoe@example.com"), ("password", PASSWORD)];
        submit(&app, &home(), "/auth/login", &sign_in).await.shows(403, "/auth/verify-email/resend");
        submit(&app, &home(), "/auth/verify-email", &[("token", &token)]).await.leads_to("/auth/login?done=verified");
        submit(&app, &home(), "/auth/verify-email", &[("token", "made-up")]).await.shows(410, "/auth/verify-email/resend");
        submit(&app, &home(), "/auth/login", &sign_in).await.leads_to("/auth/account");
    }

    async fn an_address_is_changed_with_two_links_whose_pages_only_ask(test: TestDb) {
        let app = App::start(test).await;
        app.user("ana@example.com").await;
        open(&app, &home(), "/auth/account/email").await.leads_to("/auth/login?return_to=%2Fauth%2Faccount%2Femail");
        let ana = app.sign_in_with_cookie("ana@example.com").await;
        open(&app, &ana, "/auth/account").await.shows(200, "href=\"/auth/account/email\"");
        open(&app, &ana, "/auth/account/email").await.shows(200, "New address");
        let ask = |email: &'static str| [("email", email)];
        submit(&app, &ana, "/auth/account/email", &ask("ana")).await.shows(422, "email-error");
        submit(&app, &ana, "/auth/account/email", &ask("ana@example.com")).await.shows(422, "That is your address already.");
        submit(&app, &ana, "/auth/account/email", &ask("ana@new.example")).await.leads_to("/auth/account/email");
        open(&app, &ana, "/auth/account/email").await.shows(200, "A change to ana@new.example waits");
        let (old, new) = (app.mailed_token("ana@example.com").await, app.mailed_token("ana@new.example").await);
        // As scanners of mail do.
        for token in [&old, &old, &new, &new] {
            open(&app, &home(), &format!("/auth/account/email/confirm?token={token}")).await.shows(200, token).shows(200, "ana@new.example");
        }
        let press = async |path: &str, token: &str| submit(&app, &home(), path, &[("token", token)]).await;
        press("/auth/account/email/confirm", &new).await.shows(200, "one half is done");
        open(&app, &home(), &format!("/auth/account/email/confirm?token={new}")).await.shows(410, "/auth/account/email");
        press("/auth/account/email/confirm", "made-up").await.shows(410, "does not work any more");
        press("/auth/account/email/confirm", &old).await.shows(200, "Your address is changed");
        open(&app, &ana, "/auth/account").await.shows(200, "ana@new.example");

        submit(&app, &ana, "/auth/account/email", &ask("ana@third.example")).await.leads_to("/auth/account/email");
        submit(&app, &ana, "/auth/account/email/cancel", &[]).await.leads_to("/auth/account");
        submit(&app, &ana, "/auth/account/email", &ask("ana@third.example")).await.leads_to("/auth/account/email");
        let old = app.mailed_token("ana@new.example").await;
        press("/auth/account/email/refuse", &old).await.shows(200, "signed out everywhere");
        assert!(!app.is_signed_in(&ana).await);
        let ana = app.sign_in_with_cookie("ana@new.example").await;
        app.pass(Duration::from_secs(601));
        for shown in [open(&app, &ana, "/auth/account/email").await, submit(&app, &ana, "/auth/account/email", &ask("x@example.com")).await] {
            shown.leads_to("/auth/confirm?return_to=%2Fauth%2Faccount%2Femail");
        }
    }

    async fn a_link_from_the_mailbox_signs_in_the_browser_that_asked(test: TestDb) {
        let app = App::with(test, |config| config.magic_link = MagicLinkMode::On).await;
        app.user("ana@example.com").await;
        open(&app, &home(), "/auth/login?return_to=/shop").await.shows(200, "/auth/magic-link?return_to=%2Fshop");
        open(&app, &home(), "/auth/magic-link?return_to=/shop").await.shows(200, "value=\"/shop\"");
        submit(&app, &home(), "/auth/magic-link", &[("email", "ana")]).await.shows(422, "email-error");
        let asked = submit(&app, &home(), "/auth/magic-link", &[("email", "ana@example.com"), ("return_to", "/shop")]).await;
        let browser = asked.leads_to("/auth/magic-link/sent").header(header::SET_COOKIE).split(';').next().unwrap().to_owned();
        open(&app, &home(), "/auth/magic-link/sent").await.shows(200, "Code from the mail");
        let token = app.mailed_token("ana@example.com").await;
        let page = format!("/auth/magic-link?token={token}");
        // On another device, or by a scanner of mail.
        open(&app, &home(), &page).await.shows(409, "Go back to where you asked for the link");
        submit(&app, &home(), "/auth/magic-link/confirm", &[("token", &token)]).await.shows(409, "Go back to where you asked");
        for _ in 0..2 {
            let request = Request::get(&page).header(header::COOKIE, &browser).body(Body::empty()).unwrap();
            send(&app, &home(), request).await.shows(200, &token);
        }
        let press = async |path: &str, fields: &[(&str, &str)]| {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            let request = Request::post(path).header("sec-fetch-site", "same-origin").header(header::COOKIE, &browser);
            let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            send(&app, &home(), request.body(Body::from(body)).unwrap()).await
        };
        press("/auth/magic-link/code", &[("code", "")]).await.shows(422, "Enter the code.");
        press("/auth/magic-link/code", &[("code", "1")]).await.shows(422, "That is not the code");
        assert!(press("/auth/magic-link/confirm", &[("token", &token)]).await.leads_to("/shop").session().is_some());
        press("/auth/magic-link/confirm", &[("token", &token)]).await.shows(410, "/auth/magic-link");
        let off = app.restarted(|config| config.magic_link = MagicLinkMode::Off).await;
        assert!(!open(&off, &home(), "/auth/login").await.html.contains("magic-link"));
        open(&off, &home(), "/auth/magic-link").await.shows(403, "There are no links here");
        submit(&off, &home(), "/auth/magic-link", &[("email", "ana@example.com")]).await.shows(403, "There are no links here");
    }

    async fn an_invitation_asks_for_name_and_password_and_signs_in(test: TestDb) {
        let app = App::with(test, |config| config.registration = Registration::Invite).await;
        let new = |email: Option<&str>| NewInvitation {
            email: email.map(|email| email.parse().unwrap()),
            role: "user".parse().unwrap(),
            max_uses: 1,
            expires_at: None,
            locale: None,
        };
        app.identity.invite(&app.operator(), new(Some("zoe@example.com"))).await.unwrap();
        let token = app.mailed_token("zoe@example.com").await;
        let page = format!("/auth/invitation?token={token}");
        for _ in 0..2 {
            open(&app, &home(), &page).await.shows(200, "zoe@example.com");
        }
        let fields = |name, password| [("token", token.as_str()), ("name", name), ("password", password)];
        submit(&app, &home(), "/auth/invitation", &fields("", "")).await.shows(422, "name-error").shows(422, "password-error");
        submit(&app, &home(), "/auth/invitation", &fields("Zoë", "short")).await.shows(422, "password-error");
        let entered = submit(&app, &home(), "/auth/invitation", &fields("Zoë", PASSWORD)).await;
        assert!(entered.leads_to("/auth/account").session().is_some());
        open(&app, &home(), &page).await.shows(410, "This invitation does not work any more");
        let open_link = app.identity.invite(&app.operator(), new(None)).await.unwrap();
        let path = open_link.url.expose().strip_prefix(PUBLIC_URL).unwrap();
        open(&app, &home(), path).await.shows(200, "name=\"email\"");
        let closed = app.restarted(|config| config.registration = Registration::Closed).await;
        open(&closed, &home(), path).await.shows(403, "Nobody can register here");
        open(&closed, &home(), "/auth/invitation?token=made-up").await.shows(403, "Nobody can register here");
    }

    async fn a_forgotten_password_is_replaced_through_the_mailbox(test: TestDb) {
        let app = App::start(test).await;
        app.user("ana@example.com").await;
        for email in ["ana@example.com", "nobody@example.com"] {
            submit(&app, &home(), "/auth/forgot-password", &[("email", email)]).await.leads_to("/auth/check-mail?for=reset");
        }
        let token = app.mailed_token("ana@example.com").await;
        open(&app, &home(), &format!("/auth/reset-password?token={token}")).await.shows(200, &token);
        submit(&app, &home(), "/auth/reset-password", &[("token", &token), ("password", "short")]).await.shows(422, &token);
        let fields = [("token", token.as_str()), ("password", "another long password")];
        submit(&app, &home(), "/auth/reset-password", &fields).await.leads_to("/auth/login?done=reset");
        submit(&app, &home(), "/auth/reset-password", &fields).await.shows(410, "/auth/forgot-password");
    }

    async fn a_dead_link_is_told_before_anybody_thinks_of_a_password(test: TestDb) {
        let app = App::with(test, |config| config.email_verification = EmailVerification::Required).await;
        app.user("ana@example.com").await;
        let dead = async |path: String, again: &str| {
            let shown = open(&app, &home(), &path).await;
            assert!(!shown.html.contains("name=\"token\""), "{path}: there is nothing to fill in: {}", shown.html);
            shown.shows(410, again);
        };
        let forgot = async || {
            submit(&app, &home(), "/auth/forgot-password", &[("email", "ana@example.com")]).await.leads_to("/auth/check-mail?for=reset");
            app.mailed_token("ana@example.com").await
        };
        let reset = |token: &str| format!("/auth/reset-password?token={token}");
        let verify = |token: &str| format!("/auth/verify-email?token={token}");
        for token in ["", "made-up"] {
            dead(reset(token), "/auth/forgot-password").await;
            dead(verify(token), "/auth/verify-email/resend").await;
        }
        let replaced = forgot().await;
        let used = forgot().await;
        dead(reset(&replaced), "/auth/forgot-password").await;
        dead(verify(&used), "/auth/verify-email/resend").await;
        let fields = [("token", used.as_str()), ("password", "another long password")];
        submit(&app, &home(), "/auth/reset-password", &fields).await.leads_to("/auth/login?done=reset");
        dead(reset(&used), "/auth/forgot-password").await;
        let old = forgot().await;
        open(&app, &home(), &reset(&old)).await.shows(200, &old);
        app.clock.advance(Duration::from_secs(3_600));
        dead(reset(&old), "/auth/forgot-password").await;

        let fields = [("name", "Zoë"), ("email", "zoe@example.com"), ("password", PASSWORD)];
        submit(&app, &home(), "/auth/register", &fields).await.leads_to("/auth/check-mail?for=verify");
        let token = app.mailed_token("zoe@example.com").await;
        submit(&app, &home(), "/auth/verify-email", &[("token", &token)]).await.leads_to("/auth/login?done=verified");
        dead(verify(&token), "/auth/verify-email/resend").await;
    }

    async fn registering_signs_in_or_says_what_is_wrong(test: TestDb) {
        let app = App::start(test).await;
        app.user("ana@example.com").await;
        let shown = submit(&app, &home(), "/auth/register", &[("name", ""), ("email", "x"), ("password", "")]).await;
        shown.shows(422, "name-error").shows(422, "email-error").shows(422, "password-error");
        let fields = |email, password| [("name", "Zoë"), ("email", email), ("password", password), ("return_to", "/shop")];
        submit(&app, &home(), "/auth/register", &fields("zoe@example.com", "short")).await.shows(422, "password-error");
        submit(&app, &home(), "/auth/register", &fields("ana@example.com", PASSWORD)).await.shows(409, "already an account");
        assert!(submit(&app, &home(), "/auth/register", &fields("zoe@example.com", PASSWORD)).await.leads_to("/shop").session().is_some());
        let closed = app.restarted(|config| config.registration = Registration::Closed).await;
        open(&closed, &home(), "/auth/register").await.shows(403, "Nobody can register here");
        submit(&closed, &home(), "/auth/register", &fields("x@example.com", PASSWORD)).await.shows(403, "Nobody can register here");
        assert!(!open(&closed, &home(), "/auth/login").await.html.contains("/auth/register"));
    }
}
