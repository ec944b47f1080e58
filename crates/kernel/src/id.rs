//! Typed identifiers: `usr_0192…`, sortable by creation, impossible to swap.

use std::{cmp::Ordering, fmt, hash, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// What an identifier points at; the prefix is what people see in logs and URLs.
pub trait Kind {
    const PREFIX: &'static str;
}

/// An identifier of one kind: a UUID version 7, printed as `prefix_` and 32 hexadecimal digits.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

/// Marks the identifiers of people.
pub enum UserKind {}
impl Kind for UserKind {
    const PREFIX: &'static str = "usr";
}
pub type UserId = Id<UserKind>;

/// Marks the identifiers of signed-in devices.
pub enum SessionKind {}
impl Kind for SessionKind {
    const PREFIX: &'static str = "ses";
}
pub type SessionId = Id<SessionKind>;

/// Marks the identifiers of API keys.
pub enum ApiKeyKind {}
impl Kind for ApiKeyKind {
    const PREFIX: &'static str = "key";
}
pub type ApiKeyId = Id<ApiKeyKind>;

/// The text is not an identifier of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}_… identifier")]
pub struct BadId(pub &'static str);

impl<K: Kind> Id<K> {
    /// A new identifier, later than every one generated before in this process.
    pub fn generate() -> Self {
        Self(Uuid::now_v7(), PhantomData)
    }

    /// The 128 bits inside, for use as a compact key in memory.
    pub fn as_u128(&self) -> u128 {
        self.0.as_u128()
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, self.0.simple())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = BadId;
    fn from_str(s: &str) -> Result<Self, BadId> {
        let digits = s.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix('_')).ok_or(BadId(K::PREFIX))?;
        // Uuid also reads hyphens, braces and capitals; one identifier has one spelling.
        if digits.len() != 32 || digits.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(BadId(K::PREFIX));
        }
        Uuid::try_parse(digits).map(|uuid| Self(uuid, PhantomData)).map_err(|_| BadId(K::PREFIX))
    }
}

// Written by hand: a derive would ask the marker type for the same traits.
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let id = UserId::generate();
        assert_eq!(id.to_string().parse::<UserId>(), Ok(id));
        assert!(id.to_string().starts_with("usr_"));
    }

    #[test]
    fn an_id_of_another_kind_or_spelling_is_refused() {
        let session = SessionId::generate().to_string();
        assert_eq!(session.parse::<UserId>(), Err(BadId("usr")));
        let user = UserId::generate().to_string();
        assert!(user.to_uppercase().parse::<UserId>().is_err());
        assert!(user.replace('_', "-").parse::<UserId>().is_err());
        assert!("usr_".parse::<UserId>().is_err());
    }
}
