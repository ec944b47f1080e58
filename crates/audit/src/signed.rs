//! What is signed: checkpoints, prunings, keys. Each is RFC 8785 with a `type`, so that none can pass for another.

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use baluarte_kernel::Timestamp;
use baluarte_secrets::Secrets;
use serde::{Deserialize, Serialize};

use crate::{
    json,
    link::{Hash, VERSION, digest},
};

const SEALED_AS: &str = "audit.checkpoint_key";

/// What is said about the chain and one of its links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Says {
    /// At this time the chain ended here.
    Checkpoint,
    /// At this time everything up to here was removed because of its age; what is left follows this hash.
    Pruning,
}

/// A signed word about the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub says: Says,
    pub chain: String,
    pub seq: i64,
    pub hash: Hash,
    pub at: Timestamp,
    /// Names the key: the SHA-256 of its public part.
    pub kid: String,
    pub signature: Vec<u8>,
}

/// As it is written into files and sent to anchors.
#[derive(Serialize, Deserialize)]
struct Line {
    at: String,
    chain: String,
    hash: String,
    kid: String,
    public_key: String,
    seq: i64,
    signature: String,
    r#type: Says,
    v: i64,
}

impl Checkpoint {
    /// What the signature is over.
    fn signed(says: Says, chain: &str, seq: i64, hash: &Hash, at: Timestamp, kid: &str) -> Vec<u8> {
        let mut out = b"{\"at\":".to_vec();
        json::moment(&mut out, at.micros());
        out.extend_from_slice(b",\"chain\":");
        json::text(&mut out, chain);
        out.extend_from_slice(b",\"hash\":");
        json::hex(&mut out, hash);
        out.extend_from_slice(b",\"kid\":");
        json::text(&mut out, kid);
        out.extend_from_slice(b",\"seq\":");
        json::number(&mut out, seq);
        out.extend_from_slice(match says {
            Says::Checkpoint => b",\"type\":\"checkpoint\",\"v\":",
            Says::Pruning => b",\"type\":\"pruning\",\"v\":",
        });
        json::number(&mut out, VERSION);
        out.push(b'}');
        out
    }

    pub(crate) fn sign(says: Says, chain: &str, seq: i64, hash: Hash, at: Timestamp, signer: &Signer) -> Self {
        let signature = signer.pair.sign(&Self::signed(says, chain, seq, &hash, at, &signer.kid)).as_ref().to_vec();
        Self { says, chain: chain.to_owned(), seq, hash, at, kid: signer.kid.clone(), signature }
    }

    pub(crate) fn is_signed_with(&self, public_key: &Hash) -> bool {
        let message = Self::signed(self.says, &self.chain, self.seq, &self.hash, self.at, &self.kid);
        kid(public_key) == self.kid && UnparsedPublicKey::new(&ED25519, public_key).verify(&message, &self.signature).is_ok()
    }

    /// One line of JSON with everything needed to check it.
    pub fn to_line(&self, public_key: &Hash) -> String {
        let mut at = Vec::new();
        json::moment(&mut at, self.at.micros());
        let line = Line {
            at: String::from_utf8_lossy(&at).trim_matches('"').to_owned(),
            chain: self.chain.clone(),
            hash: hex::encode(self.hash),
            kid: self.kid.clone(),
            public_key: hex::encode(public_key),
            seq: self.seq,
            signature: hex::encode(&self.signature),
            r#type: self.says,
            v: VERSION,
        };
        serde_json::to_string(&line).expect("text and numbers become JSON")
    }

    /// Reads what [`to_line`](Self::to_line) wrote, wherever it has been since. Refuses one whose signature does not hold.
    ///
    /// # Errors
    /// A sentence.
    pub fn from_line(line: &str) -> Result<Self, String> {
        let line: Line = serde_json::from_str(line).map_err(|err| format!("not a checkpoint: {err}"))?;
        if line.v != VERSION {
            return Err(format!("version {} is not known to this program", line.v));
        }
        let bytes = |text: &str| hex::decode(text).map_err(|_| "a value is not hexadecimal".to_owned());
        let digest = |text: &str| Hash::try_from(bytes(text)?).map_err(|_| "a value has not 32 bytes".to_owned());
        let checkpoint = Self {
            says: line.r#type,
            chain: line.chain,
            seq: line.seq,
            hash: digest(&line.hash)?,
            at: line.at.parse().map_err(|_| "the time cannot be read".to_owned())?,
            kid: line.kid,
            signature: bytes(&line.signature)?,
        };
        if checkpoint.is_signed_with(&digest(&line.public_key)?) { Ok(checkpoint) } else { Err("its signature does not hold".to_owned()) }
    }
}

/// How a key is named: the SHA-256 of its public part, so that whoever keeps the name cannot be given another key.
pub(crate) fn kid(public_key: &Hash) -> String {
    hex::encode(digest(public_key))
}

/// A key that signs.
pub(crate) struct Signer {
    pub(crate) kid: String,
    pair: Ed25519KeyPair,
}

