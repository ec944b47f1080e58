//! The built binary, from outside: one file per topic.

mod api_keys;
mod audit;
mod browser_headers;
mod calls;
mod cluster;
mod commands;
mod config_findings;
mod crash;
mod crash_outgoing;
mod examples;
mod forward_auth;
mod generated;
mod health;
mod import;
mod jobs;
mod lifecycle;
mod messages;
mod openapi;
mod operations;
mod outgoing;
mod outside;
mod own_surface;
mod people;
mod production;
mod real_apps;
mod recorded;
mod scratch;
mod second_factors;
mod shutdown;

/// The binary under test.
fn bin() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_BIN_EXE_baluarte"))
}
