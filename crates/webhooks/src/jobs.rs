//! The jobs of webhooks: from an event to deliveries, from a delivery to a call.

use std::time::Duration;

use baluarte_audit::{Entry, Severity};
use baluarte_db::{DbError, Tx};
use baluarte_jobs::{
    Failure, Job, Jobs, Options, Policy, Registry, Run, Subscription,
    http_job::{Call, Outcome as Called, Report, Target, Verdict, shown},
};
use baluarte_kernel::{Ctx, Event, Periodic, Published, Timestamp, WorkError};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Webhooks, WebhooksError, actions,
    forget::ForgetPerson,
    model::{Delivery, DeliveryId, DeliveryState, DisabledReason, EndpointId, TEST_EVENT},
    store::{
        self,
        deliveries::{Chosen, DISABLED, NewEvent, Outcome},
        endpoints::Stored,
        people::GONE,
    },
};

/// Every event becomes a job that looks who wants it, and who is gone is forgotten. List them in `server/src/components.rs`.
pub const SUBSCRIPTIONS: &[Subscription] = &[Subscription::of::<FanOut>(&[]), Subscription::of::<ForgetPerson>(&["user.deleted"])];

/// Fewer failures in a row than this say nothing, however old the first one is.
const LEAST_FAILURES: i64 = 10;
/// Attempts that a job has more than calls are made: a worker that is lost with the last call has not written down what became of the
/// delivery, which would wait for ever.
pub(crate) const SPARE: u32 = 2;
/// Deliveries enqueued again in one commit.
const PIECE: usize = 200;

/// An event, to be written down for everybody who wants it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FanOut(Published);

impl Job for FanOut {
    const KIND: &'static str = "webhooks.fan_out";
    // Addresses and names of people.
    const POLICY: Policy = Policy::new().sealed();
    type Deps = Webhooks;

    async fn run(self, run: Run, webhooks: Webhooks) -> Result<(), Failure> {
        Ok(webhooks.fan_out(&run.ctx, &self.0).await?)
    }
}

/// One delivery, to be called until it succeeds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Deliver {
    pub(crate) delivery: DeliveryId,
    /// Which start of it.
    pub(crate) generation: i64,
}

impl Job for Deliver {
    const KIND: &'static str = "webhooks.deliver";
    const POLICY: Policy =
        Policy::new().time_limit(Duration::from_secs(330)).retry(Duration::from_secs(5), Duration::from_secs(12 * 3_600));
    type Deps = Webhooks;

    async fn run(self, run: Run, webhooks: Webhooks) -> Result<(), Failure> {
        webhooks.deliver(&run, self).await
    }
}

/// Deliveries to be made again, in pieces.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Replay {
    pub(crate) endpoint: EndpointId,
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) delivered_too: bool,
    /// The last one of the piece before.
    pub(crate) after: String,
}

impl Job for Replay {
    const KIND: &'static str = "webhooks.replay";
    const POLICY: Policy = Policy::new();
    type Deps = Webhooks;

    async fn run(self, run: Run, webhooks: Webhooks) -> Result<(), Failure> {
        Ok(webhooks.replay_piece(&run.ctx, self).await?)
    }
}

pub(crate) async fn enqueue_delivery(jobs: &Jobs, ctx: &Ctx, tx: &Tx, deliver: Deliver, options: Options) -> Result<(), DbError> {
    let job = jobs.enqueue(ctx, tx, &deliver, options).await?;
    store::deliveries::set_job(tx, deliver.delivery, job).await
}

impl Webhooks {
    /// What workers do for webhooks, and the nightly tidying up.
    pub fn registry(&self) -> Registry {
        let webhooks = self.clone();
        let prune = Periodic::new("webhooks.prune", "23 4 * * *", move |ctx| {
            let webhooks = webhooks.clone();
            async move { webhooks.prune(&ctx).await.map_err(WorkError::from) }
        });
        Registry::default()
            .register::<FanOut>(self.clone())
            .register::<Deliver>(self.clone())
            .register::<Replay>(self.clone())
            .register::<ForgetPerson>(self.clone())
            .periodic(prune)
    }

