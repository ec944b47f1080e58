//! What is revoked, in memory: asked by every core, told by the database and by other replicas.

use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use baluarte_kernel::{ApiKeyId, BadId, Principal, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// Whose credentials are void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Session(SessionId),
    User(UserId),
    ApiKey(ApiKeyId),
}

impl Subject {
    fn key(&self) -> u128 {
        match self {
            Self::Session(id) => id.as_u128(),
            Self::User(id) => id.as_u128(),
            Self::ApiKey(id) => id.as_u128(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(id) => id.fmt(f),
            Self::User(id) => id.fmt(f),
            Self::ApiKey(id) => id.fmt(f),
        }
    }
}

impl FromStr for Subject {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        text.parse().map(Self::Session).or_else(|_| text.parse().map(Self::User)).or_else(|_: BadId| text.parse().map(Self::ApiKey))
    }
}

/// Credentials of the subject from before an epoch are void, until none of them is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Revocation {
    pub(crate) subject: Subject,
    /// Of a person; [`Self::EVERY`] for what is gone for good.
    pub(crate) epoch: u64,
    pub(crate) expires_at: Timestamp,
}

impl Revocation {
    /// Later than every epoch there will be.
    pub(crate) const EVERY: u64 = i64::MAX.cast_unsigned();
}

/// What replicas tell each other.
#[derive(Serialize, Deserialize)]
struct Told(Vec<(String, u64, i64)>);

/// As a message to other replicas.
pub(crate) fn encode(revocations: &[Revocation]) -> Vec<u8> {
    let told = revocations.iter().map(|it| (it.subject.to_string(), it.epoch, it.expires_at.micros())).collect();
    serde_json::to_vec(&Told(told)).unwrap_or_default()
}

/// `None` for what another version may have sent: the database tells the same a moment later.
pub(crate) fn decode(message: &[u8]) -> Option<Vec<Revocation>> {
    let Told(told) = serde_json::from_slice(message).ok()?;
    told.into_iter()
        .map(|(subject, epoch, expires_at)| {
            Some(Revocation { subject: subject.parse().ok()?, epoch, expires_at: Timestamp::from_micros(expires_at) })
        })
        .collect()
}

const SHARDS: usize = 16;

/// As large as the number of sign-outs in an access token's life.
#[derive(Debug, Default)]
pub(crate) struct Revoked {
    changes: AtomicU64,
    shards: [RwLock<HashMap<u128, Void, ahash::RandomState>>; SHARDS],
}

#[derive(Debug, Clone, Copy)]
struct Void {
    before: u64,
    expires_at: Timestamp,
}

impl Revoked {
    /// Counts up with everything new.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether anything of it was news.
    pub(crate) fn add(&self, revocations: &[Revocation]) -> bool {
        let mut news = false;
        for revocation in revocations {
            let key = revocation.subject.key();
            let mut shard = self.shard(key).write().unwrap_or_else(PoisonError::into_inner);
            let void = shard.entry(key).or_insert(Void { before: 0, expires_at: revocation.expires_at });
            // Told out of order, the later epoch stays.
            if void.before < revocation.epoch {
                void.before = revocation.epoch;
                news = true;
            }
            void.expires_at = void.expires_at.max(revocation.expires_at);
        }
        if news {
            // After the entries: whoever sees the new number also sees them.
            self.changes.fetch_add(1, Ordering::Release);
        }
        news
    }

    pub(crate) fn is_revoked(&self, who: &Principal) -> bool {
        let void = |key: u128| {
            self.shard(key).read().unwrap_or_else(PoisonError::into_inner).get(&key).is_some_and(|void| who.epoch < void.before)
        };
        void(who.user_id.as_u128())
            || who.session_id.is_some_and(|id| void(id.as_u128()))
            || who.key_id.is_some_and(|id| void(id.as_u128()))
    }

    /// Forgets what no credential can be of any more.
    pub(crate) fn sweep(&self, now: Timestamp) {
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).retain(|_, void| void.expires_at > now);
        }
    }

    /// The low bits of a version 7 UUID are random.
    fn shard(&self, key: u128) -> &RwLock<HashMap<u128, Void, ahash::RandomState>> {
        &self.shards[(key % SHARDS as u128) as usize]
    }
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::CredentialKind;

    use super::*;

    fn principal(epoch: u64) -> Principal {
        Principal {
            user_id: UserId::generate(),
            email: String::new(),
            name: String::new(),
            role: "user".to_owned(),
            session_id: Some(SessionId::generate()),
            key_id: None,
            scopes: None,
            credential: CredentialKind::AccessToken,
            issued_at: Timestamp::default(),
            proven_at: Timestamp::default(),
            epoch,
            expires_at: Timestamp::from_micros(100),
        }
    }

    fn user(id: UserId, epoch: u64) -> Revocation {
        Revocation { subject: Subject::User(id), epoch, expires_at: Timestamp::from_micros(100) }
    }

    #[test]
    fn a_session_is_revoked_alone_and_a_person_up_to_an_epoch() {
        let revoked = Revoked::default();
        let (who, other) = (principal(1), principal(1));
        let session =
            Revocation { subject: Subject::Session(who.session_id.unwrap()), epoch: Revocation::EVERY, expires_at: who.expires_at };
        assert!(revoked.add(&[session]));
        assert!(revoked.is_revoked(&who) && !revoked.is_revoked(&other));
        assert!(revoked.add(&[user(other.user_id, 2)]));
        assert!(revoked.is_revoked(&other));
        assert!(!revoked.is_revoked(&Principal { epoch: 2, ..other }), "made after the revocation");
    }

    #[test]
    fn only_news_count_and_an_older_epoch_never_wins() {
        let (revoked, who) = (Revoked::default(), principal(1));
        assert!(revoked.add(&[user(who.user_id, 2)]));
        assert_eq!(revoked.changes(), 1);
        assert!(!revoked.add(&[user(who.user_id, 2), user(who.user_id, 1)]));
        assert_eq!(revoked.changes(), 1);
        assert!(revoked.is_revoked(&who));
    }

    #[test]
    fn a_revocation_is_forgotten_when_no_credential_is_left() {
        let (revoked, who) = (Revoked::default(), principal(1));
        revoked.add(&[user(who.user_id, 2)]);
        revoked.sweep(Timestamp::from_micros(99));
        assert!(revoked.is_revoked(&who));
        revoked.sweep(Timestamp::from_micros(100));
        assert!(!revoked.is_revoked(&who));
    }

    #[test]
    fn replicas_understand_each_other_and_ignore_noise() {
        let told = [user(UserId::generate(), 7)];
        assert_eq!(decode(&encode(&told)), Some(told.to_vec()));
        assert_eq!(decode(b"noise"), None);
        assert_eq!(decode(br#"[["ses_x",1,2]]"#), None);
    }
}
