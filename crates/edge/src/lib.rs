#![doc = include_str!("../README.md")]

mod door;

pub use door::{Door, Doors};
