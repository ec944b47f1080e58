//! All SQL of the audit log.

pub(crate) mod chain;
