//! One link of the chain, and what its hash is made of. The rules stand in docs/audit.md, so exactly that a stranger can check a
//! chain; `examples/audit-verify` is such a stranger. Changing anything here needs a new [`VERSION`].

use sha2::{Digest as _, Sha256};

use crate::json;

/// Written into everything that is hashed or signed.
pub(crate) const VERSION: i64 = 1;

/// A SHA-256 digest.
pub(crate) type Hash = [u8; 32];

/// A link without its hash, borrowed from wherever it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link<'a> {
    pub(crate) seq: i64,
    pub(crate) id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) at: i64,
    pub(crate) action: &'a str,
    pub(crate) severity: &'a str,
    pub(crate) status: &'a str,
    pub(crate) actor_kind: &'a str,
    pub(crate) actor_id: Option<&'a str>,
    pub(crate) actor_session: Option<&'a str>,
    pub(crate) resource_kind: &'a str,
    pub(crate) resource_id: Option<&'a str>,
    pub(crate) request_id: Option<&'a str>,
    /// RFC 8785 already.
    pub(crate) details: &'a str,
    /// What the personal fields come to, if there have ever been any.
    pub(crate) personal: Option<Hash>,
}

impl Link<'_> {
    /// What is hashed: this link as RFC 8785, with the hash of the one before.
    pub(crate) fn canonical(&self, prev: &Hash, out: &mut Vec<u8>) {
        out.clear();
        let name = |out: &mut Vec<u8>, name: &str| out.extend_from_slice(name.as_bytes());
        name(out, "{\"action\":");
        json::text(out, self.action);
        name(out, ",\"actor\":{\"id\":");
        json::optional(out, self.actor_id);
        name(out, ",\"kind\":");
        json::text(out, self.actor_kind);
        name(out, ",\"session\":");
        json::optional(out, self.actor_session);
        name(out, "},\"at\":");
        json::moment(out, self.at);
        name(out, ",\"details\":");
        name(out, self.details);
        name(out, ",\"id\":");
        json::text(out, self.id);
        name(out, ",\"kind\":");
        json::text(out, self.kind);
        name(out, ",\"personal\":");
        match &self.personal {
            Some(commitment) => json::hex(out, commitment),
            None => name(out, "null"),
        }
        name(out, ",\"prev\":");
        json::hex(out, prev);
        name(out, ",\"request_id\":");
        json::optional(out, self.request_id);
        name(out, ",\"resource\":{\"id\":");
        json::optional(out, self.resource_id);
        name(out, ",\"kind\":");
        json::text(out, self.resource_kind);
        name(out, "},\"seq\":");
        json::number(out, self.seq);
        name(out, ",\"severity\":");
        json::text(out, self.severity);
        name(out, ",\"status\":");
        json::text(out, self.status);
        name(out, ",\"v\":");
        json::number(out, VERSION);
        out.push(b'}');
    }

    /// `scratch` is overwritten; reused, nothing is allocated.
    pub(crate) fn hash(&self, prev: &Hash, scratch: &mut Vec<u8>) -> Hash {
        self.canonical(prev, scratch);
        digest(scratch)
    }
}

/// What belongs to a person in a link: not in its hash, which holds only a salted digest, so that it can be erased.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Personal<'a> {
    /// 32 hexadecimal digits: without them nobody can find out by trying what an erased address was.
    pub(crate) salt: &'a str,
    pub(crate) actor: Option<&'a str>,
    pub(crate) ip: Option<&'a str>,
    pub(crate) user_agent: Option<&'a str>,
    /// RFC 8785 already.
    pub(crate) details: &'a str,
}

impl Personal<'_> {
    pub(crate) fn canonical(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(b"{\"actor\":");
        json::optional(out, self.actor);
        out.extend_from_slice(b",\"details\":");
        out.extend_from_slice(self.details.as_bytes());
        out.extend_from_slice(b",\"ip\":");
        json::optional(out, self.ip);
        out.extend_from_slice(b",\"salt\":");
        json::text(out, self.salt);
        out.extend_from_slice(b",\"user_agent\":");
        json::optional(out, self.user_agent);
        out.push(b'}');
    }

    pub(crate) fn commitment(&self, scratch: &mut Vec<u8>) -> Hash {
        self.canonical(scratch);
        digest(scratch)
    }
}

/// What the first link calls the hash of the one before: it ties the chain to its name.
pub(crate) fn beginning(chain: &str) -> Hash {
    let mut out = b"{\"chain\":".to_vec();
    json::text(&mut out, chain);
    out.extend_from_slice(b",\"v\":");
    json::number(&mut out, VERSION);
    out.push(b'}');
    digest(&out)
}

pub(crate) fn digest(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}
