#![doc = include_str!("../README.md")]

mod app;
mod cli;
mod components;
pub mod config;
mod demo;
mod doors;
mod health;
mod live;
mod outbox;
mod private;
mod serve;
mod stack;
mod start;
mod surface;

pub use cli::main;
