//! Registering endpoints and changing them.

use std::time::Duration;

use baluarte_audit::{Entry, Shown};
use baluarte_jobs::http_job::{Target, shown};
use baluarte_kernel::{Ctx, Secret};
use baluarte_outbound::SigningKey;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Webhooks;
use crate::{
    WebhooksError, actions,
    model::{DisabledReason, Endpoint, EndpointChange, EndpointId, NewEndpoint, Wanted},
    store::{self, endpoints::Stored},
};

const LONGEST_URL: usize = 2_048;
const LONGEST_DESCRIPTION: usize = 500;
/// How long the secret before may go on signing.
const LONGEST_OVERLAP: Duration = Duration::from_secs(7 * 86_400);

impl Webhooks {
    /// Registers an endpoint; its secret is shown this once.
    pub async fn create_endpoint(&self, ctx: &Ctx, new: NewEndpoint) -> Result<(Endpoint, Secret), WebhooksError> {
        ctx.require_admin()?;
        let mut wrong = Vec::new();
        self.check_url(&new.url, &mut wrong);
        check_description(&new.description, &mut wrong);
        let events = read_events(new.events, &mut wrong);
        let key = match &new.secret {
            Some(secret) => {
                secret.expose().parse().map_err(|bad: baluarte_outbound::BadSigningKey| wrong.push(("/secret".to_owned(), bad.to_string())))
            }
            None => Ok(random_key()),
        };
        let (Ok(key), true) = (key, wrong.is_empty()) else { return Err(WebhooksError::Invalid(wrong)) };
        let now = ctx.now();
        let stored = Stored {
            id: EndpointId::generate(),
            url: self.seal_url(&new.url),
            description: new.description,
            events,
            secret: self.seal_key(&key),
            previous_secret: None,
            previous_until: None,
            enabled: new.enabled,
            disabled_reason: (!new.enabled).then_some(DisabledReason::Operator),
            disabled_at: (!new.enabled).then_some(now),
            failing_since: None,
            last_success_at: None,
            created_at: now,
            updated_at: now,
        };
        let tx = self.inner.db.begin().await?;
        if !store::endpoints::insert_endpoint(&tx, &stored, self.inner.config.max_endpoints).await? {
            return Err(WebhooksError::TooMany(self.inner.config.max_endpoints));
        }
        let entry = Entry::new(&actions::ENDPOINT_CREATED, "endpoint").of(stored.id).detail("url", Shown(&shown(&new.url)));
        self.inner.audit.record(ctx, &tx, entry);
        tx.commit().await?;
        tracing::info!(target: "webhooks", endpoint = %stored.id, "registered an endpoint");
        Ok((self.shown(stored)?, key.to_secret()))
    }

    pub async fn list_endpoints(&self, ctx: &Ctx) -> Result<Vec<Endpoint>, WebhooksError> {
        ctx.require_admin()?;
        let stored = store::endpoints::list_endpoints(self.inner.db.read()).await?;
        stored.into_iter().map(|stored| Ok(self.shown(stored)?)).collect()
    }

    pub async fn find_endpoint(&self, ctx: &Ctx, id: EndpointId) -> Result<Endpoint, WebhooksError> {
        ctx.require_admin()?;
        let stored = store::endpoints::find_endpoint(self.inner.db.read(), id).await?.ok_or(WebhooksError::EndpointNotFound)?;
        Ok(self.shown(stored)?)
    }

    /// What is absent stays. Enabling forgets earlier failures.
    pub async fn update_endpoint(&self, ctx: &Ctx, id: EndpointId, change: EndpointChange) -> Result<Endpoint, WebhooksError> {
        ctx.require_admin()?;
        let mut wrong = Vec::new();
        if let Some(url) = &change.url {
            self.check_url(url, &mut wrong);
        }
        if let Some(description) = &change.description {
            check_description(description, &mut wrong);
        }
        let events = change.events.map(|events| read_events(events, &mut wrong));
        if !wrong.is_empty() {
            return Err(WebhooksError::Invalid(wrong));
        }
        let now = ctx.now();
        let tx = self.inner.db.begin().await?;
        let mut stored = store::endpoints::find_endpoint(&tx, id).await?.ok_or(WebhooksError::EndpointNotFound)?;
        let mut entry = Entry::new(&actions::ENDPOINT_UPDATED, "endpoint").of(id);
        if let Some(url) = change.url {
            stored.url = self.seal_url(&url);
            entry = entry.detail("url", Shown(&shown(&url)));
        }
        stored.description = change.description.unwrap_or(stored.description);
        stored.events = events.unwrap_or(stored.events);
        store::endpoints::update_endpoint(&tx, &stored, now).await?;
        match change.enabled {
            Some(true) => drop(store::endpoints::enable(&tx, id, now).await?),
            Some(false) => drop(store::endpoints::disable(&tx, id, DisabledReason::Operator, now).await?),
            None => {}
        }
        if let Some(enabled) = change.enabled {
            entry = entry.detail("enabled", enabled);
        }
        let stored = store::endpoints::find_endpoint(&tx, id).await?.ok_or(WebhooksError::EndpointNotFound)?;
        self.inner.audit.record(ctx, &tx, entry);
        tx.commit().await?;
        Ok(self.shown(stored)?)
    }

