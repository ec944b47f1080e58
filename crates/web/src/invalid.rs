//! Several wrong fields, told all at once.

use std::fmt::Display;

use crate::problem::{FieldError, INVALID_FIELDS, Problem};

/// Collects what is wrong with a request, so that its sender mends everything in one go.
///
/// ```
/// # use baluarte_web::Invalid;
/// let mut invalid = Invalid::default();
/// let count = invalid.check("/count", "12".parse::<u32>());
/// let rate = invalid.check("/rate", "fast".parse::<u32>());
/// let problem = invalid.finish().unwrap_err();
/// assert_eq!(problem.errors.len(), 1);
/// # let _ = (count, rate);
/// ```
#[derive(Debug, Default)]
pub struct Invalid(Vec<FieldError>);

impl Invalid {
    /// The value, or `None` after noting why it is refused.
    pub fn check<T, E: Display>(&mut self, pointer: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|err| self.add(pointer, err.to_string())).ok()
    }

    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), detail: detail.into() });
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// 422 `web.invalid_fields` when anything was noted.
    pub fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut problem = Problem::of(&INVALID_FIELDS);
        problem.errors = self.0;
        Err(problem)
    }
}
