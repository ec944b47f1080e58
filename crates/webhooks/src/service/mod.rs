//! What operators do with webhooks.

mod deliveries;
mod endpoints;

use std::{fmt, sync::Arc};

use baluarte_audit::Audit;
use baluarte_db::Db;
use baluarte_jobs::{Jobs, http_job::HttpJobs};
use baluarte_kernel::Secret;
use baluarte_outbound::SigningKey;
use baluarte_secrets::{Secrets, SecretsError};
use baluarte_telemetry::Metrics;

pub use deliveries::DeliveryDetail;

use crate::{WebhooksConfig, model::Endpoint, store::endpoints::Stored};

/// Endpoints, and what was sent to them. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: WebhooksConfig,
    pub(crate) db: Db,
    pub(crate) audit: Audit,
    pub(crate) jobs: Jobs,
    pub(crate) http: HttpJobs,
    pub(crate) secrets: Secrets,
    pub(crate) metrics: Metrics,
}

/// What webhooks are made of.
pub struct Parts {
    pub config: WebhooksConfig,
    pub db: Db,
    pub audit: Audit,
    pub jobs: Jobs,
    /// Whose courier makes the calls.
    pub http: HttpJobs,
    pub secrets: Secrets,
    pub metrics: Metrics,
}

const URL: &str = "webhooks.url";
const SECRET: &str = "webhooks.secret";
const BODY: &str = "webhooks.body";

impl Webhooks {
    pub fn new(parts: Parts) -> Self {
        let Parts { config, db, audit, jobs, http, secrets, metrics } = parts;
        Self { inner: Arc::new(Inner { config, db, audit, jobs, http, secrets, metrics }) }
    }

    pub(crate) fn open_url(&self, stored: &Stored) -> Result<String, SecretsError> {
        let plain = self.inner.secrets.open(URL, &stored.url)?;
        String::from_utf8(plain).map_err(|_| SecretsError::CannotOpen)
    }

    pub(crate) fn open_key(&self, sealed: &str) -> Result<SigningKey, SecretsError> {
        let plain = Secret::new(String::from_utf8(self.inner.secrets.open(SECRET, sealed)?).map_err(|_| SecretsError::CannotOpen)?);
        plain.expose().parse().map_err(|_| SecretsError::CannotOpen)
    }

    /// What is sent; nothing when it was erased.
    pub(crate) fn open_body(&self, stored: &str) -> Result<Option<String>, SecretsError> {
        match stored {
            "" => Ok(None),
            // Written before bodies were sealed.
            clear if clear.starts_with('{') => Ok(Some(clear.to_owned())),
            sealed => {
                let plain = self.inner.secrets.open(BODY, sealed)?;
                String::from_utf8(plain).map(Some).map_err(|_| SecretsError::CannotOpen)
            }
        }
    }

    pub(crate) fn seal_body(&self, body: &str) -> String {
        self.inner.secrets.seal(BODY, body.as_bytes())
    }

    fn seal_url(&self, url: &str) -> String {
        self.inner.secrets.seal(URL, url.as_bytes())
    }

    fn seal_key(&self, key: &SigningKey) -> String {
        self.inner.secrets.seal(SECRET, key.to_secret().expose().as_bytes())
    }

    fn shown(&self, stored: Stored) -> Result<Endpoint, SecretsError> {
        let url = self.open_url(&stored)?;
        let Stored {
            id,
            description,
            events,
            previous_until,
            enabled,
            disabled_reason,
            disabled_at,
            failing_since,
            last_success_at,
            created_at,
            updated_at,
            ..
        } = stored;
        Ok(Endpoint {
            id,
            url,
            description,
            events,
            enabled,
            disabled_reason,
            disabled_at,
            failing_since,
            last_success_at,
            previous_until,
            created_at,
            updated_at,
        })
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks").field("config", &self.inner.config).finish_non_exhaustive()
    }
}
