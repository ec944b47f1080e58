//! SendGrid and Twilio as their documentation and their official clients know them, failures included.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub enum Mishap {
    /// This status, these headers, this body; nothing was taken.
    Status(u16, Vec<(&'static str, String)>, Value),
    /// Nothing is taken, and nobody answers.
    Hang,
    /// The line breaks, and nothing was taken.
    DropBeforeAccept,
    /// It was taken, and the line breaks before the answer.
    ResetAfterAccept,
    /// It was taken, and nobody answers.
    HangAfterAccept,
}

impl Mishap {
    /// A bare status.
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new(), json!({}))
    }
}

/// One message that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    pub to: String,
    /// The body as JSON: SendGrid's as it came, Twilio's form as an object.
    pub body: Value,
    /// The name the provider gave it.
    pub reference: String,
}

#[derive(Debug, Default)]
struct Inner {
    mishaps: VecDeque<Mishap>,
    taken: Vec<Taken>,
    /// Requests to send something, taken or not.
    offers: usize,
}

#[derive(Debug, Clone, Default)]
struct Desk(Arc<Mutex<Inner>>);

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("never poisoned: nothing panics under this lock")
    }
}

/// A provider on a port of its own; gone with this value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    _tasks: JoinSet<()>,
}

pub(crate) type Answer = Result<Response<Full<Bytes>>, io::Error>;

impl Server {
    pub(crate) async fn start(answer: impl Fn(Request<()>, Bytes) -> Option<Answer> + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answer.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let answer = answer.clone();
                        async move {
                            let (head, body) = request.into_parts();
                            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                            match answer(Request::from_parts(head, ()), body) {
                                Some(answered) => answered,
                                None => std::future::pending().await,
                            }
                        }
                    });
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
                });
            }
        });
        Self { url, _tasks: tasks }
    }
}

pub(crate) fn reply(status: u16, headers: &[(&'static str, String)], body: &Value) -> Answer {
    let empty = body.is_null();
    let mut response = Response::new(Full::new(if empty { Bytes::new() } else { body.to_string().into() }));
    *response.status_mut() = StatusCode::from_u16(status).expect("a test names a real status");
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().expect("a test's header is valid"));
    }
    if !empty {
        response.headers_mut().insert("content-type", "application/json".parse().expect("a constant is valid"));
    }
    Ok(response)
}

/// Takes the next mishap, if any, and plays it. `None`: everything goes well.
fn play(desk: &Desk, taken: impl FnOnce() -> Result<Taken, Answer>) -> Option<Answer> {
    let mishap = {
        let mut inner = desk.lock();
        inner.offers += 1;
        inner.mishaps.pop_front()
    };
    match mishap {
        Some(Mishap::Status(status, headers, body)) => Some(reply(status, &headers, &body)),
        Some(Mishap::Hang) => None,
        Some(Mishap::DropBeforeAccept) => Some(Err(io::Error::other("the line breaks"))),
        Some(Mishap::ResetAfterAccept) => Some(match taken() {
            Ok(taken) => {
                desk.lock().taken.push(taken);
                Err(io::Error::other("the line breaks"))
            }
            Err(refused) => refused,
        }),
        Some(Mishap::HangAfterAccept) => match taken() {
            Ok(taken) => {
                desk.lock().taken.push(taken);
                None
            }
            Err(refused) => Some(refused),
        },
        None => Some(match taken() {
            Ok(taken) => {
                let answer = accepted(&taken);
                desk.lock().taken.push(taken);
                answer
            }
            Err(refused) => refused,
        }),
    }
}

fn accepted(taken: &Taken) -> Answer {
    if taken.reference.starts_with("SM") {
        let body = json!({ "sid": taken.reference, "status": "queued", "to": taken.to, "error_code": null, "error_message": null });
        return reply(201, &[], &body);
    }
    let sandbox = taken.body.pointer("/mail_settings/sandbox_mode/enable") == Some(&Value::Bool(true));
    reply(if sandbox { 200 } else { 202 }, &[("x-message-id", taken.reference.clone())], &Value::Null)
}

