//! The built binary, from outside: one file per topic.

mod commands;
mod config_findings;
mod generated;
mod production;
mod scratch;
