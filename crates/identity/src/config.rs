//! `[identity]`: what the operator may choose about accounts.

use std::collections::BTreeMap;

use baluarte_kernel::{ByteSize, Findings, Period, Secret};
use serde::{Deserialize, Serialize};

use crate::{MfaPolicy, ProviderConfig, Role, oidc};

/// Who may create an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anybody.
    #[default]
    Open,
    /// Whoever was invited.
    Invite,
    /// Nobody but the operator and administrators.
    Closed,
}

/// Must an address be proven before its owner may sign in?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmailVerification {
    /// No; registering tells whether an address already has an account.
    #[default]
    Off,
    /// Yes; registering answers the same whether or not the address has an account.
    Required,
}

/// May people sign in with a link from their mailbox?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MagicLinkMode {
    #[default]
    Off,
    On,
}

/// `[identity]`
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityConfig {
    /// Who may create an account: "open", "invite" or "closed".
    pub registration: Registration,
    /// Must an address be proven before signing in: "off" or "required" (needs a mail provider).
    pub email_verification: EmailVerification,
    /// May people sign in with a link from their mailbox instead of a password: "off" or "on" (needs a mail provider).
    pub magic_link: MagicLinkMode,
    /// How long a browser stays signed in at most, however busy it is.
    pub session_lifetime: Period,
    /// How long a browser stays signed in without doing anything.
    pub session_idle: Period,
    /// How long an access token is good for; also how long a known browser session outlives a database outage.
    pub access_token_lifetime: Period,
    /// A refresh token that nobody used for so long ends its session.
    pub refresh_idle: Period,
    /// How long a session of refresh tokens lives at most, however often it is refreshed.
    pub refresh_lifetime: Period,
    /// The audience (`aud`) of access tokens; the public URL when empty.
    pub audience: String,
    /// How often the key that signs tokens is replaced. The next key is published a day ahead.
    pub key_rotation: Period,
    /// How long the link to choose a new password works.
    pub reset_lifetime: Period,
    /// How long the link to confirm an address works.
    pub verification_lifetime: Period,
    /// Mixed into every password hash and kept out of the database. Once set, keep it: without it nobody can sign in.
    pub password_pepper: Secret,
    /// Memory of one password hash (Argon2id); never less than 19 MiB.
    pub password_memory: ByteSize,
    /// Passes of one password hash over its memory; never less than 2.
    pub password_passes: u32,
    /// Words that no password may consist of, such as what people call this site; its name and host are known anyway.
    pub password_words: Vec<String>,
    /// Threads that hash passwords, at the lowest priority; 0: half of the processor's cores.
    pub password_threads: u32,
    /// Second factors by role: "off", "optional" or "required" (who has none sets one up before the first session begins).
    /// Roles that are not named: "optional".
    pub mfa: BTreeMap<String, MfaPolicy>,
    /// How long a browser that its owner trusts is asked for no second factor.
    pub trusted_device_lifetime: Period,
    /// How long an API key lives at most, and when its owner names no end.
    pub api_key_lifetime: Period,
    /// Scopes that API keys may be given, besides the product's own and those that `gateway.routes` ask for: what other proxies ask
    /// for at `/auth/verify?access=scope:NAME`.
    pub api_key_scopes: Vec<String>,
    /// Tell people by mail when somebody signs in to their account in a browser, or from a network, that is new for it.
    pub sign_in_notice: bool,
    /// Where people may have an account that signs them in here, by the name that is part of the redirect URI.
    pub providers: BTreeMap<String, ProviderConfig>,
}

impl IdentityConfig {
    /// The least that OWASP and NIST call safe; configuration only goes up from here.
    pub const MIN_PASSWORD_MEMORY: ByteSize = ByteSize::from_bytes(19 << 20);
    pub const MIN_PASSWORD_PASSES: u32 = 2;
    const MAX_PASSWORD_MEMORY: ByteSize = ByteSize::from_bytes(1 << 30);
    const MAX_PASSWORD_PASSES: u32 = 32;
    const MAX_PASSWORD_THREADS: u32 = 64;

