//! Who may use a route.

use std::{str::FromStr, time::Duration};

use baluarte_kernel::{EntitledPlan, Entitlements, Principal, Timestamp, scope};

/// `public`, `signed-in`, `role:NAME`, `plan:NAME`, `scope:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    Public,
    SignedIn,
    Role(String),
    /// That plan or a higher one.
    Plan(String),
    Scope(String),
}

/// Why somebody may not, once they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    NotSignedIn,
    Role(String),
    Plan(String),
    Scope(String),
    /// They showed who they are longer ago than this.
    Stale(Duration),
}

/// Whether somebody has shown who they are lately enough.
pub(crate) fn is_fresh(principal: &Principal, max_age: Option<Duration>, now: Timestamp) -> Result<(), Denied> {
    match max_age {
        Some(max_age) if principal.proven_at.plus(max_age) <= now => Err(Denied::Stale(max_age)),
        _ => Ok(()),
    }
}

impl Access {
    /// The scope that it asks for.
    pub(crate) fn scope(&self) -> Option<&str> {
        if let Self::Scope(scope) = self { Some(scope) } else { None }
    }

    /// Whether the app is told whose request it is: on a public route an API key only speaks for its owner when it was made to.
    pub(crate) fn names(&self, principal: &Principal) -> bool {
        *self != Self::Public || principal.opens_app()
    }

    pub(crate) fn allows(&self, who: Option<(&Principal, &EntitledPlan)>, entitlements: &dyn Entitlements) -> Result<(), Denied> {
        if *self == Self::Public {
            return Ok(());
        }
        let Some((principal, plan)) = who else { return Err(Denied::NotSignedIn) };
        match self {
            // What names no scope takes a key made for everything that its owner may.
            Self::Public | Self::SignedIn | Self::Role(_) | Self::Plan(_) if !principal.opens_app() => {
                Err(Denied::Scope(scope::APP.to_owned()))
            }
            Self::Public | Self::SignedIn => Ok(()),
            Self::Role(role) if principal.has_role(role) => Ok(()),
            Self::Role(role) => Err(Denied::Role(role.clone())),
            // A plan that nobody configured opens to nobody.
            Self::Plan(wanted) if entitlements.rank_of(wanted).is_some_and(|rank| plan.rank >= rank) => Ok(()),
            Self::Plan(wanted) => Err(Denied::Plan(wanted.clone())),
            Self::Scope(scope) if principal.has_scope(scope) => Ok(()),
            Self::Scope(scope) => Err(Denied::Scope(scope.clone())),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {0:?}, expected \"public\", \"signed-in\", \"role:NAME\", \"plan:NAME\" or \"scope:NAME\"")]
pub(crate) struct BadAccess(String);

impl FromStr for Access {
    type Err = BadAccess;
    fn from_str(text: &str) -> Result<Self, BadAccess> {
        let bad = || BadAccess(text.to_owned());
        match text {
            "public" => return Ok(Self::Public),
            "signed-in" => return Ok(Self::SignedIn),
            _ => {}
        }
        let (kind, name) = text.split_once(':').ok_or_else(bad)?;
        let sound = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
        match kind {
            "role" if sound => Ok(Self::Role(name.to_owned())),
            "plan" if sound => Ok(Self::Plan(name.to_owned())),
            "scope" if sound => Ok(Self::Scope(name.to_owned())),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use baluarte_kernel::{CredentialKind, FreeForAll, Id};

    use super::*;

    fn somebody(role: &str, scopes: Option<Vec<String>>) -> Principal {
        Principal {
            user_id: Id::generate(),
            email: "ana@example.com".into(),
            name: "Ana".into(),
            role: role.into(),
            session_id: None,
            key_id: None,
            scopes,
            credential: CredentialKind::ApiKey,
            issued_at: Timestamp::default(),
            proven_at: Timestamp::default(),
            epoch: 0,
            expires_at: Timestamp::default(),
        }
    }

    fn check(access: &str, who: Option<&Principal>, rank: u32) -> Result<(), Denied> {
        let plans = FreeForAll::new(vec![("pro".into(), 10), ("team".into(), 20)]);
        let plan = EntitledPlan { name: Arc::from("x"), rank, rate: None };
        access.parse::<Access>().unwrap().allows(who.map(|who| (who, &plan)), &plans)
    }

    #[test]
    fn only_public_routes_are_open_to_strangers() {
        assert_eq!(check("public", None, 0), Ok(()));
        for access in ["signed-in", "role:admin", "plan:free", "scope:read"] {
            assert_eq!(check(access, None, 99), Err(Denied::NotSignedIn), "{access}");
        }
    }

    #[test]
    fn a_plan_opens_to_its_rank_and_above() {
        let ana = somebody("user", None);
        assert_eq!(check("plan:pro", Some(&ana), 9), Err(Denied::Plan("pro".into())));
        assert_eq!(check("plan:pro", Some(&ana), 10), Ok(()));
        assert_eq!(check("plan:pro", Some(&ana), 20), Ok(()));
        assert_eq!(check("plan:gold", Some(&ana), 99), Err(Denied::Plan("gold".into())));
    }

    #[test]
    fn roles_and_scopes_must_be_held_exactly() {
        let (user, admin) = (somebody("user", Some(vec!["read".into(), "app".into()])), somebody("admin", None));
        assert_eq!(check("role:admin", Some(&user), 0), Err(Denied::Role("admin".into())));
        assert_eq!(check("role:admin", Some(&admin), 0), Ok(()));
        assert_eq!(check("scope:read", Some(&user), 0), Ok(()));
        assert_eq!(check("scope:write", Some(&user), 0), Err(Denied::Scope("write".into())));
        assert_eq!(check("scope:write", Some(&admin), 0), Ok(()));
    }

    #[test]
    fn what_names_no_scope_takes_a_key_made_for_the_app() {
        let key = somebody("admin", Some(vec!["read".into()]));
        for access in ["signed-in", "role:admin", "plan:free"] {
            assert_eq!(check(access, Some(&key), 99), Err(Denied::Scope("app".into())), "{access}");
            assert_eq!(check(access, Some(&somebody("admin", Some(vec!["app".into()]))), 99), Ok(()), "{access}");
        }
        assert!(!Access::Public.names(&key) && Access::Scope("read".into()).names(&key));
    }

    #[test]
    fn an_access_rule_is_one_of_five_forms() {
        for bad in ["", "Public", "signed in", "role", "role:", "role:a b", "group:x", "plan:pro,team", "role:admin "] {
            assert!(bad.parse::<Access>().is_err(), "{bad}");
        }
    }
}
