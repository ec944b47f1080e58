//! Passkeys: what a relying party checks of what a browser brings (Web Authentication Level 3, sections 7.1 and 7.2), without
//! attestation. No input or output here.
//!
//! Who made an authenticator is not asked, so an attestation is not looked at: the key in it is trusted because its owner, who
//! is signed in, brings it.

mod cbor;
mod challenge;
#[cfg(any(test, feature = "fuzzed"))]
pub(crate) mod fuzzed;
mod key;

use baluarte_kernel::UserId;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub(crate) use self::challenge::{CHALLENGE, Challenges, Purpose};
use self::{
    cbor::Value,
    key::{ALGORITHMS, PublicKey},
};

/// No identifier of a credential is longer (section 4).
const MAX_CREDENTIAL_ID: usize = 1_023;

/// Where a passkey is good: nowhere else does a browser use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelyingParty {
    /// The host of the public URL.
    pub(crate) id: String,
    /// The public URL without a path.
    pub(crate) origin: String,
}

impl RelyingParty {
    /// `None` where browsers know no passkeys: on plain http but for localhost, and where the host is an address.
    pub(crate) fn of(public_url: &str) -> Option<Self> {
        let (scheme, rest) = public_url.split_once("://")?;
        let authority = rest.split('/').next()?.to_ascii_lowercase();
        let id = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host).to_owned();
        let safe = scheme == "https" || id == "localhost" || id.ends_with(".localhost");
        let named = !id.is_empty() && !id.starts_with('[') && id.parse::<std::net::Ipv4Addr>().is_err();
        (safe && named).then(|| Self { origin: format!("{scheme}://{authority}"), id })
    }
}

/// What a browser made of `navigator.credentials.create`.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
pub struct NewCredential {
    response: AttestationResponse,
}

#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct AttestationResponse {
    /// Base64url, as everywhere here.
    #[serde(rename = "clientDataJSON")]
    client_data_json: String,
    attestation_object: String,
    #[serde(default)]
    transports: Vec<String>,
}

/// What a browser made of `navigator.credentials.get`.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
pub struct Assertion {
    pub(crate) id: String,
    response: AssertionResponse,
}

#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct AssertionResponse {
    #[serde(rename = "clientDataJSON")]
    client_data_json: String,
    authenticator_data: String,
    signature: String,
    #[serde(default)]
    user_handle: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

/// What an authenticator says about itself and what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flags(u8);

impl Flags {
    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
    /// Somebody touched it.
    const fn present(self) -> bool {
        self.has(0x01)
    }
    /// It knows that it was its owner: by a finger, a face or a PIN.
    const fn verified(self) -> bool {
        self.has(0x04)
    }
    const fn backup_eligible(self) -> bool {
        self.has(0x08)
    }
    const fn backed_up(self) -> bool {
        self.has(0x10)
    }
    const fn attested(self) -> bool {
        self.has(0x40)
    }
}

/// A key that was made for us, all checked but for its challenge's first use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) credential_id: String,
    pub(crate) public_key: Vec<u8>,
    pub(crate) sign_count: u32,
    pub(crate) backup_eligible: bool,
    pub(crate) backed_up: bool,
    /// `internal`, `hybrid`, `usb` …: a hint for browsers, in words of the standard's form.
    pub(crate) transports: Vec<String>,
    pub(crate) challenge: String,
}

/// A key that was used, with everything checked that can be without the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) sign_count: u32,
    /// The person was recognised, not only present.
    pub(crate) verified: bool,
    pub(crate) backup_eligible: bool,
    pub(crate) backed_up: bool,
    pub(crate) challenge: String,
}

impl NewCredential {
    /// Section 7.1. `challenge`: whether it is one of ours, for this and for now.
    pub(crate) fn check(&self, party: &RelyingParty, challenge: impl Fn(&str) -> bool) -> Option<Registered> {
        let client_data = decode(&self.response.client_data_json)?;
        let client = client(&client_data, "webauthn.create", party, challenge)?;
        let object = decode(&self.response.attestation_object)?;
        let (object, rest) = Value::first(&object)?;
        let data = object.entry(&Value::Text("authData"))?.bytes().filter(|_| rest.is_empty())?;
        let (flags, sign_count, rest) = authenticator(data, party)?;
        if !flags.present() || !flags.attested() {
            return None;
        }
        // The model of the authenticator (16 bytes), which is nobody's business; then the credential.
        let (length, rest) = rest.get(16..)?.split_at_checked(2)?;
        let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
        let (credential, rest) = rest.split_at_checked(length).filter(|_| (1..=MAX_CREDENTIAL_ID).contains(&length))?;
        let (_, after) = Value::first(rest)?;
        let cose = &rest[..rest.len() - after.len()];
        PublicKey::read(cose)?;
        let known = |transport: &&String| transport.len() <= 20 && transport.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        Some(Registered {
            credential_id: URL_SAFE_NO_PAD.encode(credential),
            public_key: cose.to_vec(),
            sign_count,
            backup_eligible: flags.backup_eligible(),
            backed_up: flags.backed_up(),
            transports: self.response.transports.iter().filter(known).take(8).cloned().collect(),
            challenge: client.challenge,
        })
    }
}

