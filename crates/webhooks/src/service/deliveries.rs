//! What was sent, and sending it again.

use baluarte_audit::Entry;
use baluarte_db::Tx;
use baluarte_jobs::{Options, http_job::CallMade};
use baluarte_kernel::{Ctx, EventId, Page, PageQuery, Timestamp, UserId};
use serde_json::json;

use super::Webhooks;
use crate::{
    WebhooksError, actions,
    jobs::{Deliver, Replay, SPARE, enqueue_delivery},
    model::{Delivery, DeliveryId, DeliveryState, EndpointId, TEST_EVENT},
    store::{
        self,
        deliveries::{Chosen, NewEvent},
    },
};

/// Of each delivery, as shown.
const CALLS: u32 = 20;

/// A delivery, what is sent, and the calls that were made for it.
#[derive(Debug, Clone)]
pub struct DeliveryDetail {
    pub delivery: Delivery,
    /// Absent once it was erased with the account of whom it was about.
    pub body: Option<String>,
    pub calls: Vec<CallMade>,
}

impl Webhooks {
    /// The newest first.
    pub async fn list_deliveries(
        &self,
        ctx: &Ctx,
        endpoint: EndpointId,
        state: Option<DeliveryState>,
        page: &PageQuery,
    ) -> Result<Page<Delivery>, WebhooksError> {
        self.find_endpoint(ctx, endpoint).await?;
        let chosen = Chosen { state, before: page.cursor.as_ref().map(|cursor| cursor.key()), ..Chosen::default() };
        let found = store::deliveries::list_deliveries(self.inner.db.read(), endpoint, chosen, page.limit() + 1).await?;
        Ok(Page::from_surplus(found, page.limit(), |delivery| delivery.id.to_string()))
    }

    pub async fn find_delivery(&self, ctx: &Ctx, endpoint: EndpointId, id: DeliveryId) -> Result<DeliveryDetail, WebhooksError> {
        ctx.require_admin()?;
        let found = store::deliveries::find_delivery(self.inner.db.read(), id).await?;
        let (delivery, body) = found.filter(|(it, _)| it.endpoint_id == endpoint).ok_or(WebhooksError::DeliveryNotFound)?;
        let calls = match delivery.job_id {
            Some(job) => self.inner.http.list_calls(job, CALLS).await?,
            None => Vec::new(),
        };
        Ok(DeliveryDetail { delivery, body: self.open_body(&body)?, calls })
    }

    /// Sends an event that shows that the endpoint works, also while it is disabled.
    pub async fn send_test(&self, ctx: &Ctx, endpoint: EndpointId) -> Result<Delivery, WebhooksError> {
        ctx.require_admin()?;
        let (now, event) = (ctx.now(), EventId::generate().to_string());
        let body = json!({ "type": TEST_EVENT, "timestamp": now, "data": { "endpoint_id": endpoint } }).to_string();
        let id = DeliveryId::generate();
        let tx = self.inner.db.begin().await?;
        let new = NewEvent { id: &event, name: TEST_EVENT, body: self.seal_body(&body), about: None };
        store::deliveries::insert_event(&tx, new, now).await?;
        if !store::deliveries::insert_delivery(&tx, id, endpoint, &event, true, now).await? {
            return Err(WebhooksError::EndpointNotFound);
        }
        // Somebody is looking at it.
        let options = Options { max_attempts: Some(1 + SPARE), ..self.options(endpoint, None) };
        enqueue_delivery(&self.inner.jobs, ctx, &tx, Deliver { delivery: id, generation: 0 }, options).await?;
        let (delivery, _) = store::deliveries::find_delivery(&tx, id).await?.ok_or(WebhooksError::DeliveryNotFound)?;
        self.inner.audit.record(ctx, &tx, Entry::new(&actions::TEST_SENT, "endpoint").of(endpoint));
        tx.commit().await?;
        Ok(delivery)
    }

    /// The same bytes under the same `webhook-id`, whatever became of it before.
    pub async fn replay_delivery(&self, ctx: &Ctx, endpoint: EndpointId, id: DeliveryId) -> Result<Delivery, WebhooksError> {
        if !self.find_endpoint(ctx, endpoint).await?.enabled {
            return Err(WebhooksError::Disabled);
        }
        let tx = self.inner.db.begin().await?;
        let found = store::deliveries::find_delivery(&tx, id).await?;
        found.filter(|(it, _)| it.endpoint_id == endpoint).ok_or(WebhooksError::DeliveryNotFound)?;
        if !self.replay(ctx, &tx, endpoint, id).await? {
            return Err(WebhooksError::Erased);
        }
        let (delivery, _) = store::deliveries::find_delivery(&tx, id).await?.ok_or(WebhooksError::DeliveryNotFound)?;
        self.inner.audit.record(ctx, &tx, Entry::new(&actions::REPLAYED, "delivery").of(id));
        tx.commit().await?;
        Ok(delivery)
    }

    /// Everything an endpoint was to get since then, or only what it did not get: a job does it in pieces.
    pub async fn replay_deliveries(
        &self,
        ctx: &Ctx,
        endpoint: EndpointId,
        since: Timestamp,
        delivered_too: bool,
    ) -> Result<(), WebhooksError> {
        if !self.find_endpoint(ctx, endpoint).await?.enabled {
            return Err(WebhooksError::Disabled);
        }
        let replay = Replay { endpoint, since, until: ctx.now(), delivered_too, after: String::new() };
        let tx = self.inner.db.begin().await?;
        self.inner.jobs.enqueue(ctx, &tx, &replay, Options::default()).await?;
        let entry = Entry::new(&actions::REPLAYED, "endpoint").of(endpoint).detail("since", since).detail("delivered_too", delivered_too);
        self.inner.audit.record(ctx, &tx, entry);
        tx.commit().await?;
        Ok(())
    }

    /// In the caller's transaction. A job that makes calls for it already makes no further one. False: it was erased.
    pub(crate) async fn replay(&self, ctx: &Ctx, tx: &Tx, endpoint: EndpointId, id: DeliveryId) -> Result<bool, WebhooksError> {
        let Some(started) = store::deliveries::reopen(tx, id).await? else { return Ok(false) };
        let (deliver, options) = (Deliver { delivery: id, generation: started.generation }, self.options(endpoint, started.about));
        enqueue_delivery(&self.inner.jobs, ctx, tx, deliver, options).await?;
        Ok(true)
    }

    /// `about`: whose account takes the job with it, and what was answered.
    pub(crate) fn options(&self, endpoint: EndpointId, about: Option<UserId>) -> Options {
        let mut tags = vec![format!("endpoint:{endpoint}")];
        tags.extend(about.map(baluarte_jobs::about));
        Options { tags, max_attempts: Some(self.inner.config.max_attempts + SPARE), ..Options::default() }
    }
}