/// A row of `audit_keys`.
#[derive(Debug, Clone)]
pub(crate) struct StoredKey {
    pub(crate) kid: String,
    pub(crate) generation: i64,
    pub(crate) public_key: Hash,
    /// PKCS#8, sealed.
    pub(crate) private_key: String,
    pub(crate) at: Timestamp,
    /// The key before, or itself.
    pub(crate) endorsed_by: String,
    pub(crate) signature: Vec<u8>,
}

impl StoredKey {
    /// `endorser`: the key that signs so far. Without one the key vouches for itself.
    pub(crate) fn generate(
        chain: &str,
        generation: i64,
        endorser: Option<&Signer>,
        secrets: &Secrets,
        now: Timestamp,
    ) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError)?;
        let private: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError)?;
        let private_key = secrets.seal(SEALED_AS, private.as_ref());
        let public_key = Hash::try_from(pair.public_key().as_ref()).map_err(|_| KeyError)?;
        let own = Signer { kid: kid(&public_key), pair };
        let endorser = endorser.unwrap_or(&own);
        let mut key = Self {
            kid: own.kid.clone(),
            generation,
            public_key,
            private_key,
            at: now,
            endorsed_by: endorser.kid.clone(),
            signature: Vec::new(),
        };
        key.signature = endorser.pair.sign(&key.signed(chain)).as_ref().to_vec();
        Ok(key)
    }

    fn signed(&self, chain: &str) -> Vec<u8> {
        let mut out = b"{\"at\":".to_vec();
        json::moment(&mut out, self.at.micros());
        for (name, value) in [
            (",\"chain\":", chain),
            (",\"endorsed_by\":", &self.endorsed_by),
            (",\"kid\":", &self.kid),
            (",\"public_key\":", &hex::encode(self.public_key)),
            (",\"type\":", "key"),
        ] {
            out.extend_from_slice(name.as_bytes());
            json::text(&mut out, value);
        }
        out.extend_from_slice(b",\"v\":");
        json::number(&mut out, VERSION);
        out.push(b'}');
        out
    }

    pub(crate) fn is_endorsed_with(&self, chain: &str, public_key: &Hash) -> bool {
        kid(&self.public_key) == self.kid
            && kid(public_key) == self.endorsed_by
            && UnparsedPublicKey::new(&ED25519, public_key).verify(&self.signed(chain), &self.signature).is_ok()
    }

    /// `None` when it was sealed with another `SECRET_KEY`, or is not the public key's.
    pub(crate) fn open(&self, secrets: &Secrets) -> Option<Signer> {
        let der = secrets.open(SEALED_AS, &self.private_key).ok()?;
        let pair = Ed25519KeyPair::from_pkcs8(&der).ok()?;
        (pair.public_key().as_ref() == self.public_key).then(|| Signer { kid: self.kid.clone(), pair })
    }

    /// One line of JSON with everything needed to check it.
    pub(crate) fn to_line(&self, chain: &str) -> String {
        let mut line = self.signed(chain);
        line.pop();
        line.extend_from_slice(b",\"signature\":");
        json::text(&mut line, &hex::encode(&self.signature));
        line.push(b'}');
        String::from_utf8(line).expect("JSON made of text is text")
    }
}

/// No key could be made on this machine.
#[derive(Debug, thiserror::Error)]
#[error("an Ed25519 key could not be made")]
pub(crate) struct KeyError;

#[cfg(test)]
mod tests {
    use baluarte_kernel::Secret;

    use super::*;

    fn secrets() -> Secrets {
        Secrets::new(&Secret::new("a secret key for tests, longer than 32 bytes"), &Secret::new("salt"))
    }

    #[test]
    fn a_line_reads_back_and_no_word_of_it_can_be_changed() {
        let now = Timestamp::from_micros(1_800_000_000_123_456);
        let key = StoredKey::generate("chn_1", 1, None, &secrets(), now).unwrap();
        let checkpoint = Checkpoint::sign(Says::Checkpoint, "chn_1", 7, [9; 32], now, &key.open(&secrets()).unwrap());
        let line = checkpoint.to_line(&key.public_key);
        assert_eq!(Checkpoint::from_line(&line), Ok(checkpoint));
        for (was, becomes) in
            [("\"seq\":7", "\"seq\":8"), ("0909", "0908"), ("chn_1", "chn_2"), ("123456Z", "123457Z"), ("checkpoint", "pruning")]
        {
            let forged = line.replacen(was, becomes, 1);
            assert_ne!(forged, line);
            assert!(Checkpoint::from_line(&forged).is_err(), "{becomes}");
        }
    }

    #[test]
    fn a_key_is_vouched_for_by_the_one_before() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let first = StoredKey::generate("chn_1", 1, None, &secrets(), now).unwrap();
        let second = StoredKey::generate("chn_1", 2, first.open(&secrets()).as_ref(), &secrets(), now).unwrap();
        assert!(first.is_endorsed_with("chn_1", &first.public_key) && second.is_endorsed_with("chn_1", &first.public_key));
        assert!(!second.is_endorsed_with("chn_2", &first.public_key) && !second.is_endorsed_with("chn_1", &second.public_key));
        let stranger = StoredKey { public_key: first.public_key, ..second };
        assert!(!stranger.is_endorsed_with("chn_1", &first.public_key) && stranger.open(&secrets()).is_none());
    }
}
