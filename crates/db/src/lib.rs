#![doc = include_str!("../README.md")]

mod batch;
mod config;
mod connect;
mod copy;
mod error;
mod life;
mod listen;
mod migrate;
mod pool;
mod presence;
mod source;

pub use batch::Batch;
pub use config::DatabaseConfig;
pub use error::{Cause, DbError};
pub use life::Life;
pub use listen::Listener;
pub use migrate::{Migration, Migrations};
pub use pool::{Db, Dialect, Reader, Tx, placeholders, sql};
// The query vocabulary of every store; nothing else of the driver leaves this crate.
pub use sea_orm;
