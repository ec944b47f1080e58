#![doc = include_str!("../README.md")]

mod guard;
mod signature;

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use guard::{Forbidden, GuardedResolver, check_literal};
pub use guard::{Names, Ports, Private};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::{Client, Url, redirect};
use serde::{Serialize, de::DeserializeOwned};
pub use signature::{BadSigningKey, SigningKey, sign};

/// What a client may do and how long it may take.
#[derive(Debug, Clone)]
pub struct Policy {
    /// From asking for the name to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// The whole exchange, redirects and body included.
    pub timeout: Duration,
    /// Of the body, after decompression.
    pub max_response_bytes: usize,
    /// What becomes of a longer one.
    pub overlong: Overlong,
    /// How many redirects are followed; each is held to the rest of this policy.
    pub redirects: usize,
    pub private: Private,
    pub ports: Ports,
    /// Refuse `http://`.
    pub https_only: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            max_response_bytes: 1 << 20,
            overlong: Overlong::Refused,
            redirects: 0,
            private: Private::Refused,
            ports: Ports::Web,
            https_only: false,
        }
    }
}

/// What becomes of a body that is longer than the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlong {
    /// It is an error: half an answer is none.
    #[default]
    Refused,
    /// Its beginning will do, and the connection is hung up: for answers of which the status is what matters.
    Cut,
}

/// No text in it holds the address asked for, which may carry a token.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("not an http or https address")]
    BadUrl,
    #[error("only https is allowed")]
    NotHttps,
    /// Addresses end up in logs and lists.
    #[error("user and password do not belong into an address; send them in a header")]
    Credentials,
    #[error("port {0} belongs to another protocol")]
    BadPort(u16),
    /// The name or address leads into a private network.
    #[error("not a public address")]
    Forbidden,
    #[error("no answer in time")]
    Timeout,
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    #[error("the answer is not what was expected: {0}")]
    BadAnswer(String),
    #[error("{0}")]
    Failed(String),
}

/// The one HTTP client to the outside world. Cheap to clone; keeps connections alive.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: Client,
    policy: Arc<Policy>,
}

impl Outbound {
    /// # Errors
    /// [`OutboundError::Failed`] when TLS cannot be set up on this machine.
    pub fn new(policy: Policy) -> Result<Self, OutboundError> {
        Self::with_names(policy, Names::of_the_system())
    }

    /// The same, asking somebody else for addresses.
    ///
    /// # Errors
    /// As [`Outbound::new`].
    pub fn with_names(policy: Policy, names: Names) -> Result<Self, OutboundError> {
        let policy = Arc::new(policy);
        let client = Client::builder()
            .user_agent(concat!("Baluarte/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(policy.connect_timeout)
            .timeout(policy.timeout)
            .redirect(redirects(&policy))
            .referer(false)
            // A proxy would resolve names itself, past the guard; and nobody expects it from an environment variable.
            .no_proxy()
            .dns_resolver(Arc::new(GuardedResolver { private: policy.private.clone(), names }))
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .build()
            .map_err(|err| explain(err, &policy))?;
        Ok(Self { client, policy })
    }

    pub fn get(&self, url: &str) -> Request {
        self.request(Method::GET, url)
    }

    pub fn post(&self, url: &str) -> Request {
        self.request(Method::POST, url)
    }

    pub fn request(&self, method: Method, url: &str) -> Request {
        let checked = self.check(url).map(|url| self.client.request(method, url));
        Request { checked, policy: Arc::clone(&self.policy) }
    }

    /// Whether a request to this address would be sent: everything but what its name leads to, which is asked when connecting.
    ///
    /// # Errors
    /// What [`Request::send`] would say.
    pub fn permits(&self, url: &str) -> Result<(), OutboundError> {
        self.check(url).map(drop)
    }

    fn check(&self, url: &str) -> Result<Url, OutboundError> {
        let url = Url::parse(url).map_err(|_| OutboundError::BadUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if self.policy.https_only => return Err(OutboundError::NotHttps),
            "http" => {}
            _ => return Err(OutboundError::BadUrl),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::Credentials);
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if !self.policy.ports.permit(port) {
            return Err(OutboundError::BadPort(port));
        }
        check_literal(&self.policy.private, &url).map_err(|Forbidden| OutboundError::Forbidden)?;
        Ok(url)
    }
}

/// A request being put together; what is wrong with it comes out of [`Request::send`].
#[derive(Debug)]
#[must_use]
pub struct Request {
    checked: Result<reqwest::RequestBuilder, OutboundError>,
    policy: Arc<Policy>,
}

impl Request {
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.map(|it| it.header(name, value))
    }
    pub fn bearer(self, token: &str) -> Self {
        self.map(|it| it.bearer_auth(token))
    }
    pub fn basic(self, user: &str, password: &str) -> Self {
        self.map(|it| it.basic_auth(user, Some(password)))
    }
    pub fn json<T: Serialize + ?Sized>(self, body: &T) -> Self {
        self.map(|it| it.json(body))
    }
    pub fn form<T: Serialize + ?Sized>(self, body: &T) -> Self {
        self.map(|it| it.form(body))
    }
    pub fn body(self, body: Bytes) -> Self {
        self.map(|it| it.body(body))
    }
    /// Shorter or longer than the policy says, for this request.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|it| it.timeout(timeout))
    }

