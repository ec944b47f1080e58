//! Identity with everything it stands on, and a client that talks to its API without a network.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
};
use baluarte_audit::{Audit, AuditConfig};
use baluarte_backplane::Backplane;
use baluarte_component::{Kit, Tasks};
use baluarte_db::{Db, sea_orm::ConnectionTrait as _, sql};
use baluarte_identity::{Granted, Identity, IdentityConfig, NewAccount, Role, SessionKind, SignIn, User, Welcome};
use baluarte_jobs::{Failure, Job, Jobs, JobsConfig, Run, Subscription};
use baluarte_kernel::{Actor, Clock, Credential, Ctx, FreeForAll, Locale, Published, RequestMeta, Scheme, Secret, SessionId};
use baluarte_limits::{Limits, LimitsConfig};
use baluarte_notify::{Notify, NotifyConfig, Parts};
use baluarte_outbound::{Outbound, Policy};
use baluarte_secrets::Secrets;
use baluarte_telemetry::Metrics;
use baluarte_testkit::TestDb;
use baluarte_web::{OutboxMessage, Problem};
use http::{HeaderMap, Method, Request, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) const PASSWORD: &str = "a rather long password";
pub(crate) const PUBLIC_URL: &str = "https://shop.example";
pub(crate) const BRAND: &str = "Tienda";

/// One replica.
pub(crate) struct App {
    pub(crate) kit: Kit,
    pub(crate) identity: Identity,
    pub(crate) clock: Clock,
    config: IdentityConfig,
    router: Router,
    /// Goes last: the database disappears with it.
    pub(crate) test: Arc<TestDb>,
}

/// A client: where it is and what it carries.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) ip: IpAddr,
    pub(crate) bearer: Option<String>,
    pub(crate) cookie: Option<String>,
}

impl Client {
    pub(crate) fn at(ip: &str) -> Self {
        Self { ip: ip.parse().unwrap(), bearer: None, cookie: None }
    }
    pub(crate) fn with_bearer(self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..self }
    }
    pub(crate) fn with_cookie(self, value: &str) -> Self {
        Self { cookie: Some(value.to_owned()), ..self }
    }
}

/// What is published becomes jobs that nobody does, so that tests can read it.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
struct Hear(Published);

impl Job for Hear {
    const KIND: &'static str = "test.hear";
    type Deps = ();
    async fn run(self, _: Run, (): ()) -> Result<(), Failure> {
        Ok(())
    }
}

/// Somebody in the office.
pub(crate) fn home() -> Client {
    Client::at("203.0.113.7")
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The problem's code, or nothing.
    pub(crate) code: &'static str,
    pub(crate) pointers: Vec<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Reply {
    pub(crate) fn text(&self, pointer: &str) -> String {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {}", self.json)).to_owned()
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.code), (status, code), "{} {:?}", self.json, self.pointers);
        self
    }
}

impl App {
    /// Names of the events that were published, in order.
    pub(crate) async fn events(&self) -> Vec<String> {
        let statement = sql(self.db().read(), "SELECT payload FROM jobs WHERE kind = 'test.hear' ORDER BY id", []);
        let rows = self.db().read().query_all_raw(statement).await.unwrap();
        let name = |text: String| serde_json::from_str::<Published>(&text).unwrap().event.name().to_owned();
        rows.iter().map(|row| name(row.try_get("", "payload").unwrap())).collect()
    }

    pub(crate) async fn start(test: TestDb) -> Self {
        Self::with(test, |_| {}).await
    }

    pub(crate) async fn with(test: TestDb, change: impl FnOnce(&mut IdentityConfig)) -> Self {
        let mut config = IdentityConfig::default();
        change(&mut config);
        Self::build(Arc::new(test), config, generous(), None, dev_outbox()).await
    }

    /// With other ways to send messages than the outbox of development.
    pub(crate) async fn with_notify(test: TestDb, notify: NotifyConfig) -> Self {
        Self::build(Arc::new(test), IdentityConfig::default(), generous(), None, notify).await
    }