macro_rules! desk {
    ($name:ident) => {
        impl $name {
            /// `http://127.0.0.1:PORT`, for `api_base`.
            pub fn url(&self) -> &str {
                &self.server.url
            }
            /// The next requests go wrong like this, one each.
            pub fn mishaps(&self, mishaps: impl IntoIterator<Item = Mishap>) {
                self.desk.lock().mishaps.extend(mishaps);
            }
            /// From now on nothing goes wrong any more.
            pub fn clear_mishaps(&self) {
                self.desk.lock().mishaps.clear();
            }
            /// Everything that was taken so far.
            pub fn taken(&self) -> Vec<Taken> {
                self.desk.lock().taken.clone()
            }
            /// How often somebody tried to send.
            pub fn offers(&self) -> usize {
                self.desk.lock().offers
            }
        }
    };
}
desk!(FakeSendGrid);
desk!(FakeTwilio);

/// SendGrid v3: `/v3/mail/send`, `/v3/scopes`, and events as its webhook signs them.
#[derive(Debug)]
pub struct FakeSendGrid {
    server: Server,
    desk: Desk,
    key: EcdsaKeyPair,
}

impl FakeSendGrid {
    pub const KEY: &str = "SG.test-key";

    pub async fn start() -> Self {
        let desk = Desk::default();
        let held = desk.clone();
        let server = Server::start(move |head, body| sendgrid(&held, &head, &body)).await;
        Self { server, desk, key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key can be made") }
    }

    /// As SendGrid's settings show it.
    pub fn webhook_key(&self) -> String {
        const HEADER: [u8; 26] =
            *b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
        STANDARD.encode([HEADER.as_slice(), self.key.public_key().as_ref()].concat())
    }

    /// The value of `X-Twilio-Email-Event-Webhook-Signature`.
    pub fn sign(&self, timestamp: &str, body: &[u8]) -> String {
        let signed = self.key.sign(&SystemRandom::new(), &[timestamp.as_bytes(), body].concat()).expect("a key signs");
        STANDARD.encode(signed.as_ref())
    }
}

fn sendgrid(desk: &Desk, head: &Request<()>, body: &[u8]) -> Option<Answer> {
    let errors = |status, field: Option<&str>, message: &str| {
        reply(status, &[], &json!({ "errors": [{ "message": message, "field": field, "help": null }] }))
    };
    let authorized = head.headers().get("authorization").and_then(|it| it.to_str().ok()) == Some(&format!("Bearer {}", FakeSendGrid::KEY));
    if !authorized {
        desk.lock().offers += usize::from(head.method() == "POST");
        return Some(errors(401, None, "The provided authorization grant is invalid, expired, or revoked"));
    }
    match (head.method().as_str(), head.uri().path()) {
        ("GET", "/v3/scopes") => Some(reply(200, &[], &json!({ "scopes": ["mail.send", "sender_verification_eligible"] }))),
        ("POST", "/v3/mail/send") => play(desk, || {
            let body: Value = serde_json::from_slice(body).map_err(|_| errors(400, None, "Bad Request"))?;
            let to = body.pointer("/personalizations/0/to/0/email").and_then(Value::as_str).unwrap_or_default().to_owned();
            if !to
                .split_once('@')
                .is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.') && !to.contains(char::is_whitespace))
            {
                return Err(errors(400, Some("personalizations.0.to.0.email"), "Does not contain a valid address."));
            }
            if body.pointer("/content/0/type") != Some(&json!("text/plain")) {
                return Err(errors(400, Some("content"), "If present, text/plain must be first, followed by text/html"));
            }
            if body["subject"].as_str().unwrap_or_default().is_empty() || body["from"]["email"].as_str().unwrap_or_default().is_empty() {
                return Err(errors(400, Some("from.email"), "The from email does not contain a valid address."));
            }
            Ok(Taken { to, body, reference: format!("{:022x}", rand::random::<u64>()) })
        }),
        _ => Some(errors(404, None, "Not Found")),
    }
}

/// Twilio's API of 2010-04-01: `Messages.json`, the account, and callbacks as it signs them.
#[derive(Debug)]
pub struct FakeTwilio {
    server: Server,
    desk: Desk,
}

impl FakeTwilio {
    pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
    pub const TOKEN: &str = "a-token-for-tests";

