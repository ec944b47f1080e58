//! What an API key may do: the words of the product's own scopes. Those that routes ask for (`access = "scope:NAME"`) are the
//! operator's.

/// Read its owner's profile.
pub const PROFILE: &str = "profile";
/// Act as its owner in the app: routes for anybody signed in, for a role or for a plan.
pub const APP: &str = "app";
/// Have addresses called.
pub const JOBS: &str = "jobs";
/// Look whether everything is well.
pub const MONITOR: &str = "monitor";

/// All of them, in the order in which they are shown.
pub const OWN: [&str; 4] = [PROFILE, APP, JOBS, MONITOR];

/// What signing in alone does not allow: only keys of administrators carry it.
pub fn needs_admin(scope: &str) -> bool {
    scope == JOBS || scope == MONITOR
}
