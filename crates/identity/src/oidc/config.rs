//! `[identity.providers.NAME]`: where people may have an account that signs them in here.

use std::collections::BTreeMap;

use baluarte_kernel::{Findings, Secret};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    Google,
    /// OAuth 2.0 and an API of its own; also an enterprise server, with `issuer`.
    Github,
    /// Entra ID and personal accounts.
    Microsoft,
    /// OpenID Connect: Keycloak, Authentik, Zitadel, Auth0, Okta …
    #[default]
    Oidc,
}

/// Whether signing in there stands for a second factor here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderFactor {
    /// No: whoever has a factor here is asked for it.
    #[default]
    Own,
    /// Where the provider says (`amr`) that it has asked for one.
    Told,
    /// Yes, always.
    Always,
}

/// `[identity.providers.NAME]`: people may sign in with an account they have there. Register the redirect URI
/// `PUBLIC_URL/auth/callback/NAME` with it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// "google", "github", "microsoft" or "oidc".
    pub kind: ProviderKind,
    /// On the button: "Continue with TITLE". The provider's own name when empty.
    pub title: String,
    /// What the provider calls this installation.
    pub client_id: String,
    /// The secret that goes with it: the text itself, `env:NAME` or `file:PATH`. Only `oidc` may go without (a public client).
    pub client_secret: Secret,
    /// `oidc`: the issuer's address, to which `/.well-known/openid-configuration` is appended. `github`, `microsoft`: another server than the
    /// public one.
    pub issuer: String,
    /// `microsoft`: whose accounts: "common", "organizations", "consumers", or the id of one directory.
    pub tenant: String,
    /// What is asked for; empty: name and address.
    pub scopes: Vec<String>,
    /// Take every address that the provider names for proven. Only for one whose administrators write the addresses.
    pub trust_email: bool,
    /// Does signing in there stand for a second factor here: "own" (no: people's own are asked for), "told" (where the provider says that it
    /// asked for one) or "always".
    pub second_factor: ProviderFactor,
    /// The issuer is in a private network. Other addresses that it names must be public all the same.
    pub allow_private: bool,
}

impl ProviderConfig {
    /// The issuer, or what its address is derived from; without a slash at the end where we made it up.
    pub(crate) fn base(&self) -> &str {
        match self.kind {
            _ if !self.issuer.is_empty() => &self.issuer,
            ProviderKind::Google => "https://accounts.google.com",
            ProviderKind::Github => "https://github.com",
            ProviderKind::Microsoft => "https://login.microsoftonline.com",
            ProviderKind::Oidc => "",
        }
    }

    pub(crate) fn tenant(&self) -> &str {
        if self.tenant.is_empty() { "common" } else { &self.tenant }
    }

    /// What people know it by.
    pub(crate) fn title<'a>(&'a self, name: &'a str) -> &'a str {
        match self.kind {
            _ if !self.title.is_empty() => &self.title,
            ProviderKind::Google => "Google",
            ProviderKind::Github => "GitHub",
            ProviderKind::Microsoft => "Microsoft",
            ProviderKind::Oidc => name,
        }
    }

    pub(crate) fn scope(&self) -> String {
        match self.kind {
            _ if !self.scopes.is_empty() => self.scopes.join(" "),
            ProviderKind::Github => "user:email".to_owned(),
            ProviderKind::Google | ProviderKind::Microsoft | ProviderKind::Oidc => "openid email profile".to_owned(),
        }
    }
}

/// Buttons that a page can show without becoming a list.
const MOST: usize = 12;
const TITLE: usize = 40;
/// Longer than any that is given out.
const CREDENTIAL: usize = 1_000;

pub(crate) fn validate(providers: &BTreeMap<String, ProviderConfig>, findings: &mut Findings) {
    if providers.len() > MOST {
        findings.add("identity.providers", format!("found {}, allowed are {MOST}", providers.len()));
    }
    for (name, config) in providers {
        let at = |key: &str| format!("identity.providers.{name}{key}");
        let fits = (1..=32).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !fits {
            findings.add(at(""), "a name has 1 to 32 lower-case letters, digits and hyphens: it is part of the redirect URI");
        }
        let printable = |text: &str| !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if config.client_id.is_empty() {
            findings.add(at(".client_id"), "missing: the provider gives one to whoever registers an application");
        } else if config.client_id.len() > CREDENTIAL || !printable(&config.client_id) {
            findings.add(at(".client_id"), "found something that is not a short text without spaces");
        }
        if config.client_secret.is_empty() && config.kind != ProviderKind::Oidc {
            findings.add(at(".client_secret"), "missing: the provider gives one together with the client_id");
        }
        if config.client_secret.expose().len() > CREDENTIAL {
            findings.add(at(".client_secret"), format!("longer than {CREDENTIAL} bytes"));
        }
        if config.title.chars().count() > TITLE || config.title.chars().any(char::is_control) {
            findings.add(at(".title"), format!("found something that is not a line of at most {TITLE} characters"));
        }
        if config.scopes.iter().any(|scope| scope.is_empty() || !scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')) {
            findings.add(at(".scopes"), "a scope is a word without spaces, quotes and backslashes");
        }
        if config.kind != ProviderKind::Github && !config.scopes.is_empty() && !config.scopes.iter().any(|scope| scope == "openid") {
            findings.add(at(".scopes"), "\"openid\" is missing: without it the provider does not say who signed in");
        }
        if let Err(problem) = check_issuer(config) {
            findings.add(at(".issuer"), problem);
        }
        let tenant_fits = config.tenant.len() <= 100 && config.tenant.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !tenant_fits {
            findings.add(
                at(".tenant"),
                format!("found {:?}, expected \"common\", \"organizations\", \"consumers\" or the id of a directory", config.tenant),
            );
        } else if !config.tenant.is_empty() && config.kind != ProviderKind::Microsoft {
            findings.add(at(".tenant"), "only for kind = \"microsoft\"");
        }
        let anybody = config.kind == ProviderKind::Microsoft && matches!(config.tenant(), "common" | "organizations" | "consumers");
        if config.trust_email && (anybody || config.kind == ProviderKind::Github) {
            findings.add(
                at(".trust_email"),
                "found true: anybody can have an account there and write any address into it; for Microsoft, name your own directory in `tenant`",
            );
        }
    }
}