    pub async fn start() -> Self {
        let desk = Desk::default();
        let held = desk.clone();
        let server = Server::start(move |head, body| twilio(&held, &head, &body)).await;
        Self { server, desk }
    }

    /// The value of `X-Twilio-Signature`.
    pub fn sign(url: &str, parameters: &[(&str, &str)]) -> String {
        let mut sorted = parameters.to_vec();
        sorted.sort_unstable();
        let text = sorted.iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, Self::TOKEN.as_bytes());
        STANDARD.encode(hmac::sign(&key, text.as_bytes()))
    }
}

/// Where the clocks of tests stand.
const LISTED_AT: &str = "Fri, 15 Jan 2027 08:00:00 +0000";

/// Percent encoding as forms have it.
pub(crate) fn form(text: &[u8]) -> Vec<(String, String)> {
    let decoded = |part: &str| {
        let (mut out, mut bytes) = (Vec::new(), part.bytes());
        while let Some(byte) = bytes.next() {
            out.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                    u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(b'?')
                }
                other => other,
            });
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    let text = String::from_utf8_lossy(text);
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn twilio(desk: &Desk, head: &Request<()>, body: &[u8]) -> Option<Answer> {
    let error = |status: u16, code: u32, message: &str| {
        let more = format!("https://www.twilio.com/docs/errors/{code}");
        reply(status, &[], &json!({ "code": code, "message": message, "more_info": more, "status": status }))
    };
    let wanted = format!("Basic {}", STANDARD.encode(format!("{}:{}", FakeTwilio::ACCOUNT, FakeTwilio::TOKEN)));
    if head.headers().get("authorization").and_then(|it| it.to_str().ok()) != Some(&wanted) {
        desk.lock().offers += usize::from(head.method() == "POST");
        return Some(error(401, 20_003, "Authenticate"));
    }
    let account = format!("/2010-04-01/Accounts/{}", FakeTwilio::ACCOUNT);
    match (head.method().as_str(), head.uri().path().strip_prefix(&account)) {
        ("GET", Some(".json")) => Some(reply(200, &[], &json!({ "sid": FakeTwilio::ACCOUNT, "status": "active" }))),
        ("GET", Some("/Messages.json")) => {
            let query = form(head.uri().query().unwrap_or_default().as_bytes());
            let to = query.into_iter().find(|(name, _)| name == "To").map(|(_, value)| value);
            let listed = desk.lock().taken.iter().filter(|taken| to.as_ref().is_none_or(|to| *to == taken.to)).cloned().collect::<Vec<_>>();
            let listed =
                listed.iter().map(|taken| json!({ "sid": taken.reference, "to": taken.to, "body": taken.body["Body"], "status": "queued", "date_created": LISTED_AT }));
            Some(reply(200, &[], &json!({ "messages": listed.collect::<Vec<_>>() })))
        }
        ("POST", Some("/Messages.json")) => play(desk, || {
            let pairs = form(body);
            let value = |name: &str| pairs.iter().find(|(held, _)| held == name).map(|(_, value)| value.clone()).unwrap_or_default();
            let to = value("To");
            if value("Body").is_empty() {
                return Err(error(400, 21_602, "Message body is required."));
            }
            if value("From").is_empty() && value("MessagingServiceSid").is_empty() {
                return Err(error(400, 21_603, "A 'From' phone number is required."));
            }
            // Twilio's own magic numbers.
            match to.as_str() {
                "+15005550001" => return Err(error(400, 21_211, "The 'To' number +15005550001 is not a valid phone number.")),
                "+15005550009" => return Err(error(400, 21_614, "'To' number is not a valid mobile number")),
                "+15005550004" => return Err(error(400, 21_610, "Attempt to send to unsubscribed recipient")),
                "+15005550003" => return Err(error(400, 21_408, "Permission to send an SMS has not been enabled for the region")),
                _ => {}
            }
            let body = pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            Ok(Taken { to, body: Value::Object(body), reference: format!("SM{:032x}", rand::random::<u128>()) })
        }),
        _ => Some(error(404, 20_404, "The requested resource was not found")),
    }
}
