//! One configured provider: where people are sent, and what becomes of the code they come back with.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use baluarte_kernel::{Secret, Timestamp};
use baluarte_outbound::{BoundedResponse, Outbound, OutboundError, Policy, Ports, Private, Request};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use tokio::sync::Semaphore;
use url::Url;

use super::{
    Attempt, Claimed, Errand, LoginError, ProviderAnswer, ProviderConfig, ProviderKind, ProviderName,
    cached::Cached,
    id_token::{self, Claims, Expected, Head, Profile},
    keys::Keys,
    metadata::{Introduction, Metadata},
    printable,
};
use crate::model::{Email, Name};

/// How old what a provider says about itself may be.
const METADATA_AGE: Duration = Duration::from_secs(3_600);
const KEYS_AGE: Duration = Duration::from_secs(3_600);
/// For a key that we do not know, its keys are read again, but no more often than that.
const KEYS_AGAIN: Duration = Duration::from_secs(30);
/// One call; somebody waits before a browser.
const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER: usize = 256 * 1024;
/// People whose codes are being exchanged.
const UNDER_WAY: usize = 64;
const CODE: usize = 4_096;

/// All that are configured.
#[derive(Debug)]
pub(crate) struct Providers {
    by_name: BTreeMap<String, Arc<Provider>>,
    under_way: Semaphore,
}

impl Providers {
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub(crate) fn new(configured: &BTreeMap<String, ProviderConfig>, public_url: &str) -> Result<Self, OutboundError> {
        let policy = Policy { timeout: PATIENCE, max_response_bytes: ANSWER, ..Policy::default() };
        let mut by_name = BTreeMap::new();
        if !configured.is_empty() {
            let strict = Outbound::new(Policy { https_only: true, ..policy.clone() })?;
            // Only for the host that the operator wrote, who said that it is a private one.
            let inside = Outbound::new(Policy { private: Private::Allowed, ports: Ports::Any, ..policy })?;
            for (name, config) in configured {
                let provider = Provider {
                    name: name.clone(),
                    title: config.title(name).to_owned(),
                    redirect_uri: redirect_uri(public_url, name),
                    config: config.clone(),
                    strict: strict.clone(),
                    inside: inside.clone(),
                    metadata: Cached::default(),
                    keys: Cached::default(),
                };
                by_name.insert(name.clone(), Arc::new(provider));
            }
        }
        Ok(Self { by_name, under_way: Semaphore::new(UNDER_WAY) })
    }

    pub(crate) fn find(&self, name: &str) -> Result<&Arc<Provider>, LoginError> {
        self.by_name.get(name).ok_or(LoginError::UnknownProvider)
    }

    pub(crate) fn names(&self) -> Vec<ProviderName> {
        self.by_name.values().map(|provider| ProviderName { name: provider.name.clone(), title: provider.title.clone() }).collect()
    }

    /// Who the person is that came back with `answer` from where `attempt` had sent them.
    pub(crate) async fn ask(&self, attempt: &Attempt, answer: &ProviderAnswer, now: Timestamp) -> Result<Claimed, LoginError> {
        let _place = self.under_way.try_acquire().map_err(|_| LoginError::Busy)?;
        self.find(&attempt.provider)?.person(attempt, answer, now).await
    }
}

/// What has to be registered with each provider, by its name in the configuration.
pub fn redirect_uris(configured: &BTreeMap<String, ProviderConfig>, public_url: &str) -> Vec<(String, String)> {
    configured.keys().map(|name| (name.clone(), redirect_uri(public_url, name))).collect()
}

/// Asks every provider for its configuration and its keys: what was seen, or why people could not sign in.
///
/// # Errors
/// When TLS cannot be set up on this machine.
pub async fn check_providers(
    configured: &BTreeMap<String, ProviderConfig>,
    public_url: &str,
    now: Timestamp,
) -> Result<Vec<(String, Result<String, String>)>, OutboundError> {
    let providers = Providers::new(configured, public_url)?;
    let mut seen = Vec::new();
    for provider in providers.by_name.values() {
        seen.push((provider.name.clone(), provider.check(now).await.map_err(|err| err.to_string())));
    }
    Ok(seen)
}

fn redirect_uri(public_url: &str, name: &str) -> String {
    format!("{public_url}/auth/callback/{name}")
}

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) config: ProviderConfig,
    redirect_uri: String,
    strict: Outbound,
    inside: Outbound,
    metadata: Cached<Metadata>,
    keys: Cached<Keys>,
}

#[derive(Deserialize)]
struct Exchanged {
    #[serde(default)]
    access_token: Secret,
    #[serde(default)]
    id_token: Secret,
    /// GitHub answers 200 with it.
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    #[serde(flatten)]
    profile: Profile,
}

