//! The audit log for administrators, and its public keys for everybody.

mod calls;
mod entries;
mod problems;
mod signed;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Audit;

pub use problems::PROBLEMS;

/// Everything programs use.
pub(crate) fn routes(audit: Audit) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(entries::list_entries))
        .routes(routes!(entries::find_entry))
        .routes(routes!(entries::export_entries))
        .routes(routes!(calls::list_calls))
        .routes(routes!(calls::prove_call))
        .routes(routes!(calls::export_calls))
        .routes(routes!(signed::find_audit_status))
        .routes(routes!(signed::list_checkpoints, signed::make_checkpoint))
        .routes(routes!(signed::list_audit_keys))
        .with_state(audit)
}

/// What every handler comes back with.
type Answer<T> = Result<T, baluarte_web::Problem>;
