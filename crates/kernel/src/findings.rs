//! What is wrong with a configuration: collected, so that a person mends everything in one go.

use std::fmt;

/// One thing to mend: which key, what was found, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Dotted path, as in the file: `gateway.routes[2].access`.
    pub key: String,
    /// What was found and what is allowed, in one sentence.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

/// Collects findings while sections are checked; sections push, the server reports.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub fn add(&mut self, key: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Finding { key: key.into(), problem: problem.into() });
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}