impl Assertion {
    /// Section 7.2. `owner` and `public_key` are of the credential with this [`id`](Self::id). `discovered`: the browser said who it is, and
    /// not we.
    pub(crate) fn check(
        &self,
        party: &RelyingParty,
        owner: UserId,
        public_key: &[u8],
        discovered: bool,
        challenge: impl Fn(&str) -> bool,
    ) -> Option<Used> {
        let handle = user_handle(owner);
        match self.response.user_handle.as_deref().filter(|said| !said.is_empty()) {
            Some(said) if said.trim_end_matches('=') != handle => return None,
            None if discovered => return None,
            _ => {}
        }
        let client_data = decode(&self.response.client_data_json)?;
        let client = client(&client_data, "webauthn.get", party, challenge)?;
        let data = decode(&self.response.authenticator_data)?;
        let (flags, sign_count, _) = authenticator(&data, party)?;
        if !flags.present() {
            return None;
        }
        let signed = [data.as_slice(), &Sha256::digest(&client_data)].concat();
        let signature = decode(&self.response.signature)?;
        PublicKey::read(public_key)?.verifies(&signed, &signature).then(|| Used {
            sign_count,
            verified: flags.verified(),
            backup_eligible: flags.backup_eligible(),
            backed_up: flags.backed_up(),
            challenge: client.challenge,
        })
    }
}

fn client(json: &[u8], kind: &str, party: &RelyingParty, challenge: impl Fn(&str) -> bool) -> Option<ClientData> {
    let client: ClientData = serde_json::from_slice(json).ok()?;
    // In a frame of somebody else's page people do not see whom they deal with.
    let ours = client.r#type == kind && client.origin == party.origin && !client.cross_origin && challenge(&client.challenge);
    ours.then_some(client)
}

/// Flags, the count of signatures, and what follows them.
fn authenticator<'a>(data: &'a [u8], party: &RelyingParty) -> Option<(Flags, u32, &'a [u8])> {
    let (hash, rest) = data.split_at_checked(32)?;
    let (flags, rest) = rest.split_first()?;
    let (count, rest) = rest.split_at_checked(4)?;
    let flags = Flags(*flags);
    let ours = hash == Sha256::digest(party.id.as_bytes()).as_slice();
    // What cannot be backed up is not.
    (ours && (flags.backup_eligible() || !flags.backed_up())).then_some((flags, u32::from_be_bytes(count.try_into().ok()?), rest))
}

/// Base64url, with or without padding; bounded by what a body of ours may hold.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// What an authenticator calls a person: nothing that tells who they are.
pub(crate) fn user_handle(user: UserId) -> String {
    URL_SAFE_NO_PAD.encode(user.as_u128().to_be_bytes())
}

/// For `navigator.credentials.create`: `PublicKeyCredentialCreationOptionsJSON`.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct CreationOptions(serde_json::Value);

/// For `navigator.credentials.get`: `PublicKeyCredentialRequestOptionsJSON`.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct RequestOptions(serde_json::Value);

/// A credential as browsers are told of it.
pub(crate) fn descriptor(credential_id: &str, transports: &[String]) -> serde_json::Value {
    serde_json::json!({ "type": "public-key", "id": credential_id, "transports": transports })
}

impl CreationOptions {
    pub(crate) fn new(
        party: &RelyingParty,
        site: &str,
        user: (UserId, &str, &str),
        challenge: &str,
        exclude: Vec<serde_json::Value>,
    ) -> Self {
        let (id, email, name) = user;
        let algorithms: Vec<_> = ALGORITHMS.iter().map(|alg| serde_json::json!({ "type": "public-key", "alg": alg })).collect();
        Self(serde_json::json!({
            "rp": { "id": party.id, "name": site },
            "user": { "id": user_handle(id), "name": email, "displayName": name },
            "challenge": challenge,
            "pubKeyCredParams": algorithms,
            "timeout": CHALLENGE.as_millis() as u64,
            "excludeCredentials": exclude,
            // One that its owner finds by itself signs in without a password; one that cannot is a second factor.
            "authenticatorSelection": { "residentKey": "preferred", "requireResidentKey": false, "userVerification": "preferred" },
            "attestation": "none",
        }))
    }
}

impl RequestOptions {
    /// `allow`: the person's credentials; empty where the browser is to say who it is, which has to recognise them.
    pub(crate) fn new(party: &RelyingParty, challenge: &str, allow: Vec<serde_json::Value>) -> Self {
        let verification = if allow.is_empty() { "required" } else { "preferred" };
        Self(serde_json::json!({
            "rpId": party.id,
            "challenge": challenge,
            "timeout": CHALLENGE.as_millis() as u64,
            "allowCredentials": allow,
            "userVerification": verification,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_are_bound_to_the_public_urls_host_and_exist_only_where_browsers_know_them() {
        let of = |url| RelyingParty::of(url).map(|party| (party.id, party.origin));
        let (id, origin) = of("https://Shop.example:8443/base").unwrap();
        assert_eq!((id.as_str(), origin.as_str()), ("shop.example", "https://shop.example:8443"));
        assert_eq!(of("http://localhost:8080").unwrap().0, "localhost");
        for none in ["http://shop.example", "https://203.0.113.7", "https://[2001:db8::1]:8443", "http://127.0.0.1:8080", "shop.example"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn what_says_that_it_is_backed_up_and_cannot_be_is_refused() {
        let party = RelyingParty::of("https://shop.example").unwrap();
        let data = |flags: u8| [Sha256::digest(b"shop.example").as_slice(), &[flags], &[0, 0, 0, 7]].concat();
        assert_eq!(authenticator(&data(0x1d), &party).map(|(_, count, _)| count), Some(7));
        assert!(authenticator(&data(0x11), &party).is_none());
        let elsewhere = RelyingParty::of("https://evil.example").unwrap();
        assert!(authenticator(&data(0x1d), &elsewhere).is_none());
        assert!(authenticator(&data(0x1d)[..36], &party).is_none());
    }
}
