#![doc = include_str!("../README.md")]

mod cli;
pub mod config;

pub use cli::main;