    /// One delivery and one job for each endpoint that wants the event, and for a disabled one a delivery that is skipped; the second
    /// time, nothing.
    async fn fan_out(&self, ctx: &Ctx, published: &Published) -> Result<(), DbError> {
        let (now, id, name, about) = (ctx.now(), published.id.to_string(), published.event.name(), published.event.user_id());
        let tx = self.inner.db.begin().await?;
        let mut wanted = store::endpoints::list_endpoints(&tx).await?;
        // What happened before somebody registered is not theirs, however late this job runs.
        wanted.retain(|endpoint| endpoint.events.covers(name) && endpoint.created_at <= published.timestamp);
        if wanted.is_empty() || self.is_too_late(&tx, &published.event).await? {
            return Ok(());
        }
        let new = NewEvent { id: &id, name, body: self.seal_body(&body(published)?), about };
        store::deliveries::insert_event(&tx, new, now).await?;
        let mut skipped = 0;
        for endpoint in wanted {
            let delivery = DeliveryId::generate();
            if store::deliveries::insert_delivery(&tx, delivery, endpoint.id, &id, endpoint.enabled, now).await? {
                if endpoint.enabled {
                    let (deliver, options) = (Deliver { delivery, generation: 0 }, self.options(endpoint.id, about));
                    enqueue_delivery(&self.inner.jobs, ctx, &tx, deliver, options).await?;
                } else {
                    skipped += 1;
                }
            }
        }
        tx.commit().await?;
        (0..skipped).for_each(|_| self.count(DeliveryState::Skipped));
        Ok(())
    }

    async fn deliver(&self, run: &Run, deliver: Deliver) -> Result<(), Failure> {
        let read = self.inner.db.read();
        // Deleted with its endpoint, or too old.
        let Some((delivery, body)) = store::deliveries::find_delivery(read, deliver.delivery).await? else { return Ok(()) };
        let Some(endpoint) = store::endpoints::find_endpoint(read, delivery.endpoint_id).await? else { return Ok(()) };
        if delivery.state != DeliveryState::Waiting || delivery.generation != deliver.generation {
            return Ok(());
        }
        if !endpoint.enabled && delivery.event != TEST_EVENT {
            return Ok(self.skip(&run.ctx, &delivery, DISABLED).await?);
        }
        let unreadable = |_| Failure::retry("what is to be sent is sealed with another SECRET_KEY");
        let Some(body) = self.open_body(&body).map_err(unreadable)? else { return Ok(self.skip(&run.ctx, &delivery, GONE).await?) };
        match self.call(run, &delivery, &endpoint, body).await? {
            Called::NotYet(wait, why) => Err(Failure::snooze(wait, why)),
            Called::Made(report) => {
                // First what decides: if that cannot be written, the call is made again.
                let ended = self.judge(run, &delivery, &report).await?;
                let verdict = report.verdict.clone();
                self.inner.http.keep(run, report).await;
                match verdict {
                    Verdict::Failed { why, retry_after } if !ended => Err(match retry_after {
                        Some(wait) => Failure::retry_after(wait, why),
                        None => Failure::retry(why),
                    }),
                    Verdict::Failed { why, .. } => Err(Failure::give_up(why)),
                    Verdict::Gone => Err(Failure::give_up("answered 410: nobody wants this here any more")),
                    Verdict::Done => Ok(()),
                }
            }
        }
    }

