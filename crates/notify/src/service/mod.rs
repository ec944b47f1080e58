//! What notify can do.

mod admin;
mod callbacks;
pub(crate) mod deliver;
mod sweep;

pub use admin::ProviderState;
pub(crate) use callbacks::CallbackError;
