//! GitHub speaks OAuth 2.0 and tells who somebody is at its API.

use baluarte_kernel::Secret;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::{Claimed, LoginError, printable, provider::Provider};

#[derive(Deserialize)]
struct User {
    /// Never given to anybody else; the login is.
    id: u64,
    login: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    primary: bool,
    verified: bool,
}

impl Provider {
    pub(super) fn github_authorize(&self) -> String {
        format!("{}/login/oauth/authorize", self.base())
    }

    pub(super) fn github_token(&self) -> String {
        format!("{}/login/oauth/access_token", self.base())
    }

    /// The public server has a host for it, an enterprise server a path.
    fn github_api(&self) -> String {
        if self.base() == "https://github.com" { "https://api.github.com".to_owned() } else { format!("{}/api/v3", self.base()) }
    }

    pub(super) async fn github_person(&self, token: &Secret) -> Result<Claimed, LoginError> {
        let user: User = self.github_get("/user", token).await?;
        // Only what GitHub has proven, and of that the one that its owner calls theirs.
        let addresses: Vec<Address> = self.github_get("/user/emails", token).await?;
        let primary = addresses.into_iter().find(|address| address.primary && address.verified);
        let login = printable(&user.login, 100);
        Ok(Claimed {
            issuer: self.base().to_owned(),
            subject: user.id.to_string(),
            email: primary.and_then(|address| address.email.parse().ok()),
            email_verified: true,
            name: user.name.as_deref().unwrap_or(&login).parse().ok().or_else(|| login.parse().ok()),
            label: login,
            factor: false,
            proven_at: None,
        })
    }

    async fn github_get<T: for<'de> Deserialize<'de>>(&self, path: &str, token: &Secret) -> Result<T, LoginError> {
        let url = format!("{}{path}", self.github_api());
        let request = self.client(&url).get(&url).bearer(token.expose());
        let answer = self.send(request.header(header::ACCEPT, HeaderValue::from_static("application/vnd.github+json"))).await?;
        if answer.status != StatusCode::OK {
            return Err(LoginError::not_taken(format!("{path} answers {}", answer.status.as_u16())));
        }
        answer.json().map_err(|err| LoginError::not_taken(format!("{path}: {err}")))
    }
}
