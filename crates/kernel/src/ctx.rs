//! What a use case knows about its caller: who, from where, at what time, in which language.

use std::{net::IpAddr, sync::Arc};

use crate::{Clock, CredentialKind, Locale, Principal, Timestamp};

/// Whether the client reached us over TLS, as far as trusted proxies tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    #[default]
    Http,
    Https,
}

impl Scheme {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What the edge found out about a request before anybody looked at its meaning. Travels as a request extension.
#[derive(Debug, Clone)]
pub struct RequestMeta {
    /// Returned as `X-Request-ID`, on every log line, and as `instance` of a problem.
    pub request_id: Arc<str>,
    /// The client's address; `X-Forwarded-For` counts only when the peer is a trusted proxy.
    pub client_ip: IpAddr,
    /// The connected peer, when it is one of `server.trusted_proxies`; only then its `X-Forwarded-*` and `Forwarded` count.
    pub trusted_peer: Option<IpAddr>,
    pub scheme: Scheme,
    /// `Host` as the client sent it (or a trusted proxy says it did); lower case, with the port if there was one.
    pub host: Arc<str>,
}

/// Who acts.
#[derive(Debug, Clone)]
pub enum Actor {
    /// Nobody has signed in.
    Anonymous,
    /// Somebody has, with this credential.
    User(Arc<Principal>),
    /// The operator at the command line.
    Operator,
    /// Baluarte itself: schedules, clean-up.
    System,
}

/// The first argument of every use case.
#[derive(Debug, Clone)]
pub struct Ctx {
    pub clock: Clock,
    pub actor: Actor,
    pub locale: Locale,
    /// Absent outside requests.
    pub request: Option<RequestMeta>,
    pub user_agent: Option<Arc<str>>,
}

/// The caller may not do that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error("sign in first")]
    NotSignedIn,
    #[error("this needs the role {0}")]
    RoleNeeded(&'static str),
    #[error("this needs a key with the scope {0}, or the role admin")]
    ScopeNeeded(&'static str),
    /// An API key where only somebody who has signed in is listened to.
    #[error("an API key cannot do this: sign in")]
    KeyRefused,
}

impl Ctx {
    pub fn system(clock: Clock) -> Self {
        Self { clock, actor: Actor::System, locale: Locale::En, request: None, user_agent: None }
    }

    pub fn operator(clock: Clock) -> Self {
        Self { actor: Actor::Operator, ..Self::system(clock) }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn client_ip(&self) -> Option<IpAddr> {
        self.request.as_ref().map(|meta| meta.client_ip)
    }

    /// Whoever's credential came with the request, signed in or by an API key: who it is, not what it may.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        match &self.actor {
            Actor::User(principal) => Some(principal),
            Actor::Anonymous | Actor::Operator | Actor::System => None,
        }
    }

    /// The signed-in person, or the refusal. An API key is refused: what takes keys says so, with
    /// [`user_with`](Self::user_with) or [`require_scope`](Self::require_scope).
    pub fn user(&self) -> Result<&Arc<Principal>, Forbidden> {
        match self.principal() {
            Some(principal) if principal.credential == CredentialKind::ApiKey => Err(Forbidden::KeyRefused),
            Some(principal) => Ok(principal),
            None => Err(Forbidden::NotSignedIn),
        }
    }

    /// The signed-in person, or whose API key with this scope it is.
    pub fn user_with(&self, scope: &'static str) -> Result<&Arc<Principal>, Forbidden> {
        match self.principal() {
            Some(principal) if principal.has_scope(scope) => Ok(principal),
            Some(_) => Err(Forbidden::ScopeNeeded(scope)),
            None => Err(Forbidden::NotSignedIn),
        }
    }

    /// Passes who was given this scope, and administrators whose credential is not limited to other scopes. For what not every
    /// signed-in person may do: after signing in one has no scopes, one simply is somebody.
    pub fn require_scope(&self, scope: &'static str) -> Result<(), Forbidden> {
        match &self.actor {
            Actor::Operator | Actor::System => Ok(()),
            Actor::Anonymous => Err(Forbidden::NotSignedIn),
            Actor::User(principal) => match &principal.scopes {
                Some(_) if principal.has_scope(scope) => Ok(()),
                None if principal.has_role(Principal::ADMIN) => Ok(()),
                Some(_) | None => Err(Forbidden::ScopeNeeded(scope)),
            },
        }
    }

    /// Passes administrators, the operator and the system.
    pub fn require_admin(&self) -> Result<(), Forbidden> {
        match &self.actor {
            Actor::Operator | Actor::System => Ok(()),
            Actor::User(principal) if principal.credential == CredentialKind::ApiKey => Err(Forbidden::KeyRefused),
            Actor::User(principal) if principal.has_role(Principal::ADMIN) => Ok(()),
            Actor::User(_) => Err(Forbidden::RoleNeeded(Principal::ADMIN)),
            Actor::Anonymous => Err(Forbidden::NotSignedIn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UserId;

    fn caller(role: &str, scopes: Option<&[&str]>) -> Ctx {
        let principal = Principal {
            user_id: UserId::generate(),
            email: String::new(),
            name: String::new(),
            role: role.to_owned(),
            session_id: None,
            key_id: None,
            scopes: scopes.map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect()),
            credential: if scopes.is_some() { CredentialKind::ApiKey } else { CredentialKind::AccessToken },
            issued_at: Timestamp::default(),
            proven_at: Timestamp::default(),
            epoch: 0,
            expires_at: Timestamp::default(),
        };
        Ctx { actor: Actor::User(Arc::new(principal)), ..Ctx::system(Clock::System) }
    }

    #[test]
    fn a_scope_is_given_and_not_had_by_signing_in() {
        for (role, scopes, may) in [
            ("user", None, false),
            ("user", Some(&["chat"][..]), false),
            ("user", Some(&["chat", "jobs"][..]), true),
            ("admin", None, true),
            ("owner", None, true),
            ("support", None, false),
            ("admin", Some(&["chat"][..]), false),
            ("admin", Some(&[][..]), false),
        ] {
            assert_eq!(caller(role, scopes).require_scope("jobs").is_ok(), may, "{role} {scopes:?}");
        }
        let nobody = Ctx { actor: Actor::Anonymous, ..Ctx::system(Clock::System) };
        assert_eq!(nobody.require_scope("jobs"), Err(Forbidden::NotSignedIn));
    }

    #[test]
    fn a_key_is_refused_wherever_nothing_says_that_keys_are_taken() {
        let key = caller("admin", Some(&["jobs"]));
        assert_eq!(key.user().err(), Some(Forbidden::KeyRefused));
        assert_eq!(key.require_admin(), Err(Forbidden::KeyRefused));
        assert!(key.user_with("jobs").is_ok());
        assert_eq!(key.user_with("profile").err(), Some(Forbidden::ScopeNeeded("profile")));
    }
}
