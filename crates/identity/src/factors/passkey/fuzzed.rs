//! What has to hold of what browsers bring, whatever it is.

use std::hint::black_box;

use baluarte_kernel::UserId;

use super::{Assertion, NewCredential, RelyingParty, authenticator, cbor::Value, key::PublicKey};

/// An item is made of the bytes that say so, and what follows it is left alone.
pub(crate) fn cbor(bytes: &[u8]) {
    if let Some((_, rest)) = Value::first(bytes) {
        assert!(rest.len() < bytes.len() && bytes.ends_with(rest));
    }
    black_box(PublicKey::read(bytes));
}

/// Nothing that was not made for us is taken, and nothing breaks.
pub(crate) fn credentials(bytes: &[u8]) {
    let Some(party) = RelyingParty::of("https://shop.example") else { return };
    if let Ok(made) = serde_json::from_slice::<NewCredential>(bytes) {
        black_box(made.check(&party, |_| true));
    }
    if let Ok(used) = serde_json::from_slice::<Assertion>(bytes) {
        let taken = used.check(&party, UserId::generate(), bytes, true, |_| true);
        assert!(taken.is_none(), "nobody has this key");
    }
    if let Some((_, _, rest)) = authenticator(bytes, &party) {
        assert!(rest.len() < bytes.len());
    }
}
