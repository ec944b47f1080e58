//! What people and upstreams carry: signed access tokens, refresh tokens, upstream identities.

mod access;
mod keyring;
mod refresh;

pub(crate) use self::{
    access::{AccessToken, Issuer},
    keyring::{Keyring, NewKey, StoredKey},
    refresh::{REFRESH_GRACE, RefreshSalt, RefreshToken},
};
