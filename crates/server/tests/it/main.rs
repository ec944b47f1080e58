//! The built binary, from outside: one file per topic.

mod commands;
mod config_findings;
mod generated;
mod health;
mod operations;
mod own_surface;
mod production;
mod scratch;
mod shutdown;

/// The binary under test.
fn bin() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_BIN_EXE_baluarte"))
}
