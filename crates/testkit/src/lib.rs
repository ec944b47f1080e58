#![doc = include_str!("../README.md")]

mod backend;
mod chaos;
mod client;
mod db;
mod gate;
mod identity_provider;
mod mutate;
mod ports;
mod process;
mod program;
mod providers;
mod receiver;
mod redis_server;
mod site;
mod upstream;
mod websocket;

pub use backend::Backend;
pub use chaos::{Chaos, Outcome};
pub use client::{Answer, Client};
pub use db::{TestDb, run_on};
pub use gate::Gate;
pub use identity_provider::{FakeProvider, Person, Signing};
pub use mutate::mutated;
pub use ports::Port;
pub use process::{Baluarte, Builder, Exit, Second};
pub use program::Program;
pub use providers::{FakeSendGrid, FakeTwilio, Mishap, Taken};
pub use receiver::{Receiver, Reply};
pub use redis_server::RedisServer;
pub use site::{Output, Site};
pub use upstream::{Received, Upstream};
pub use websocket::WebSocket;
// What `each_backend!` expands to names the engine.
pub use baluarte_db::Dialect;