fn check_issuer(config: &ProviderConfig) -> Result<(), String> {
    if config.issuer.is_empty() {
        let missing = "missing: the address of the provider, as its administration shows it, such as https://id.example.com/realms/main";
        return if config.kind == ProviderKind::Oidc { Err(missing.to_owned()) } else { Ok(()) };
    }
    if config.kind == ProviderKind::Google {
        return Err("Google has one, which is known: remove this line".to_owned());
    }
    let found = &config.issuer;
    let url = Url::parse(found).map_err(|_| format!("found {found:?}, expected an https address"))?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !plain || url.host().is_none() {
        return Err(format!("found {found:?}, expected an address without user, question mark and hash"));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        _ => Err(format!("found {found:?}: whoever is on the way could sign in as anybody; expected https")),
    }
}

/// Nobody is on the way.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(name: &str, config: ProviderConfig) -> Vec<String> {
        let mut findings = Findings::default();
        validate(&BTreeMap::from([(name.to_owned(), config)]), &mut findings);
        findings.into_vec().into_iter().map(|finding| finding.key).collect()
    }

    fn google() -> ProviderConfig {
        ProviderConfig {
            kind: ProviderKind::Google,
            client_id: "id.apps.googleusercontent.com".to_owned(),
            client_secret: Secret::new("s"),
            ..ProviderConfig::default()
        }
    }

    #[test]
    fn a_provider_needs_little() {
        let oidc = ProviderConfig {
            client_id: "shop".to_owned(),
            issuer: "https://id.example.com/realms/main".to_owned(),
            ..ProviderConfig::default()
        };
        assert_eq!(problems("google", google()), [] as [&str; 0]);
        assert_eq!(problems("work", oidc), [] as [&str; 0]);
        assert_eq!(problems("hub", ProviderConfig { kind: ProviderKind::Github, ..google() }), [] as [&str; 0]);
        assert_eq!(problems("ms", ProviderConfig { kind: ProviderKind::Microsoft, ..google() }), [] as [&str; 0]);
    }

    #[test]
    fn what_is_missing_or_dangerous_is_told_all_at_once() {
        let empty = ProviderConfig::default();
        assert_eq!(
            problems("Work 1", empty),
            ["identity.providers.Work 1", "identity.providers.Work 1.client_id", "identity.providers.Work 1.issuer"]
        );
        let odd = ProviderConfig {
            client_secret: Secret::default(),
            tenant: "common".to_owned(),
            scopes: vec!["email".to_owned()],
            issuer: "https://accounts.google.com".to_owned(),
            ..google()
        };
        let keys = [".client_secret", ".scopes", ".issuer", ".tenant"].map(|key| format!("identity.providers.g{key}"));
        assert_eq!(problems("g", odd), keys);
    }

    #[test]
    fn an_issuer_is_spoken_to_in_private() {
        for issuer in [
            "http://id.example.com",
            "id.example.com",
            "https://u:p@id.example.com",
            "https://id.example.com?x",
            "ftp://localhost",
            "http://127.0.0.1.example.com",
        ] {
            let config = ProviderConfig { client_id: "shop".to_owned(), issuer: issuer.to_owned(), ..ProviderConfig::default() };
            assert_eq!(problems("work", config), ["identity.providers.work.issuer"], "{issuer}");
        }
        for issuer in ["https://id.example.com/", "http://localhost:8080/realms/x", "http://127.0.0.1:9", "http://[::1]:9"] {
            let config = ProviderConfig { client_id: "shop".to_owned(), issuer: issuer.to_owned(), ..ProviderConfig::default() };
            assert_eq!(problems("work", config), [] as [&str; 0], "{issuer}");
        }
    }

    #[test]
    fn addresses_that_anybody_can_write_are_not_trusted() {
        let microsoft =
            |tenant: &str| ProviderConfig { kind: ProviderKind::Microsoft, trust_email: true, tenant: tenant.to_owned(), ..google() };
        for tenant in ["", "common", "organizations", "consumers"] {
            assert_eq!(problems("ms", microsoft(tenant)), ["identity.providers.ms.trust_email"], "{tenant}");
        }
        assert_eq!(problems("ms", microsoft("72f988bf-86f1-41af-91ab-2d7cd011db47")), [] as [&str; 0]);
        assert_eq!(
            problems("hub", ProviderConfig { kind: ProviderKind::Github, trust_email: true, ..google() }),
            ["identity.providers.hub.trust_email"]
        );
    }
}
