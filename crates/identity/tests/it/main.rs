//! Everything identity promises, on both databases: over its API and through its service.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod accounts;
mod administration;
mod api_keys;
mod app;
mod devices;
mod email_change;
mod events;
mod factors;
mod factors_policy;
mod import;
mod invitations;
mod leaks;
mod logins;
mod magic_link;
mod operator;
mod outage;
mod pages;
mod passkeys;
mod passwords;
mod refresh;
mod revocation;
mod sign_in;
mod sms;
mod step_up;
mod throttling;
mod tokens;
