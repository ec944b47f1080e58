//! What deciding costs on one core, without sockets: nanoseconds of processor time per request.
//!
//! `cargo run --release -p baluarte-gateway --example figures`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for measuring")]

use std::{sync::Arc, time::Duration};

use baluarte_backplane::Backplane;
use baluarte_component::Tasks;
use baluarte_gateway::{Gateway, GatewayConfig, Parts};
use baluarte_kernel::{
    AuthError, Authenticator, BoxFuture, Clock, Credential, CredentialKind, FreeForAll, Id, Principal, RequestMeta, Scheme, Timestamp,
    UpstreamIdentity,
};
use baluarte_limits::{Limits, LimitsConfig};
use baluarte_proxy::{Origin, RequestBody, prepare};
use baluarte_telemetry::AccessNote;
use http::Request;

const ROUNDS: u32 = 200_000;
/// As long as an access token.
const TOKEN: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6IjEyMzQ1Njc4OTAifQ.eyJzdWIiOiJ1c3JfMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYiLCJzaWQiOiJzZXNfMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYiLCJyb2xlIjoidXNlciIsImV4cCI6MTc5NTMyNzIwMH0.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2ln";

struct Somebody(Arc<Principal>);

impl Authenticator for Somebody {
    fn authenticate(&self, _: Credential) -> BoxFuture<'_, Result<Arc<Principal>, AuthError>> {
        Box::pin(async { Ok(Arc::clone(&self.0)) })
    }
    fn revocations(&self) -> u64 {
        0
    }
    fn is_revoked(&self, _: &Principal) -> bool {
        false
    }
    fn is_own(&self, _: &str) -> bool {
        true
    }
    fn upstream_identity(&self, _: &Principal, _: &str, _: &str) -> UpstreamIdentity {
        UpstreamIdentity { token: TOKEN.into(), renew_at: Timestamp::from_unix_seconds(i64::from(u32::MAX)) }
    }
}

fn request(path: &str) -> Box<Request<RequestBody>> {
    let request = Request::get(path)
        .header("host", "shop.example")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("user-agent", "figures")
        .header("accept", "*/*")
        .body(RequestBody::empty());
    Box::new(request.unwrap())
}

fn main() {
    let config: GatewayConfig = toml::from_str(
        "[[routes]]\nrespond = {}\nlimits = []\n[[routes]]\npath = \"/members\"\nrespond = {}\naccess = \"signed-in\"\nlimits = [\"mine\"]",
    )
    .unwrap();
    let limits: LimitsConfig = toml::from_str("[mine]\nkey = \"user\"\nrate = \"1000000000/s\"").unwrap();
    let control = tokio::runtime::Runtime::new().unwrap();
    let forever = Clock::System.now().plus(Duration::from_secs(36_000));
    let principal = Principal {
        user_id: Id::generate(),
        email: "ana@example.com".into(),
        name: "Ana".into(),
        role: "user".into(),
        session_id: None,
        key_id: None,
        scopes: None,
        credential: CredentialKind::AccessToken,
        issued_at: Timestamp::default(),
        proven_at: Timestamp::default(),
        epoch: 0,
        expires_at: forever,
    };
    let parts = Parts {
        limits: Limits::new(&limits, Backplane::local(Clock::System), &[7; 32]),
        calls: baluarte_audit::Calls::new(&baluarte_audit::CallsConfig::default()),
        clock: Clock::System,
        tasks: Tasks::new(control.handle().clone()),
        public_url: Arc::from("http://shop.example"),
        own_host: String::new(),
        session_cookie: "baluarte",
        authenticator: Arc::new(Somebody(Arc::new(principal))),
        entitlements: Arc::new(FreeForAll::new(Vec::new())),
    };
    let gateway = Gateway::new(&config, parts).unwrap();
    let core = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&core, async {
        let core = gateway.open_core(0);
        let ip = "192.0.2.1".parse().unwrap();
        let meta = RequestMeta {
            request_id: "0123456789abcdef".into(),
            client_ip: ip,
            trusted_peer: None,
            scheme: Scheme::Https,
            host: "shop.example".into(),
        };
        let origin = Origin { client_ip: ip, trusted_peer: None, scheme: Scheme::Https, host: "shop.example" };
        println!("the future of a call: {} bytes", size_of_val(&core.call(request("/x"), &meta, &mut AccessNote::default())));
        let making = measure(async |path| drop(request(path)), "/members/x").await;
        let public = measure(async |path| drop(core.call(request(path), &meta, &mut AccessNote::default()).await), "/x").await;
        let full = measure(async |path| drop(core.call(request(path), &meta, &mut AccessNote::default()).await), "/members/x").await;
        let dressing = measure(
            async |path| {
                let mut request = request(path);
                drop(prepare(&mut request, &origin, |name| name.starts_with("remote-") || name.starts_with("x-baluarte-")));
            },
            "/x",
        )
        .await;
        println!("making a request           {making:>6} ns (taken off below)");
        println!("public route               {:>6} ns", public.saturating_sub(making));
        println!("signed in, limit by user   {:>6} ns", full.saturating_sub(making));
        println!("headers for the upstream   {:>6} ns", dressing.saturating_sub(making));
    });
}

/// Of the best of five rounds: what disturbs only ever adds.
async fn measure(work: impl AsyncFn(&str), path: &str) -> u128 {
    let mut best = u128::MAX;
    for _ in 0..5 {
        let began = processor_time();
        for _ in 0..ROUNDS {
            work(path).await;
        }
        best = best.min((processor_time() - began).as_nanos() / u128::from(ROUNDS));
    }
    best
}

fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}
