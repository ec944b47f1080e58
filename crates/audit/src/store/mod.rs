//! All SQL of the audit log.

pub(crate) mod calls;
pub(crate) mod chain;
pub(crate) mod pages;
pub(crate) mod search;
pub(crate) mod signed;
pub(crate) mod upkeep;