    async fn call(&self, run: &Run, delivery: &Delivery, endpoint: &Stored, body: String) -> Result<Called, Failure> {
        let unreadable = |_| Failure::retry("the endpoint is sealed with another SECRET_KEY: register it again");
        let url = self.open_url(endpoint).map_err(unreadable)?;
        let mut destination = self.inner.http.endpoints().resolve(&Target::Url { url }, run.attempt).map_err(Failure::retry)?;
        destination.keys = vec![self.open_key(&endpoint.secret).map_err(unreadable)?];
        if let (Some(previous), Some(until)) = (&endpoint.previous_secret, endpoint.previous_until)
            && run.ctx.now() < until
        {
            destination.keys.push(self.open_key(previous).map_err(unreadable)?);
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let call = Call {
            destination: &destination,
            id: &delivery.event_id,
            attempt: run.attempt,
            method: Method::POST,
            headers,
            body: Bytes::from(body),
        };
        Ok(self.inner.http.courier().call(call).await)
    }

    /// Writes down what a call means for the delivery and its endpoint. True: no further call for this delivery.
    async fn judge(&self, run: &Run, delivery: &Delivery, report: &Report) -> Result<bool, DbError> {
        let (ctx, now) = (&run.ctx, run.ctx.now());
        // A test says nothing about how the endpoint does.
        let counts = delivery.event != TEST_EVENT;
        let id = delivery.endpoint_id;
        let tx = self.inner.db.begin().await?;
        let (state, error, disabled) = match &report.verdict {
            Verdict::Done => {
                store::endpoints::succeeded(&tx, id, now).await?;
                (DeliveryState::Delivered, None, None)
            }
            Verdict::Gone => {
                let disabled = counts && store::endpoints::disable(&tx, id, DisabledReason::Gone, now).await?;
                (DeliveryState::Failed, Some("answered 410".to_owned()), disabled.then_some(DisabledReason::Gone))
            }
            Verdict::Failed { why, .. } => {
                let since = now.minus(self.inner.config.disable_after.get());
                let disabled = counts && store::endpoints::failed(&tx, id, since, LEAST_FAILURES, now).await?;
                let most = if counts { self.inner.config.max_attempts } else { 1 };
                let over = disabled || run.attempt >= most;
                let state = if over { DeliveryState::Failed } else { DeliveryState::Waiting };
                (state, Some(why.clone()), disabled.then_some(DisabledReason::Failing))
            }
        };
        let outcome = Outcome { state, called: true, status: report.status, error: error.as_deref() };
        store::deliveries::keep(&tx, delivery, &outcome, now).await?;
        if let Some(reason) = disabled {
            let entry =
                Entry::new(&actions::ENDPOINT_DISABLED, "endpoint").of(id).severity(Severity::Warning).detail("reason", reason.as_str());
            self.inner.audit.record(ctx, &tx, entry);
            let event = Event::WebhookDisabled { endpoint_id: id.to_string(), reason: reason.as_str().to_owned() };
            self.inner.jobs.publish(ctx, &tx, event).await?;
        }
        tx.commit().await?;
        self.count(state);
        if let Some(reason) = disabled {
            self.tell(id, reason).await;
        }
        Ok(state != DeliveryState::Waiting)
    }

    /// No call is made for it.
    async fn skip(&self, ctx: &Ctx, delivery: &Delivery, why: &str) -> Result<(), DbError> {
        let tx = self.inner.db.begin().await?;
        let outcome = Outcome { state: DeliveryState::Skipped, called: false, status: None, error: Some(why) };
        store::deliveries::keep(&tx, delivery, &outcome, ctx.now()).await?;
        tx.commit().await?;
        self.count(DeliveryState::Skipped);
        Ok(())
    }

    async fn tell(&self, id: EndpointId, reason: DisabledReason) {
        let stored = store::endpoints::find_endpoint(self.inner.db.read(), id).await.ok().flatten();
        let url = stored.and_then(|stored| self.open_url(&stored).ok()).map(|url| shown(&url)).unwrap_or_default();
        tracing::error!(target: "webhooks", endpoint = %id, url, reason = reason.as_str(), "an endpoint was disabled: nothing is sent to it until somebody enables it");
        let labels = [("reason", reason.as_str())];
        self.inner.metrics.counter("baluarte_webhooks_disabled_total", "Endpoints that Baluarte disabled.", &labels).add(1);
    }

    fn count(&self, state: DeliveryState) {
        let outcome = match state {
            DeliveryState::Waiting => "retried",
            ended => ended.as_str(),
        };
        let help = "Calls to webhook endpoints, by what they meant for the delivery.";
        self.inner.metrics.counter("baluarte_webhooks_deliveries_total", help, &[("outcome", outcome)]).add(1);
    }

    async fn replay_piece(&self, ctx: &Ctx, replay: Replay) -> Result<(), WebhooksError> {
        let tx = self.inner.db.begin().await?;
        let chosen = Chosen { since: Some(replay.since), after: Some(&replay.after), ..Chosen::default() };
        let found = store::deliveries::list_deliveries(&tx, replay.endpoint, chosen, PIECE).await?;
        let more = found.len() == PIECE;
        let last = found.last().map(|delivery| delivery.id.to_string());
        for delivery in found {
            let wanted = replay.delivered_too || delivery.state != DeliveryState::Delivered;
            // What happened after somebody asked is not meant.
            if wanted && delivery.created_at <= replay.until && delivery.event != TEST_EVENT {
                // Left out: what was erased.
                self.replay(ctx, &tx, replay.endpoint, delivery.id).await?;
            }
        }
        if let (true, Some(after)) = (more, last) {
            self.inner.jobs.enqueue(ctx, &tx, &Replay { after, ..replay }, Options::default()).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Deletes what is older than `webhooks.keep`, in pieces that do not hold the writer for long.
    pub async fn prune(&self, ctx: &Ctx) -> Result<(), DbError> {
        let before = ctx.now().minus(self.inner.config.keep.get());
        loop {
            let tx = self.inner.db.begin().await?;
            let pruned = store::deliveries::prune(&tx, before, 500).await? + store::people::prune(&tx, before, 500).await?;
            tx.commit().await?;
            if pruned < 500 {
                return Ok(());
            }
        }
    }
}

/// `{type, timestamp, data}`, as Standard Webhooks has it.
fn body(published: &Published) -> Result<String, DbError> {
    let event = serde_json::to_value(&published.event).map_err(|_| DbError::Corrupt("event"))?;
    Ok(json!({ "type": event["type"], "timestamp": published.timestamp, "data": event["data"] }).to_string())
}
