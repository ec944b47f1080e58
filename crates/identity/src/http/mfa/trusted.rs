//! Browsers that are asked for no factor.

use std::net::IpAddr;

use axum::extract::State;
use baluarte_kernel::Timestamp;
use baluarte_web::{Json, Path, Problem, SignedIn};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Identity, TrustedDeviceId, http::views::Answer};

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct TrustedDeviceView {
    #[schema(value_type = String)]
    id: TrustedDeviceId,
    /// As the browser called itself.
    user_agent: Option<String>,
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    /// When a second factor was proven there.
    #[schema(value_type = String, format = DateTime)]
    proved_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct TrustedDevicesView {
    items: Vec<TrustedDeviceView>,
    /// Always null: there are twenty at most.
    next_cursor: Option<String>,
}

/// List the browsers that are asked for no second factor, the one used last first
#[utoipa::path(get, path = "/api/v1/mfa/trusted-devices", tag = "identity", security(("bearer" = []), ("session" = [])),
    responses((status = 200, body = TrustedDevicesView), Problem))]
pub(in crate::http) async fn list_trusted_devices(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
) -> Answer<Json<TrustedDevicesView>> {
    let devices = identity.list_trusted_devices(&ctx).await?;
    let items = devices
        .into_iter()
        .map(|device| TrustedDeviceView {
            id: device.id,
            user_agent: device.user_agent,
            ip: device.ip,
            proved_at: device.proved_at,
            last_used_at: device.last_used_at,
            expires_at: device.expires_at,
        })
        .collect();
    Ok(Json(TrustedDevicesView { items, next_cursor: None }))
}

/// Ask a trusted browser for the second factor again
#[utoipa::path(delete, path = "/api/v1/mfa/trusted-devices/{id}", tag = "identity", params(("id" = String, Path)),
    security(("bearer" = []), ("session" = [])), responses((status = 204, description = "Forgotten"), Problem))]
pub(in crate::http) async fn forget_trusted_device(
    State(identity): State<Identity>,
    SignedIn(ctx, _): SignedIn,
    Path(id): Path<TrustedDeviceId>,
) -> Answer<StatusCode> {
    identity.forget_trusted_device(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