    /// With the built-in limits, which the other tests do not want to run into.
    pub(crate) async fn with_built_in_limits(test: TestDb) -> Self {
        Self::build(Arc::new(test), IdentityConfig::default(), LimitsConfig::default(), None, dev_outbox()).await
    }

    /// Another process on the same database, that hears nothing of this one's hints.
    pub(crate) async fn replica(&self) -> Self {
        self.restarted(|_| {}).await
    }

    /// The same after a restart with another configuration.
    pub(crate) async fn restarted(&self, change: impl FnOnce(&mut IdentityConfig)) -> Self {
        let mut config = self.config.clone();
        change(&mut config);
        Self::build(self.test.clone(), config, generous(), None, dev_outbox()).await
    }

    /// Another process on the same database and backplane.
    pub(crate) async fn neighbour(&self) -> Self {
        Self::build(self.test.clone(), self.config.clone(), generous(), Some(self.kit.backplane.clone()), dev_outbox()).await
    }

    async fn build(
        test: Arc<TestDb>,
        config: IdentityConfig,
        limits: LimitsConfig,
        backplane: Option<Backplane>,
        notify: NotifyConfig,
    ) -> Self {
        let clock = test.clock.clone();
        let db = test
            .open(&[baluarte_audit::MIGRATIONS, baluarte_jobs::MIGRATIONS, baluarte_identity::MIGRATIONS, baluarte_notify::MIGRATIONS])
            .await;
        let backplane = backplane.unwrap_or_else(|| Backplane::local(clock.clone()));
        let secrets = Secrets::new(&Secret::new("a secret key for tests, longer than 32 bytes"), &Secret::new("salt"));
        let audit = Audit::start(&AuditConfig::default(), baluarte_audit::Parts::new(&db, &secrets, &clock)).await.unwrap();
        let heard = [Subscription::of::<Hear>(&[])];
        let jobs = Jobs::new(&JobsConfig::default(), db.clone(), backplane.clone(), secrets.clone(), clock.clone(), heard);
        let parts = Parts {
            db: db.clone(),
            jobs: jobs.clone(),
            audit: audit.clone(),
            secrets: secrets.clone(),
            clock: clock.clone(),
            public_url: PUBLIC_URL.into(),
        };
        let kit = Kit {
            notify: Notify::new(&notify, parts).unwrap(),
            audit,
            jobs,
            limits: Limits::new(&limits, backplane.clone(), &[7; 32]),
            db,
            backplane,
            outbound: Outbound::new(Policy::default()).unwrap(),
            secrets,
            clock: clock.clone(),
            tasks: Tasks::new(tokio::runtime::Handle::current()),
            metrics: Metrics::default(),
            public_url: PUBLIC_URL.into(),
            brand: BRAND.into(),
            secure_cookies: true,
        };
        let identity = Identity::start(&kit, &config, Arc::new(FreeForAll::new(Vec::new()))).await.unwrap();
        let component = identity.component();
        let (router, _) = component.api.split_for_parts();
        let router = router.merge(component.pages);
        Self { kit, identity, clock, config, router, test }
    }

    pub(crate) fn db(&self) -> &Db {
        &self.kit.db
    }

    /// What the server's middleware makes of a request.
    pub(crate) async fn ctx(&self, client: &Client) -> Ctx {
        let credential = match (&client.bearer, &client.cookie) {
            (Some(token), _) => Some(Credential::Bearer(token.clone())),
            (None, Some(value)) => Some(Credential::SessionCookie(value.clone())),
            (None, None) => None,
        };
        let mut actor = Actor::Anonymous;
        if let Some(credential) = credential
            && let Ok(principal) = self.identity.authenticator().authenticate(credential).await
        {
            actor = Actor::User(principal);
        }
        let request = RequestMeta {
            request_id: "test".into(),
            client_ip: client.ip,
            trusted_peer: None,
            scheme: Scheme::Https,
            host: "evil.example".into(),
        };
        Ctx { clock: self.clock.clone(), actor, locale: Locale::En, request: Some(request), user_agent: Some("test/1.0".into()) }
    }

