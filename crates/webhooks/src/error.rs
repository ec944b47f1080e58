use baluarte_db::DbError;

/// What webhooks can refuse.
#[derive(Debug, thiserror::Error)]
pub enum WebhooksError {
    /// Pointers into what was sent, and what is allowed there.
    #[error("some fields are not valid")]
    Invalid(Vec<(String, String)>),
    #[error("no such endpoint")]
    EndpointNotFound,
    #[error("no such delivery")]
    DeliveryNotFound,
    #[error("there are {0} endpoints already")]
    TooMany(u32),
    #[error("the endpoint is disabled")]
    Disabled,
    /// Whom it was about is gone, and what was to be sent with them.
    #[error("there is nothing left to be sent")]
    Erased,
    #[error(transparent)]
    Forbidden(#[from] baluarte_kernel::Forbidden),
    /// Sealed with another SECRET_KEY, or damaged.
    #[error("webhook secrets")]
    Secrets(#[from] baluarte_secrets::SecretsError),
    #[error("webhook storage")]
    Storage(#[from] DbError),
}