impl Provider {
    /// Where the browser goes.
    pub(crate) async fn authorize(&self, attempt: &Attempt, now: Timestamp) -> Result<String, LoginError> {
        let endpoint = match self.config.kind {
            ProviderKind::Github => self.github_authorize(),
            ProviderKind::Google | ProviderKind::Microsoft | ProviderKind::Oidc => self.metadata(now).await?.authorization_endpoint.clone(),
        };
        let mut url = Url::parse(&endpoint).map_err(|_| LoginError::not_taken("its address cannot be read"))?;
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &self.config.scope())
            .append_pair("state", &attempt.state)
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256");
        if self.config.kind != ProviderKind::Github {
            query.append_pair("nonce", &attempt.nonce);
        }
        match (attempt.errand, self.config.kind) {
            (Errand::SignIn, _) | (_, ProviderKind::Github) => {}
            // Which of their accounts, in case the browser is signed in to another one there.
            (Errand::Connect(..), _) | (Errand::Confirm(..), ProviderKind::Google) => {
                query.append_pair("prompt", "select_account");
            }
            (Errand::Confirm(..), _) => {
                query.append_pair("prompt", "login").append_pair("max_age", "0");
            }
        }
        drop(query);
        Ok(url.into())
    }

    async fn person(&self, attempt: &Attempt, answer: &ProviderAnswer, now: Timestamp) -> Result<Claimed, LoginError> {
        if self.config.kind == ProviderKind::Github {
            let code = checked_code(answer)?;
            let exchanged = self.exchange(&self.github_token(), Introduction::Form, code, attempt).await?;
            return self.github_person(&exchanged.access_token).await;
        }
        let metadata = self.metadata(now).await?;
        check_issuer(&metadata, answer)?;
        let code = checked_code(answer)?;
        let exchanged = self.exchange(&metadata.token_endpoint, metadata.introduction(), code, attempt).await?;
        if exchanged.id_token.is_empty() {
            return Err(LoginError::not_taken("it gave no id_token; is \"openid\" among the scopes?"));
        }
        let token = exchanged.id_token.expose();
        let expected = Expected {
            issuer: &metadata.issuer,
            client_id: &self.config.client_id,
            nonce: &attempt.nonce,
            algorithms: &metadata.id_token_signing_alg_values_supported,
            now,
        };
        let keys = self.keys_for(&metadata, token, now).await?;
        let claims = id_token::verify(token, &keys, &expected)?;
        let told = match (&claims.profile.email, &metadata.userinfo_endpoint) {
            (None, Some(endpoint)) if !exchanged.access_token.is_empty() => {
                self.user_info(endpoint, &exchanged.access_token, &claims).await?
            }
            _ => claims.profile.clone(),
        };
        Ok(self.claimed(claims, &told))
    }

    fn claimed(&self, claims: Claims, told: &Profile) -> Claimed {
        let email = Profile::text(told.email.as_ref()).and_then(|email| email.parse::<Email>().ok());
        let vouched = match self.config.kind {
            // Whoever administers a directory writes what they like into `email`, and there is no `email_verified`.
            ProviderKind::Microsoft => Profile::is_true(told.xms_edov.as_ref()),
            ProviderKind::Google | ProviderKind::Github | ProviderKind::Oidc => Profile::is_true(told.email_verified.as_ref()),
        };
        let known_as =
            Profile::text(told.email.as_ref()).or_else(|| Profile::text(told.preferred_username.as_ref())).unwrap_or(&claims.sub);
        let methods = claims.amr.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
        // RFC 8176
        let factor =
            methods.into_iter().any(|method| ["mfa", "otp", "hwk", "swk", "sms", "tel", "sc", "fpt", "face", "iris"].contains(&method));
        Claimed {
            email_verified: vouched || self.config.trust_email,
            email,
            name: Profile::text(told.name.as_ref()).and_then(|name| name.parse::<Name>().ok()),
            label: printable(known_as, 100),
            factor,
            proven_at: claims.auth_time.map(id_token::Seconds::at),
            issuer: claims.iss,
            subject: claims.sub,
        }
    }

    // ── what is asked ──

    async fn check(&self, now: Timestamp) -> Result<String, LoginError> {
        let place = if self.config.kind == ProviderKind::Github {
            // Has nothing to publish; whether it answers at all is what there is to see.
            let url = self.github_authorize();
            self.send(self.client(&url).get(&url)).await?;
            self.base().to_owned()
        } else {
            let metadata = self.metadata(now).await?;
            self.keys(&metadata, KEYS_AGE, now).await?;
            metadata.issuer.clone()
        };
        Ok(format!("{place} answers; its redirect URI is {}", self.redirect_uri))
    }

    pub(crate) async fn metadata(&self, now: Timestamp) -> Result<Arc<Metadata>, LoginError> {
        let read = async {
            let url = Metadata::url(&self.config);
            let answer = self.send(self.client(&url).get(&url)).await?;
            if answer.status != StatusCode::OK {
                return Err(LoginError::not_taken(format!("its configuration answers {}", answer.status.as_u16())));
            }
            Metadata::read(&answer.body, &self.config)
        };
        self.metadata.get(now, METADATA_AGE, read).await
    }

    async fn keys(&self, metadata: &Metadata, age: Duration, now: Timestamp) -> Result<Arc<Keys>, LoginError> {
        let read = async {
            let answer = self.send(self.client(&metadata.jwks_uri).get(&metadata.jwks_uri)).await?;
            if answer.status != StatusCode::OK {
                return Err(LoginError::not_taken(format!("its keys answer {}", answer.status.as_u16())));
            }
            Keys::read(&answer.body)
        };
        self.keys.get(now, age, read).await
    }

    /// Keys with the one that the token names, if need be read again.
    async fn keys_for(&self, metadata: &Metadata, token: &str, now: Timestamp) -> Result<Arc<Keys>, LoginError> {
        let head = Head::read(token)?;
        let algorithm = head.algorithm(&metadata.id_token_signing_alg_values_supported)?;
        let keys = self.keys(metadata, KEYS_AGE, now).await?;
        if keys.knows(head.kid(), algorithm) { Ok(keys) } else { self.keys(metadata, KEYS_AGAIN, now).await }
    }

    async fn exchange(&self, endpoint: &str, how: Introduction, code: &Secret, attempt: &Attempt) -> Result<Exchanged, LoginError> {
        let (id, secret) = (&self.config.client_id, self.config.client_secret.expose());
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &attempt.verifier),
        ];
        let mut request = self.client(endpoint).post(endpoint).header(header::ACCEPT, HeaderValue::from_static("application/json"));
        if secret.is_empty() || how == Introduction::Form {
            form.push(("client_id", id));
            if !secret.is_empty() {
                form.push(("client_secret", secret));
            }
        } else {
            // RFC 6749, 2.3.1: encoded as in a form before the usual encoding.
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request = request.basic(&encoded(id), &encoded(secret));
        }
        let answer = self.send(request.form(&form)).await?;
        let exchanged: Option<Exchanged> = serde_json::from_slice(&answer.body).ok();
        if let Some(error) = exchanged.as_ref().and_then(|exchanged| exchanged.error.as_deref()) {
            return Err(LoginError::not_taken(format!("it refuses the code: {:?}", printable(error, 60))));
        }
        match exchanged {
            Some(exchanged) if answer.status == StatusCode::OK => Ok(exchanged),
            Some(_) => Err(LoginError::not_taken(format!("it refuses the code: status {}", answer.status.as_u16()))),
            None => Err(LoginError::not_taken(format!("its answer to the code cannot be read: status {}", answer.status.as_u16()))),
        }
    }

    /// For providers that put nothing but the subject into their tokens.
    async fn user_info(&self, endpoint: &str, token: &Secret, claims: &Claims) -> Result<Profile, LoginError> {
        let answer = self.send(self.client(endpoint).get(endpoint).bearer(token.expose())).await?;
        let info: Option<UserInfo> = serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == StatusCode::OK);
        match info {
            // OpenID Connect Core, 5.3.2: otherwise it is about somebody else.
            Some(info) if info.sub == claims.sub => Ok(info.profile),
            Some(_) => Err(LoginError::not_taken("its userinfo is about somebody else")),
            // Signed, or none: the address stays unknown.
            None => Ok(claims.profile.clone()),
        }
    }

    /// Private addresses are reached only at the host that the operator wrote.
    pub(super) fn client(&self, url: &str) -> &Outbound {
        let host = |text: &str| Url::parse(text).ok().and_then(|url| url.host_str().map(str::to_owned));
        if self.config.allow_private && host(url).is_some() && host(url) == host(self.base()) { &self.inside } else { &self.strict }
    }

    pub(super) async fn send(&self, request: Request) -> Result<BoundedResponse, LoginError> {
        let answer = request.send().await.map_err(|err| match err {
            OutboundError::TooLarge(most) => LoginError::not_taken(format!("its answer is longer than {most} bytes")),
            OutboundError::Forbidden => {
                LoginError::Unreachable("its address is private: set allow_private, if that is meant to be".to_owned())
            }
            other => LoginError::Unreachable(other.to_string()),
        })?;
        if answer.status.is_server_error() {
            return Err(LoginError::Unreachable(format!("it answers {}", answer.status.as_u16())));
        }
        Ok(answer)
    }

    pub(super) fn base(&self) -> &str {
        self.config.base().trim_end_matches('/')
    }
}

fn checked_code(answer: &ProviderAnswer) -> Result<&Secret, LoginError> {
    if !answer.error.is_empty() {
        return Err(LoginError::Declined(printable(&answer.error, 60)));
    }
    let sound = !answer.code.is_empty() && answer.code.expose().len() <= CODE;
    if sound { Ok(&answer.code) } else { Err(LoginError::not_taken("it sent no code")) }
}

/// RFC 9207: the answer is of the one that was asked.
fn check_issuer(metadata: &Metadata, answer: &ProviderAnswer) -> Result<(), LoginError> {
    let missing = answer.iss.is_empty() && metadata.authorization_response_iss_parameter_supported;
    let other = !answer.iss.is_empty() && answer.iss != metadata.issuer && !metadata.issuer.contains(id_token::TENANT);
    if missing || other { Err(LoginError::not_taken("the answer is another issuer's (iss)")) } else { Ok(()) }
}
