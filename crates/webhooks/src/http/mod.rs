//! `/api/v1/admin/webhooks`

mod deliveries;
mod endpoints;

use baluarte_web::Problem;
use http::{HeaderName, HeaderValue, header};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Webhooks;

/// What every handler comes back with.
type Answer<T> = Result<T, Problem>;

/// For answers that hold a secret.
const NO_STORE: [(HeaderName, HeaderValue); 1] = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

impl Webhooks {
    /// With their full paths.
    pub fn routes(self) -> OpenApiRouter {
        OpenApiRouter::new()
            .routes(routes!(endpoints::list_endpoints, endpoints::create_endpoint))
            .routes(routes!(endpoints::find_endpoint, endpoints::update_endpoint, endpoints::delete_endpoint))
            .routes(routes!(endpoints::rotate_secret))
            .routes(routes!(deliveries::send_test))
            .routes(routes!(deliveries::list_deliveries))
            .routes(routes!(deliveries::find_delivery))
            .routes(routes!(deliveries::replay_delivery))
            .routes(routes!(deliveries::replay_deliveries))
            .with_state(self)
    }
}
