//! What is recorded of webhooks.

baluarte_audit::actions! {
    ENDPOINT_CREATED = "webhooks.endpoint.created", Notice, "An endpoint was registered: events are sent there.";
    ENDPOINT_UPDATED = "webhooks.endpoint.updated", Notice, "An endpoint's address, events or description changed, or it was enabled or disabled.";
    ENDPOINT_DELETED = "webhooks.endpoint.deleted", Notice, "An endpoint was removed, with the list of its deliveries.";
    ENDPOINT_DISABLED = "webhooks.endpoint.disabled", Warning, "Baluarte stopped sending to an endpoint that failed for too long or said that it is gone.";
    SECRET_ROTATED = "webhooks.secret.rotated", Notice, "An endpoint got a new secret.";
    TEST_SENT = "webhooks.test.sent", Info, "A test event was sent to an endpoint.";
    REPLAYED = "webhooks.delivery.replayed", Info, "Deliveries were sent again.";
}
