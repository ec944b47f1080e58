#![doc = include_str!("../README.md")]

/// The one HTTP client to the outside world. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbound {}
