#![doc = include_str!("../README.md")]

mod problem;

pub use problem::{FieldError, Problem};
