//! Webhooks on both databases, against receivers that behave and receivers that do not.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod deliveries;
mod endpoints;
mod people;
mod site;
