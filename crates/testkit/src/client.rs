//! An HTTP client that behaves as a browser or as a program, and follows nothing by itself.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

/// Keeps cookies and a bearer token, and sends `Origin` with a cookie as browsers do. Does not follow redirects.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    cookies: BTreeMap<String, String>,
    bearer: Option<String>,
    headers: Vec<(String, String)>,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    pub fn new(base_url: &str) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // Tests look at what was sent, not at what it means.
            .gzip(false)
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client without special demands can be built");
        Self { http, base_url: base_url.to_owned(), memory: Mutex::default() }
    }

    /// The same person at another replica.
    pub fn at(&self, base_url: &str) -> Self {
        let client = Self::new(base_url);
        {
            let (from, mut to) = (self.memory(), client.memory());
            to.cookies.clone_from(&from.cookies);
            to.bearer.clone_from(&from.bearer);
            to.headers.clone_from(&from.headers);
        }
        client
    }

    /// Sent with every request from now on.
    pub fn with_header(self, name: &str, value: &str) -> Self {
        self.memory().headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks for pages, as a browser does; otherwise problems come as JSON.
    pub fn as_browser(self) -> Self {
        self.with_header("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
    }

    pub fn with_bearer(self, token: &str) -> Self {
        self.memory().bearer = Some(token.to_owned());
        self
    }

    pub fn bearer(&self) -> Option<String> {
        self.memory().bearer.clone()
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.memory().cookies.get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.memory().cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Signs in for tokens and sends the access token from now on. Returns the answer's body.
    pub async fn sign_in(&self, email: &str, password: &str) -> Value {
        let body = json!({ "email": email, "password": password });
        let answer = self.post_json("/api/v1/auth/login", &body).await.expect_status(200).json();
        self.memory().bearer = answer["access_token"].as_str().map(str::to_owned);
        answer
    }

    /// Signs in for a session cookie.
    pub async fn sign_in_with_cookie(&self, email: &str, password: &str) -> Answer {
        let body = json!({ "email": email, "password": password, "session": "cookie" });
        self.post_json("/api/v1/auth/login", &body).await.expect_status(200)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, |request| request).await
    }
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, |request| request).await
    }
    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, |request| request.json(body)).await
    }
    pub async fn patch_json(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, |request| request.json(body)).await
    }
    pub async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, |request| request.form(fields)).await
    }

    /// Panics when there is no answer at all; see [`try_send`](Self::try_send).
    pub async fn send(&self, method: Method, path: &str, with: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder) -> Answer {
        self.try_send(method.clone(), path, with).await.unwrap_or_else(|err| panic!("{method} {path}: {err:?}"))
    }

    pub async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        self.try_send(Method::GET, path, |request| request).await
    }

    /// An error means that no whole answer came: refused, cut, or out of time.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> reqwest::Result<Answer> {
        let response = self.request(method, path, with).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        self.remember(&headers);
        let body = response.bytes().await?;
        Ok(Answer { status, headers, body })
    }

    /// The answer as it arrives, for streams: read it with `chunk()`.
    pub async fn stream(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        let response = self.request(Method::GET, path, |request| request).send().await?;
        self.remember(response.headers());
        Ok(response)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> reqwest::RequestBuilder {
        let url = if path.starts_with('/') { format!("{}{path}", self.base_url) } else { path.to_owned() };
        let mut request = self.http.request(method.clone(), url);
        let memory = self.memory();
        if let Some(token) = &memory.bearer {
            request = request.bearer_auth(token);
        }
        if !memory.cookies.is_empty() {
            let cookies: Vec<String> = memory.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", cookies.join("; "));
            if !method.is_safe() {
                request = request.header("origin", &self.base_url).header("sec-fetch-site", "same-origin");
            }
        }
        for (name, value) in &memory.headers {
            request = request.header(name, value);
        }
        drop(memory);
        with(request)
    }

    fn remember(&self, headers: &HeaderMap) {
        let mut memory = self.memory();
        for cookie in headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()) {
            let mut parts = cookie.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            if value.is_empty() || parts.any(|part| part.eq_ignore_ascii_case("max-age=0")) {
                memory.cookies.remove(name);
            } else {
                memory.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("never poisoned: nothing panics under this lock")
    }
}

impl Answer {
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "status\n{:#?}\n{}", self.headers, self.text());
        self
    }

    /// A problem with this code, such as `limits.exceeded`.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        let answer = self.expect_status(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["code"], code, "{}", answer.text());
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Panics with the text when it is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|err| panic!("not JSON ({err}): {}", self.text()))
    }
}
