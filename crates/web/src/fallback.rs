//! For `Router::fallback` and `Router::method_not_allowed_fallback`.

use crate::problem::{METHOD_NOT_ALLOWED, NOT_FOUND, Problem};

/// 404 for a path nobody answers.
pub async fn not_found() -> Problem {
    Problem::of(&NOT_FOUND)
}

/// 405; axum adds `Allow`, and rendering keeps it.
pub async fn method_not_allowed() -> Problem {
    Problem::of(&METHOD_NOT_ALLOWED)
}