    /// Any status is an answer; look at it.
    pub async fn send(self) -> Result<BoundedResponse, OutboundError> {
        let policy = self.policy;
        let mut response = self.checked?.send().await.map_err(|err| explain(err, &policy))?;
        let limit = policy.max_response_bytes;
        let refuse = policy.overlong == Overlong::Refused;
        if refuse && response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(OutboundError::TooLarge(limit));
        }
        let mut body = BytesMut::new();
        let mut cut = false;
        while let Some(chunk) = response.chunk().await.map_err(|err| explain(err, &policy))? {
            let room = limit - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                if refuse {
                    return Err(OutboundError::TooLarge(limit));
                }
                cut = true;
                break;
            }
        }
        Ok(BoundedResponse { status: response.status(), headers: std::mem::take(response.headers_mut()), body: body.freeze(), cut })
    }

    fn map(mut self, change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder) -> Self {
        self.checked = self.checked.map(change);
        self
    }
}

/// An answer that is whole and not longer than the policy allows.
#[derive(Debug, Clone)]
pub struct BoundedResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// There was more of the body.
    pub cut: bool,
}

impl BoundedResponse {
    /// # Errors
    /// [`OutboundError::BadAnswer`] says where it differs, without quoting it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, OutboundError> {
        serde_json::from_slice(&self.body)
            .map_err(|err| OutboundError::BadAnswer(format!("JSON, line {} column {}", err.line(), err.column())))
    }

    /// With a replacement character where it is not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The resolver sees the names of redirects too, but not hosts written as an address.
fn redirects(policy: &Arc<Policy>) -> redirect::Policy {
    let policy = Arc::clone(policy);
    redirect::Policy::custom(move |attempt| {
        let from_https = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
        let downgrade = attempt.url().scheme() != "https" && (from_https || policy.https_only);
        if attempt.previous().len() > policy.redirects {
            // The redirect itself is the answer.
            attempt.stop()
        } else if downgrade {
            attempt.error("a redirect leads away from https")
        } else if !policy.ports.permit(attempt.url().port_or_known_default().unwrap_or_default()) {
            attempt.error("a redirect leads to a port of another protocol")
        } else if let Err(forbidden) = check_literal(&policy.private, attempt.url()) {
            attempt.error(forbidden)
        } else {
            attempt.follow()
        }
    })
}

fn explain(err: reqwest::Error, policy: &Policy) -> OutboundError {
    let err = err.without_url();
    let mut chain = Vec::new();
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&err);
    while let Some(cause) = source {
        if cause.is::<Forbidden>() {
            tracing::warn!(target: "outbound", private = ?policy.private, "refused to connect to a private address");
            return OutboundError::Forbidden;
        }
        chain.push(cause.to_string());
        source = cause.source();
    }
    chain.dedup();
    match () {
        // First: a connection that took too long has carried nothing, which whoever tries again wants to know.
        () if err.is_connect() => OutboundError::Connect(chain.join(": ")),
        () if err.is_timeout() => OutboundError::Timeout,
        () => OutboundError::Failed(chain.join(": ")),
    }
}

#[cfg(test)]
mod tests;
