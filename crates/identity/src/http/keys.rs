//! The public keys that our tokens are verified with.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Identity;

/// RFC 7517 and RFC 8037. Only for the documentation: the set is kept as text.
#[derive(Serialize, ToSchema)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Serialize, ToSchema)]
struct Jwk {
    #[schema(example = "OKP")]
    kty: String,
    #[schema(example = "Ed25519")]
    crv: String,
    #[schema(example = "sig")]
    r#use: String,
    #[schema(example = "EdDSA")]
    alg: String,
    kid: String,
    x: String,
}

/// The public keys of tokens
///
/// As a JSON Web Key Set. The next key is published long before it signs, so the answer may be kept for five minutes.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "identity", security(()), responses((status = 200, body = JwkSet), baluarte_web::Problem))]
pub(super) async fn list_keys(State(identity): State<Identity>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, identity.jwks()).into_response()
}
