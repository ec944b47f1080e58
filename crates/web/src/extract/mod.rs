//! What handlers take from a request; each refusal is a [`Problem`](crate::Problem).

mod body;
mod caller;
mod structure;
mod url;

pub use self::{
    body::{BodyTrouble, Form, Json},
    caller::{Admin, Caller, Keyed, SignedIn},
    url::{Path, Query},
};