    pub(crate) fn operator(&self) -> Ctx {
        Ctx::operator(self.clock.clone())
    }

    pub(crate) async fn call(&self, client: &Client, method: Method, path: &str, body: Option<Value>) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "evil.example");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |json| Body::from(json.to_string()));
        self.send(client, request.body(body).unwrap()).await
    }

    async fn send(&self, client: &Client, mut request: Request<Body>) -> Reply {
        request.extensions_mut().insert(self.ctx(client).await);
        let (mut parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let problem = parts.extensions.remove::<Problem>();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        let mut headers = parts.headers;
        if let Some(problem) = &problem {
            headers.extend(problem.headers.clone());
        }
        Reply {
            status: parts.status.as_u16(),
            code: problem.as_ref().map_or("", |problem| problem.code),
            pointers: problem.map(|problem| problem.errors.into_iter().map(|error| error.pointer).collect()).unwrap_or_default(),
            headers,
            json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    /// From a browser that has other cookies of ours than its session's.
    pub(crate) async fn post_with_cookie(&self, client: &Client, path: &str, cookie: &str, body: Value) -> Reply {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json").header(header::COOKIE, cookie);
        self.send(client, request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn get(&self, client: &Client, path: &str) -> Reply {
        self.call(client, Method::GET, path, None).await
    }
    pub(crate) async fn post(&self, client: &Client, path: &str, body: Value) -> Reply {
        self.call(client, Method::POST, path, Some(body)).await
    }
    pub(crate) async fn patch(&self, client: &Client, path: &str, body: Value) -> Reply {
        self.call(client, Method::PATCH, path, Some(body)).await
    }
    pub(crate) async fn delete(&self, client: &Client, path: &str, body: Option<Value>) -> Reply {
        self.call(client, Method::DELETE, path, body).await
    }

    /// An account that may sign in, with [`PASSWORD`].
    pub(crate) async fn user(&self, email: &str) -> User {
        self.account(email, "user").await
    }

    pub(crate) async fn account(&self, email: &str, role: &str) -> User {
        let name = email.split('@').next().unwrap();
        let account = NewAccount {
            email: email.parse().unwrap(),
            name: name.parse().unwrap(),
            role: role.parse::<Role>().unwrap(),
            password: Some(Secret::new(PASSWORD)),
        };
        self.identity.create_user(&self.operator(), account).await.unwrap().user
    }

    pub(crate) async fn try_sign_in(&self, from: &Client, email: &str, password: &str) -> Reply {
        self.post(from, "/api/v1/auth/login", json!({"email": email, "password": password})).await
    }

    /// Signs in over the API; the client carries the access token from now on, and here is the refresh token.
    pub(crate) async fn sign_in(&self, email: &str) -> (Client, String) {
        let reply = self.try_sign_in(&home(), email, PASSWORD).await;
        reply.is(200, "");
        (home().with_bearer(&reply.text("/access_token")), reply.text("/refresh_token"))
    }

    /// Signs in as a browser does.
    pub(crate) async fn sign_in_with_cookie(&self, email: &str) -> Client {
        let attempt = SignIn { email: email.to_owned(), password: Secret::new(PASSWORD), session: SessionKind::Cookie, device: None };
        let welcome = self.identity.sign_in(&self.ctx(&home()).await, attempt).await.unwrap();
        let Welcome::In(signed_in) = welcome else { panic!("a second factor is asked for") };
        let Granted::Cookie(cookie) = signed_in.granted else { panic!("a cookie was asked for") };
        home().with_cookie(cookie.value.expose())
    }

    pub(crate) async fn refresh(&self, token: &str) -> Reply {
        self.post(&home(), "/api/v1/auth/refresh", json!({"refresh_token": token})).await
    }

    pub(crate) async fn is_signed_in(&self, client: &Client) -> bool {
        matches!(self.ctx(client).await.actor, Actor::User(_))
    }

    /// Waits for what a replica learns by itself, for a second of real time.
    pub(crate) async fn is_signed_out_within_a_second(&self, client: &Client) -> bool {
        for _ in 0..40 {
            if !self.is_signed_in(client).await {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        false
    }

    /// Waits until nothing that was answered is still being worked on.
    pub(crate) async fn settle(&self) {
        while self.identity.unfinished() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Mails to an address, the latest first.
    pub(crate) async fn mails(&self, to: &str) -> Vec<OutboxMessage> {
        self.settle().await;
        self.kit.notify.outbox(200).await.unwrap().into_iter().filter(|mail| mail.to == to).collect()
    }

    /// The token in the link of the latest mail.
    pub(crate) async fn mailed_token(&self, to: &str) -> String {
        let mails = self.mails(to).await;
        token_in(&mails.first().expect("a mail").text)
    }

    /// Rows of a table that hold a text in a column.
    pub(crate) async fn count(&self, table: &str, column: &str, value: &str) -> i64 {
        let text = format!("SELECT count(*) FROM {table} WHERE {column} = $1");
        let row = self.db().read().query_one_raw(sql(self.db().read(), &text, [value.into()])).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    /// The one text that a statement finds.
    pub(crate) async fn text(&self, statement: &str, value: &str) -> String {
        let row = self.db().read().query_one_raw(sql(self.db().read(), statement, [value.into()])).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    /// Every text that a statement finds.
    pub(crate) async fn texts(&self, statement: &str) -> Vec<String> {
        let rows = self.db().read().query_all_raw(sql(self.db().read(), statement, [])).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    pub(crate) async fn password_hash(&self, user: &User) -> String {
        self.text("SELECT password_hash FROM users WHERE id = $1", &user.id.to_string()).await
    }

    /// Signed-in devices by the dozen, without hashing a password for each.
    pub(crate) async fn fill_with_sessions(&self, user: &User, count: usize) {
        let at = self.clock.now().plus(Duration::from_secs(1)).micros();
        let tx = self.db().begin().await.unwrap();
        for _ in 0..count {
            let statement = "INSERT INTO sessions (id, user_id, kind, refresh_seq, refreshed_at, created_at, last_seen_at, expires_at)
                VALUES ($1, $2, 'tokens', 0, $3, $3, $3, $4)";
            let values = [SessionId::generate().to_string().into(), user.id.to_string().into(), at.into(), (at + 3_600_000_000).into()];
            tx.execute_raw(sql(&tx, statement, values)).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Posts a form as a page does.
    pub(crate) async fn form(&self, path: &str, body: &'static str) -> Reply {
        self.form_as(&home(), path, body).await
    }

    pub(crate) async fn form_as(&self, client: &Client, path: &str, body: &'static str) -> Reply {
        let request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").header("sec-fetch-site", "same-origin");
        self.send(client, request.body(Body::from(body)).unwrap()).await
    }

    /// Changes something behind the product's back.
    pub(crate) async fn execute(&self, tx: &baluarte_db::Tx, statement: &str, value: &str) {
        tx.execute_raw(sql(tx, statement, [value.into()])).await.unwrap();
    }

    pub(crate) fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }
}

/// The token in a mail's link.
pub(crate) fn token_in(text: &str) -> String {
    let (_, rest) = text.split_once("?token=").expect("a link");
    rest.split_whitespace().next().unwrap().to_owned()
}

fn dev_outbox() -> NotifyConfig {
    NotifyConfig { dev_outbox: Some(true), ..NotifyConfig::default() }
}

/// Limits that no test runs into.
fn generous() -> LimitsConfig {
    let limit = json!({"rate": "1000000/min", "burst": 1_000_000});
    serde_json::from_value(
        json!({"login": limit, "account": limit, "forgot-password": limit, "mfa": {"rate": "1000000/min", "burst": 1_000_000}}),
    )
    .unwrap()
}
