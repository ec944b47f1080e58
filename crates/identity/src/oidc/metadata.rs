//! What a provider says about itself (OpenID Connect Discovery).

use serde::Deserialize;
use url::Url;

use super::{
    LoginError, ProviderConfig, ProviderKind,
    config::is_loopback,
    id_token::{TENANT, is_guid},
};

#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// Of tokens; with `{tenantid}` for any directory of Microsoft's.
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    pub(crate) jwks_uri: String,
    #[serde(default)]
    pub(crate) userinfo_endpoint: Option<String>,
    #[serde(default)]
    pub(crate) id_token_signing_alg_values_supported: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    /// RFC 9207: answers carry `iss`.
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

/// How we say who we are where codes are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Introduction {
    /// `client_secret_basic`, the default.
    Header,
    /// `client_secret_post`
    Form,
}

impl Metadata {
    pub(crate) fn url(config: &ProviderConfig) -> String {
        let base = config.base().trim_end_matches('/');
        match config.kind {
            ProviderKind::Microsoft => format!("{base}/{}/v2.0/.well-known/openid-configuration", config.tenant()),
            ProviderKind::Google | ProviderKind::Github | ProviderKind::Oidc => format!("{base}/.well-known/openid-configuration"),
        }
    }

    pub(crate) fn read(body: &[u8], config: &ProviderConfig) -> Result<Self, LoginError> {
        let found: Self = serde_json::from_slice(body).map_err(|err| {
            LoginError::not_taken(format!("its configuration cannot be read, line {} column {}", err.line(), err.column()))
        })?;
        if !found.is_of(config) {
            return Err(LoginError::not_taken("its configuration is another issuer's: compare `issuer` in it with yours"));
        }
        let ours = Url::parse(config.base()).map_err(|_| LoginError::not_taken("its address cannot be read"))?;
        let endpoints = [&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri].into_iter().chain(&found.userinfo_endpoint);
        for endpoint in endpoints {
            let url = Url::parse(endpoint)
                .ok()
                .filter(|url| url.host().is_some() && url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
            let private = |url: &Url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url) && is_loopback(&ours));
            if !url.as_ref().is_some_and(private) {
                return Err(LoginError::not_taken("its configuration names an endpoint that is no https address"));
            }
        }
        Ok(found)
    }

    /// An issuer is compared letter by letter; only a slash at its end is often written or not.
    fn is_of(&self, config: &ProviderConfig) -> bool {
        if config.kind != ProviderKind::Microsoft {
            return self.issuer.trim_end_matches('/') == config.base().trim_end_matches('/');
        }
        // `common` and its like: with a gap. A directory that was named by its domain: with its id.
        let middle = self
            .issuer
            .strip_prefix(config.base().trim_end_matches('/'))
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.strip_suffix("/v2.0"));
        match middle {
            Some(TENANT) => matches!(config.tenant(), "common" | "organizations" | "consumers"),
            Some(id) => is_guid(id) && (!is_guid(config.tenant()) || id.eq_ignore_ascii_case(config.tenant())),
            None => false,
        }
    }

    pub(crate) fn introduction(&self) -> Introduction {
        let supported = &self.token_endpoint_auth_methods_supported;
        let basic = supported.is_empty() || supported.iter().any(|method| method == "client_secret_basic");
        if basic { Introduction::Header } else { Introduction::Form }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(issuer: &str, change: (&str, Value)) -> Vec<u8> {
        let mut document = json!({
            "issuer": issuer,
            "authorization_endpoint": "https://id.example.com/a",
            "token_endpoint": "https://id.example.com/t",
            "jwks_uri": "https://keys.example.com/k",
        });
        document[change.0] = change.1;
        document.to_string().into_bytes()
    }

    fn oidc(issuer: &str) -> ProviderConfig {
        ProviderConfig { issuer: issuer.to_owned(), ..ProviderConfig::default() }
    }

    fn microsoft(tenant: &str) -> ProviderConfig {
        ProviderConfig { kind: ProviderKind::Microsoft, tenant: tenant.to_owned(), ..ProviderConfig::default() }
    }

    const NOTHING: (&str, Value) = ("x", Value::Null);

    #[test]
    fn a_configuration_is_its_own_issuers() {
        let read = |config: &ProviderConfig, issuer: &str| Metadata::read(&document(issuer, NOTHING), config).is_ok();
        assert!(read(&oidc("https://id.example.com"), "https://id.example.com/"));
        assert!(read(&oidc("https://id.example.com/"), "https://id.example.com"));
        for other in ["https://evil.example.com", "https://id.example.com/x", "https://ID.example.com", "http://id.example.com"] {
            assert!(!read(&oidc("https://id.example.com"), other), "{other}");
        }
        let directory = "72f988bf-86f1-41af-91ab-2d7cd011db47";
        let of = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
        assert!(read(&microsoft(""), &of("{tenantid}")));
        assert!(read(&microsoft(directory), &of(directory)));
        assert!(read(&microsoft("contoso.example"), &of(directory)));
        assert!(!read(&microsoft("contoso.example"), &of("{tenantid}")));
        assert!(!read(&microsoft(directory), &of("00000000-86f1-41af-91ab-2d7cd011db47")));
        assert!(!read(&microsoft(""), "https://evil.example.com/{tenantid}/v2.0"));
    }

    #[test]
    fn every_endpoint_is_spoken_to_in_private() {
        let config = oidc("https://id.example.com");
        for endpoint in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"] {
            for evil in [
                "http://id.example.com/x",
                "javascript:alert(1)",
                "https://u:p@id.example.com/",
                "data:,x",
                "/relative",
                "http://127.0.0.1/x",
            ] {
                assert!(
                    Metadata::read(&document("https://id.example.com", (endpoint, evil.into())), &config).is_err(),
                    "{endpoint} {evil}"
                );
            }
        }
    }
}
