//! Signing in with accounts elsewhere: a browser, a provider, and both of us in between.

mod accounts;
mod providers;

use axum::body::{Body, to_bytes};
use baluarte_identity::{IdentityConfig, ProviderKind};
use baluarte_kernel::Secret;
use baluarte_testkit::FakeProvider;
use baluarte_web::{Problem, Site, WebConfig};
use http::{HeaderMap, Request, header};
use tower::ServiceExt as _;

use crate::app::{App, Client, PUBLIC_URL, home};

/// A browser: it keeps cookies and follows nothing by itself.
#[derive(Clone)]
struct Browser<'a> {
    app: &'a App,
    jar: Vec<(String, String)>,
}

struct Shown {
    status: u16,
    code: &'static str,
    place: String,
    html: String,
}

impl Shown {
    #[track_caller]
    fn leads_to(&self, place: &str) -> &Self {
        assert_eq!((self.status, self.place.as_str()), (303, place), "{} {}", self.code, self.html);
        self
    }

    #[track_caller]
    fn says(&self, status: u16, words: &str) -> &Self {
        assert_eq!(self.status, status, "{} {} {}", self.code, self.place, self.html);
        assert!(self.html.contains(words), "{words} is not on the page: {}", self.html);
        self
    }
}

impl<'a> Browser<'a> {
    fn new(app: &'a App) -> Self {
        Self { app, jar: Vec::new() }
    }

    /// Somebody who has signed in with their password.
    async fn of(app: &'a App, email: &str) -> Self {
        let client = app.sign_in_with_cookie(email).await;
        Self { app, jar: vec![("__Host-baluarte".to_owned(), client.cookie.unwrap())] }
    }

    /// The same browser at another replica.
    fn at<'b>(&self, app: &'b App) -> Browser<'b> {
        Browser { app, jar: self.jar.clone() }
    }

    fn client(&self) -> Client {
        let session = self.jar.iter().find(|(name, _)| name == "__Host-baluarte");
        session.map_or_else(home, |(_, value)| home().with_cookie(value))
    }

    async fn is_in(&self) -> bool {
        self.app.is_signed_in(&self.client()).await
    }

    async fn send(&mut self, mut request: Request<Body>) -> Shown {
        let cookies: Vec<String> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        request.headers_mut().insert(header::ACCEPT, "text/html".parse().unwrap());
        request.extensions_mut().insert(self.app.ctx(&self.client()).await);
        request.extensions_mut().insert(Site::new(&WebConfig::default(), PUBLIC_URL));
        let component = self.app.identity.component();
        let router = component.api.split_for_parts().0.merge(component.pages);
        let (mut parts, body) = router.oneshot(request).await.unwrap().into_parts();
        self.keep(&parts.headers);
        let html = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        let code = parts.extensions.remove::<Problem>().map_or("", |problem| problem.code);
        let place = parts.headers.get(header::LOCATION).map_or("", |place| place.to_str().unwrap()).to_owned();
        Shown { status: parts.status.as_u16(), code, place, html }
    }

    fn keep(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(["HttpOnly", "Secure", "SameSite=Lax", "Path=/"].iter().all(|part| cookie.contains(part)), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.jar.retain(|(held, _)| held != name);
            if !value.is_empty() {
                self.jar.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    async fn open(&mut self, path: &str) -> Shown {
        self.send(Request::get(path).header("sec-fetch-site", "same-origin").body(Body::empty()).unwrap()).await
    }

    async fn press(&mut self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path).header("sec-fetch-site", "same-origin");
        self.send(request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(Body::from(body)).unwrap()).await
    }

    /// Off to the provider, which agrees; where the browser is sent back to.
    async fn visit(&mut self, fake: &FakeProvider, start: &str) -> String {
        let shown = self.open(start).await;
        assert_eq!(shown.status, 303, "{} {}", shown.code, shown.html);
        let back = fake.visit(&shown.place).await;
        back.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("{back} is not ours")).to_owned()
    }

    /// There and back.
    async fn through(&mut self, fake: &FakeProvider, start: &str) -> Shown {
        let back = self.visit(fake, start).await;
        self.send(Request::get(&back).header("sec-fetch-site", "cross-site").body(Body::empty()).unwrap()).await
    }
}

fn provider(config: &mut IdentityConfig, name: &str, kind: ProviderKind, fake: &FakeProvider) {
    let provider = baluarte_identity::ProviderConfig {
        kind,
        issuer: fake.url().to_owned(),
        client_id: FakeProvider::CLIENT.to_owned(),
        client_secret: Secret::new(FakeProvider::SECRET),
        allow_private: true,
        ..baluarte_identity::ProviderConfig::default()
    };
    config.providers.insert(name.to_owned(), provider);
}

const WORK: &str = "/auth/with/work?return_to=%2Fshop";

macro_rules! start {
    ($test:ident, $app:ident, $fake:ident) => {
        start!($test, $app, $fake, |_config| {});
    };
    ($test:ident, $app:ident, $fake:ident, $change:expr) => {
        let $fake = FakeProvider::start($test.clock.clone()).await;
        let change: fn(&mut IdentityConfig) = $change;
        let $app = App::with($test, |config| {
            provider(config, "work", baluarte_identity::ProviderKind::Oidc, &$fake);
            change(config);
        })
        .await;
    };
}

use start;

async fn actions(app: &App) -> Vec<String> {
    app.texts("SELECT action FROM audit_entries WHERE action LIKE 'identity.%' ORDER BY seq").await
}
