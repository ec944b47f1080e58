//! What components of one floor need from each other, wired by the server. Two traits; past five the cut is wrong.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{ApiKeyId, Rate, SessionId, Timestamp, UserId, scope};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who a request is from, as everything outside identity sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub user_id: UserId,
    pub email: String,
    pub name: String,
    /// `user`, one of those who help to run the place (`owner`, `admin`, `support`, `read-only`), or one that the operator made up for
    /// the routes' `access = "role:NAME"`.
    pub role: String,
    /// The signed-in device; an API key has none.
    pub session_id: Option<SessionId>,
    /// The API key; a signed-in device has none.
    pub key_id: Option<ApiKeyId>,
    /// What an API key may do; `None`: everything its owner may, as after signing in.
    pub scopes: Option<Vec<String>>,
    pub credential: CredentialKind,
    /// When the credential was issued.
    pub issued_at: Timestamp,
    /// When its owner last showed who they are, with the second factor where there is one: by signing in, or since. The beginning
    /// of time for what nobody ever showed anything with.
    pub proven_at: Timestamp,
    /// How often everything of this account had been revoked when the credential was made: an earlier epoch is void.
    pub epoch: u64,
    /// After this moment the credential has to be looked at again.
    pub expires_at: Timestamp,
}

impl Principal {
    pub const ADMIN: &'static str = "admin";
    /// May all that an administrator may.
    pub const OWNER: &'static str = "owner";

    pub fn has_role(&self, role: &str) -> bool {
        self.role == role || (role == Self::ADMIN && self.role == Self::OWNER)
    }

    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|held| held == scope))
    }

    /// Whether it acts as its owner wherever somebody signed in may: a key has to be made for that.
    pub fn opens_app(&self) -> bool {
        self.has_scope(scope::APP)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    AccessToken,
    SessionCookie,
    ApiKey,
}

/// What a request presented, verbatim.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Credential {
    /// After `Authorization: Bearer `.
    Bearer(String),
    /// The value of the session cookie.
    SessionCookie(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer [redacted]",
            Self::SessionCookie(_) => "SessionCookie [redacted]",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not one of ours, damaged, expired, or of an account that is gone.
    #[error("the credential is not valid")]
    Invalid,
    /// It was valid until somebody signed out, changed a password or was disabled.
    #[error("the credential has been revoked")]
    Revoked,
    /// The database is away and the credential is not in memory: nobody can tell.
    #[error("sign-in cannot be checked right now")]
    Unavailable,
}

/// A short-lived proof of who is calling, for upstreams: the value of `X-Baluarte-Identity`.
#[derive(Debug, Clone)]
pub struct UpstreamIdentity {
    pub token: Arc<str>,
    /// Mint a new one before this moment.
    pub renew_at: Timestamp,
}

/// Identity implements it; the server's middleware and the gateway ask it.
///
/// A caller may keep an answer until `Principal::expires_at`, as long as it asks [`is_revoked`](Self::is_revoked)
/// whenever [`revocations`](Self::revocations) has changed since it last looked.
pub trait Authenticator: Send + Sync + 'static {
    /// May read the database: call it on the control runtime, never on a data-plane core.
    fn authenticate(&self, credential: Credential) -> BoxFuture<'_, Result<Arc<Principal>, AuthError>>;

    /// Counts up with every revocation this replica hears of. One atomic load.
    fn revocations(&self) -> u64;

    /// Has this principal's session or account been revoked? From memory.
    fn is_revoked(&self, principal: &Principal) -> bool;

    /// Has this text the form of a credential that we make, valid or not (expired, altered, revoked)? Such a one is nobody's business but
    /// ours. From memory.
    fn is_own(&self, token: &str) -> bool;

    /// Signs a 60-second identity for the upstream named as audience. CPU only (about 30 µs): keep it until `renew_at`.
    fn upstream_identity(&self, principal: &Principal, audience: &str, plan: &str) -> UpstreamIdentity;
}

/// What somebody's plan lets them do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntitledPlan {
    pub name: Arc<str>,
    /// A route that asks for a plan is open to that rank and every higher one.
    pub rank: u32,
    /// Replaces the built-in limit `user`.
    pub rate: Option<Rate>,
}

/// Billing implements it; until then everybody is `free`.
pub trait Entitlements: Send + Sync + 'static {
    /// From memory, never from the network.
    fn plan_of(&self, user: UserId) -> EntitledPlan;

    /// The rank a plan's name stands for; `None` for a name that nobody configured.
    fn rank_of(&self, plan: &str) -> Option<u32>;

    /// Counts up whenever any plan changed, so that callers may keep answers.
    fn changes(&self) -> u64;
}

/// Entitlements of a Baluarte without billing: everyone is on the plan `free`.
#[derive(Debug, Clone)]
pub struct FreeForAll {
    free: EntitledPlan,
    ranks: Vec<(String, u32)>,
}

impl FreeForAll {
    pub const PLAN: &'static str = "free";

    /// `ranks`: the configured plans, so that a route may already ask for one (and refuse everybody).
    pub fn new(ranks: Vec<(String, u32)>) -> Self {
        Self { free: EntitledPlan { name: Self::PLAN.into(), rank: 0, rate: None }, ranks }
    }
}

impl Entitlements for FreeForAll {
    fn plan_of(&self, _: UserId) -> EntitledPlan {
        self.free.clone()
    }
    fn rank_of(&self, plan: &str) -> Option<u32> {
        if plan == Self::PLAN {
            return Some(0);
        }
        self.ranks.iter().find(|(name, _)| name == plan).map(|(_, rank)| *rank)
    }
    fn changes(&self) -> u64 {
        0
    }
}

/// How long an upstream may believe an identity it was sent.
pub const UPSTREAM_IDENTITY_LIFETIME: Duration = Duration::from_secs(60);
