//! Server-rendered pages under `/auth/…`.

use axum::{Router, extract::Request, response::Response};

use crate::Identity;

pub(crate) fn routes(_identity: Identity) -> Router {
    Router::new()
}

/// `POST /auth/forgot-password` of a form; the JSON sort is answered by `http`.
pub(crate) async fn submit_forgot_password(_identity: Identity, _request: Request) -> Response {
    unimplemented!("pages")
}

/// `POST /auth/reset-password` of a form; the JSON sort is answered by `http`.
pub(crate) async fn submit_reset_password(_identity: Identity, _request: Request) -> Response {
    unimplemented!("pages")
}