    /// Cross-field rules, and the bounds that types do not carry.
    pub fn validate(&self, findings: &mut Findings) {
        let bounds = [
            ("session_lifetime", self.session_lifetime, Period::from_secs(60), Period::from_secs(365 * DAY)),
            ("session_idle", self.session_idle, Period::from_secs(5 * 60), Period::from_secs(365 * DAY)),
            ("access_token_lifetime", self.access_token_lifetime, Period::from_secs(60), Period::from_secs(3_600)),
            ("refresh_idle", self.refresh_idle, Period::from_secs(5 * 60), Period::from_secs(365 * DAY)),
            ("refresh_lifetime", self.refresh_lifetime, Period::from_secs(3_600), Period::from_secs(2 * 365 * DAY)),
            ("key_rotation", self.key_rotation, Period::from_secs(3_600), Period::from_secs(365 * DAY)),
            ("reset_lifetime", self.reset_lifetime, Period::from_secs(60), Period::from_secs(DAY)),
            ("api_key_lifetime", self.api_key_lifetime, Period::from_secs(3_600), Period::from_secs(10 * 365 * DAY)),
            ("trusted_device_lifetime", self.trusted_device_lifetime, Period::from_secs(3_600), Period::from_secs(90 * DAY)),
            ("verification_lifetime", self.verification_lifetime, Period::from_secs(60), Period::from_secs(30 * DAY)),
        ];
        for (key, value, least, most) in bounds {
            if value < least || value > most {
                findings.add(format!("identity.{key}"), format!("found {value}, allowed are {least} to {most}"));
            }
        }
        if self.refresh_idle > self.refresh_lifetime {
            findings.add(
                "identity.refresh_idle",
                format!("found {}, longer than refresh_lifetime ({})", self.refresh_idle, self.refresh_lifetime),
            );
        }
        if self.access_token_lifetime > self.refresh_idle {
            findings.add(
                "identity.access_token_lifetime",
                format!("found {}, longer than refresh_idle ({})", self.access_token_lifetime, self.refresh_idle),
            );
        }
        if self.password_memory < Self::MIN_PASSWORD_MEMORY || self.password_memory > Self::MAX_PASSWORD_MEMORY {
            findings.add(
                "identity.password_memory",
                format!("found {}, allowed are {} to {}", self.password_memory, Self::MIN_PASSWORD_MEMORY, Self::MAX_PASSWORD_MEMORY),
            );
        }
        if !(Self::MIN_PASSWORD_PASSES..=Self::MAX_PASSWORD_PASSES).contains(&self.password_passes) {
            findings.add(
                "identity.password_passes",
                format!("found {}, allowed are {} to {}", self.password_passes, Self::MIN_PASSWORD_PASSES, Self::MAX_PASSWORD_PASSES),
            );
        }
        if self.password_threads > Self::MAX_PASSWORD_THREADS {
            findings.add(
                "identity.password_threads",
                format!("found {}, allowed are 0 (half of the cores) to {}", self.password_threads, Self::MAX_PASSWORD_THREADS),
            );
        }
        for role in self.mfa.keys() {
            if let Err(bad) = role.parse::<Role>() {
                findings.add(format!("identity.mfa.{role}"), bad.to_string());
            }
        }
        for (at, scope) in self.api_key_scopes.iter().enumerate() {
            if !crate::api_key::is_scope(scope) {
                findings.add(
                    format!("identity.api_key_scopes.{at}"),
                    format!("found {scope:?}, expected 1 to 64 letters, digits, \"-\", \"_\", \".\" or \":\""),
                );
            }
        }
        oidc::validate(&self.providers, findings);
        if self.audience.len() > 200 || self.audience.chars().any(char::is_control) {
            findings.add("identity.audience", "found something that is not a short printable text");
        }
    }
}

const DAY: u64 = 86_400;

impl Default for IdentityConfig {
    fn default() -> Self {
        Self {
            registration: Registration::Open,
            email_verification: EmailVerification::Off,
            magic_link: MagicLinkMode::Off,
            session_lifetime: Period::from_secs(DAY),
            session_idle: Period::from_secs(DAY / 2),
            access_token_lifetime: Period::from_secs(15 * 60),
            refresh_idle: Period::from_secs(30 * DAY),
            refresh_lifetime: Period::from_secs(90 * DAY),
            audience: String::new(),
            key_rotation: Period::from_secs(30 * DAY),
            reset_lifetime: Period::from_secs(30 * 60),
            verification_lifetime: Period::from_secs(DAY),
            password_pepper: Secret::default(),
            password_memory: Self::MIN_PASSWORD_MEMORY,
            password_passes: Self::MIN_PASSWORD_PASSES,
            password_words: Vec::new(),
            password_threads: 0,
            mfa: BTreeMap::new(),
            trusted_device_lifetime: Period::from_secs(30 * DAY),
            api_key_lifetime: Period::from_secs(365 * DAY),
            api_key_scopes: Vec::new(),
            sign_in_notice: true,
            providers: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &IdentityConfig) -> Vec<String> {
        let mut findings = Findings::default();
        config.validate(&mut findings);
        findings.into_vec().into_iter().map(|finding| finding.key).collect()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(problems(&IdentityConfig::default()), [] as [&str; 0]);
    }

    #[test]
    fn password_hashing_can_only_be_made_stronger() {
        let weak = IdentityConfig { password_memory: ByteSize::from_bytes(1 << 20), password_passes: 1, ..IdentityConfig::default() };
        assert_eq!(problems(&weak), ["identity.password_memory", "identity.password_passes"]);
        let strong = IdentityConfig { password_memory: ByteSize::from_bytes(64 << 20), password_passes: 3, ..IdentityConfig::default() };
        assert_eq!(problems(&strong), [] as [&str; 0]);
    }

    #[test]
    fn lifetimes_that_contradict_each_other_are_all_reported() {
        let config = IdentityConfig {
            refresh_idle: Period::from_secs(400 * DAY),
            access_token_lifetime: Period::from_secs(7_200),
            key_rotation: Period::from_secs(60),
            ..IdentityConfig::default()
        };
        assert_eq!(
            problems(&config),
            ["identity.access_token_lifetime", "identity.refresh_idle", "identity.key_rotation", "identity.refresh_idle"]
        );
    }
}