    /// Its deliveries go with it; what is under way ends without a call.
    pub async fn delete_endpoint(&self, ctx: &Ctx, id: EndpointId) -> Result<(), WebhooksError> {
        ctx.require_admin()?;
        let tx = self.inner.db.begin().await?;
        if !store::endpoints::delete_endpoint(&tx, id).await? {
            return Err(WebhooksError::EndpointNotFound);
        }
        self.inner.audit.record(ctx, &tx, Entry::new(&actions::ENDPOINT_DELETED, "endpoint").of(id));
        tx.commit().await?;
        tracing::info!(target: "webhooks", endpoint = %id, "deleted an endpoint");
        Ok(())
    }

    /// A new secret, shown this once. For `overlap`, every call carries a signature of the old one as well.
    pub async fn rotate_secret(&self, ctx: &Ctx, id: EndpointId, overlap: Duration) -> Result<(Endpoint, Secret), WebhooksError> {
        ctx.require_admin()?;
        if overlap > LONGEST_OVERLAP {
            let problem = format!("is at most {} seconds", LONGEST_OVERLAP.as_secs());
            return Err(WebhooksError::Invalid(vec![("/overlap_seconds".to_owned(), problem)]));
        }
        let (key, now) = (random_key(), ctx.now());
        let tx = self.inner.db.begin().await?;
        if !store::endpoints::rotate_secret(&tx, id, &self.seal_key(&key), now.plus(overlap), now).await? {
            return Err(WebhooksError::EndpointNotFound);
        }
        let stored = store::endpoints::find_endpoint(&tx, id).await?.ok_or(WebhooksError::EndpointNotFound)?;
        self.inner.audit.record(ctx, &tx, Entry::new(&actions::SECRET_ROTATED, "endpoint").of(id));
        tx.commit().await?;
        tracing::info!(target: "webhooks", endpoint = %id, "an endpoint got a new secret");
        Ok((self.shown(stored)?, key.to_secret()))
    }

    /// The same rules as for jobs: public, or an endpoint of `[jobs.endpoints]`.
    fn check_url(&self, url: &str, wrong: &mut Vec<(String, String)>) {
        let problem = if url.len() > LONGEST_URL {
            Some(format!("is longer than {LONGEST_URL} bytes"))
        } else {
            match self.inner.http.endpoints().resolve(&Target::Url { url: url.to_owned() }, 1) {
                Ok(destination) => self.inner.http.courier().permits(&destination).err().map(|err| err.to_string()),
                Err(err) => Some(err.to_string()),
            }
        };
        wrong.extend(problem.map(|problem| ("/url".to_owned(), problem)));
    }
}

fn check_description(description: &str, wrong: &mut Vec<(String, String)>) {
    if description.len() > LONGEST_DESCRIPTION || description.chars().any(char::is_control) {
        wrong.push(("/description".to_owned(), format!("is one line of at most {LONGEST_DESCRIPTION} bytes")));
    }
}

fn read_events(events: Vec<String>, wrong: &mut Vec<(String, String)>) -> Wanted {
    Wanted::new(events).unwrap_or_else(|unknown| {
        wrong.push(("/events".to_owned(), unknown.to_string()));
        Wanted::default()
    })
}

/// 32 bytes from the system.
fn random_key() -> SigningKey {
    let token = Secret::new(baluarte_secrets::random_token());
    let bytes = URL_SAFE_NO_PAD.decode(token.expose()).unwrap_or_default();
    SigningKey::from_bytes(&bytes).expect("a random token is 32 bytes")
}
