#![doc = include_str!("../README.md")]

mod app;
mod cli;
mod components;
pub mod config;
mod deep;
mod demo;
mod doors;
mod health;
mod lifecycle;
mod live;
mod outbox;
mod outgoing;
mod private;
mod reload;
mod serve;
mod stack;
mod start;
mod surface;

pub use cli::main;
