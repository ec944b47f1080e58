#![doc = include_str!("../README.md")]

mod guard;

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
pub use guard::Private;
use guard::{Forbidden, GuardedResolver, Lookup, check_literal, system_lookup};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::{Client, Url, redirect};
use serde::{Serialize, de::DeserializeOwned};

/// What a client may do and how long it may take.
#[derive(Debug, Clone)]
pub struct Policy {
    /// From asking for the name to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// The whole exchange, redirects and body included.
    pub timeout: Duration,
    /// Of the body, after decompression; more is an error, not a shorter body.
    pub max_response_bytes: usize,
    /// How many redirects are followed; each is held to the rest of this policy.
    pub redirects: usize,
    pub private: Private,
    /// Refuse `http://`.
    pub https_only: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            max_response_bytes: 1 << 20,
            redirects: 0,
            private: Private::Refused,
            https_only: false,
        }
    }
}

/// No text in it holds the address asked for, which may carry a token.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("not an http or https address")]
    BadUrl,
    #[error("only https is allowed")]
    NotHttps,
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
        Self::with_lookup(policy, system_lookup())
    }

    fn with_lookup(policy: Policy, lookup: Lookup) -> Result<Self, OutboundError> {
        let policy = Arc::new(policy);
        let client = Client::builder()
            .user_agent(concat!("Baluarte/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(policy.connect_timeout)
            .timeout(policy.timeout)
            .redirect(redirects(&policy))
            .referer(false)
            // A proxy would resolve names itself, past the guard; and nobody expects it from an environment variable.
            .no_proxy()
            .dns_resolver(Arc::new(GuardedResolver { private: policy.private.clone(), lookup }))
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

    fn check(&self, url: &str) -> Result<Url, OutboundError> {
        let url = Url::parse(url).map_err(|_| OutboundError::BadUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if self.policy.https_only => return Err(OutboundError::NotHttps),
            "http" => {}
            _ => return Err(OutboundError::BadUrl),
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
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(OutboundError::TooLarge(limit));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|err| explain(err, &policy))? {
            if body.len() + chunk.len() > limit {
                return Err(OutboundError::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(BoundedResponse { status: response.status(), headers: std::mem::take(response.headers_mut()), body: body.freeze() })
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
        () if err.is_timeout() => OutboundError::Timeout,
        () if err.is_connect() => OutboundError::Connect(chain.join(": ")),
        () => OutboundError::Failed(chain.join(": ")),
    }
}

#[cfg(test)]
mod tests;
