//! What notify can do.

mod admin;
mod callbacks;
pub(crate) mod deliver;
mod forget;
mod sweep;
mod watch;

pub use admin::ProviderState;
pub(crate) use callbacks::CallbackError;
pub(crate) use forget::ForgetPerson;
pub use forget::SUBSCRIPTIONS;
pub use watch::Waiting;
