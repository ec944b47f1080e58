use baluarte_db::{
    DbError, Tx,
    sea_orm::{ConnectionTrait, QueryResult, Value},
    sql,
};
use baluarte_jobs::JobId;
use baluarte_kernel::{Timestamp, UserId};

use super::{get, moment};
use crate::model::{Delivery, DeliveryId, DeliveryState, EndpointId};

/// An event to be kept.
pub(crate) struct NewEvent<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    /// Sealed.
    pub(crate) body: String,
    pub(crate) about: Option<UserId>,
}

const INSERT_EVENT: &str =
    "INSERT INTO webhook_events (id, type, body, user_id, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING";

/// Nothing changes when it is there already.
pub(crate) async fn insert_event(tx: &Tx, new: NewEvent<'_>, now: Timestamp) -> Result<(), DbError> {
    let about = new.about.map(|user| user.to_string());
    let values = [new.id.into(), new.name.into(), new.body.into(), about.into(), now.micros().into()];
    tx.execute_raw(sql(tx, INSERT_EVENT, values)).await?;
    Ok(())
}

/// Why a delivery was skipped.
pub(crate) const DISABLED: &str = "the endpoint was disabled";

const INSERT: &str =
    "INSERT INTO webhook_deliveries (id, endpoint_id, event_id, state, generation, attempts, created_at, finished_at, error)
    SELECT $1, $2, $3, $5, 0, 0, $4, $6, $7 WHERE EXISTS (SELECT 1 FROM webhook_endpoints WHERE id = $2)
    ON CONFLICT (endpoint_id, event_id) DO NOTHING";

/// False: this endpoint has the event already, or has just been deleted. `call`: otherwise it is skipped, until somebody replays it.
pub(crate) async fn insert_delivery(
    tx: &Tx,
    id: DeliveryId,
    endpoint: EndpointId,
    event: &str,
    call: bool,
    now: Timestamp,
) -> Result<bool, DbError> {
    let (state, finished) = if call { (DeliveryState::Waiting, None) } else { (DeliveryState::Skipped, Some(now.micros())) };
    let values: [Value; 7] = [
        id.to_string().into(),
        endpoint.to_string().into(),
        event.into(),
        now.micros().into(),
        state.as_str().into(),
        finished.into(),
        finished.map(|_| DISABLED).into(),
    ];
    Ok(tx.execute_raw(sql(tx, INSERT, values)).await?.rows_affected() == 1)
}

pub(crate) async fn set_job(tx: &Tx, id: DeliveryId, job: JobId) -> Result<(), DbError> {
    let statement = sql(tx, "UPDATE webhook_deliveries SET job_id = $2 WHERE id = $1", [id.to_string().into(), job.to_string().into()]);
    tx.execute_raw(statement).await?;
    Ok(())
}

const COLUMNS: &str =
    "d.id, d.endpoint_id, d.event_id, e.type, d.state, d.generation, d.job_id, d.attempts, d.status, d.error, d.created_at, d.finished_at";

/// With what is sent, as it is stored.
pub(crate) async fn find_delivery(conn: &impl ConnectionTrait, id: DeliveryId) -> Result<Option<(Delivery, String)>, DbError> {
    let text = format!("SELECT {COLUMNS}, e.body FROM webhook_deliveries d JOIN webhook_events e ON e.id = d.event_id WHERE d.id = $1");
    let row = conn.query_one_raw(sql(conn, &text, [id.to_string().into()])).await?;
    row.as_ref().map(|row| Ok((delivery(row)?, get(row, "body")?))).transpose()
}

/// Which deliveries of an endpoint are meant.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Chosen<'a> {
    pub(crate) state: Option<DeliveryState>,
    pub(crate) since: Option<Timestamp>,
    /// Identifiers before this one, the newest first; or after it, the oldest first.
    pub(crate) before: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
}

pub(crate) async fn list_deliveries(
    conn: &impl ConnectionTrait,
    endpoint: EndpointId,
    chosen: Chosen<'_>,
    limit: usize,
) -> Result<Vec<Delivery>, DbError> {
    let mut text =
        format!("SELECT {COLUMNS} FROM webhook_deliveries d JOIN webhook_events e ON e.id = d.event_id WHERE d.endpoint_id = $1");
    let mut values: Vec<Value> = vec![endpoint.to_string().into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let conditions: [(&str, Option<Value>); 4] = [
        ("d.state =", chosen.state.map(|state| state.as_str().into())),
        ("d.created_at >=", chosen.since.map(|since| since.micros().into())),
        ("d.id <", chosen.before.map(Into::into)),
        ("d.id >", chosen.after.map(Into::into)),
    ];
    for (condition, value) in conditions {
        if let Some(value) = value {
            values.push(value);
            text.push_str(&format!(" AND {condition} ${}", values.len()));
        }
    }
    text.push_str(if chosen.after.is_some() { " ORDER BY d.id LIMIT $2" } else { " ORDER BY d.id DESC LIMIT $2" });
    conn.query_all_raw(sql(conn, &text, values)).await?.iter().map(delivery).collect()
}

const REOPEN: &str = "UPDATE webhook_deliveries SET state = 'waiting', generation = generation + 1, finished_at = NULL, error = NULL
    WHERE id = $1 AND EXISTS (SELECT 1 FROM webhook_events e WHERE e.id = webhook_deliveries.event_id AND e.body <> '')
    RETURNING generation, (SELECT e.user_id FROM webhook_events e WHERE e.id = webhook_deliveries.event_id) AS about";

/// A delivery that was started again.
pub(crate) struct Started {
    /// Which start this is.
    pub(crate) generation: i64,
    pub(crate) about: Option<UserId>,
}

/// Starts it again; nothing when what was to be sent is gone.
pub(crate) async fn reopen(tx: &Tx, id: DeliveryId) -> Result<Option<Started>, DbError> {
    let Some(row) = tx.query_one_raw(sql(tx, REOPEN, [id.to_string().into()])).await? else { return Ok(None) };
    let about: Option<String> = get(&row, "about")?;
    let about = about.map(|user| user.parse().map_err(|_| DbError::Corrupt("webhook_events.user_id"))).transpose()?;
    Ok(Some(Started { generation: get(&row, "generation")?, about }))
}

/// What became of one call, or of all of them.
pub(crate) struct Outcome<'a> {
    pub(crate) state: DeliveryState,
    /// A call was made.
    pub(crate) called: bool,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<&'a str>,
}

const KEEP: &str = "UPDATE webhook_deliveries SET state = $2, attempts = attempts + $3, status = CASE WHEN $3 = 1 THEN $4 ELSE status END,
        error = $5, finished_at = $6 WHERE id = $1 AND state = 'waiting' AND generation = $7";

/// Only for one that waits: a delivery that was made is made, whatever a second run of the same job says; nor has the job of
/// an earlier start a say.
pub(crate) async fn keep(tx: &Tx, delivery: &Delivery, outcome: &Outcome<'_>, now: Timestamp) -> Result<(), DbError> {
    let finished = (outcome.state != DeliveryState::Waiting).then(|| now.micros());
    let values: [Value; 7] = [
        delivery.id.to_string().into(),
        outcome.state.as_str().into(),
        i64::from(outcome.called).into(),
        outcome.status.map(i64::from).into(),
        outcome.error.map(ToOwned::to_owned).into(),
        finished.into(),
        delivery.generation.into(),
    ];
    tx.execute_raw(sql(tx, KEEP, values)).await?;
    Ok(())
}

const PRUNE: &str =
    "DELETE FROM webhook_events WHERE id IN (SELECT id FROM webhook_events WHERE created_at < $1 ORDER BY created_at LIMIT $2)";

/// The oldest events with their deliveries; how many.
pub(crate) async fn prune(tx: &Tx, before: Timestamp, piece: i64) -> Result<u64, DbError> {
    Ok(tx.execute_raw(sql(tx, PRUNE, [before.micros().into(), piece.into()])).await?.rows_affected())
}

fn delivery(row: &QueryResult) -> Result<Delivery, DbError> {
    let id = |column: &'static str| get::<String>(row, column);
    let corrupt = DbError::Corrupt;
    let job: Option<String> = get(row, "job_id")?;
    Ok(Delivery {
        id: id("id")?.parse().map_err(|_| corrupt("webhook_deliveries.id"))?,
        endpoint_id: id("endpoint_id")?.parse().map_err(|_| corrupt("webhook_deliveries.endpoint_id"))?,
        event_id: id("event_id")?,
        event: get(row, "type")?,
        state: id("state")?.parse().map_err(|_| corrupt("webhook_deliveries.state"))?,
        generation: get(row, "generation")?,
        job_id: job.and_then(|job| job.parse().ok()),
        attempts: get(row, "attempts")?,
        status: get(row, "status")?,
        error: get(row, "error")?,
        created_at: moment(row, "created_at")?.unwrap_or_default(),
        finished_at: moment(row, "finished_at")?,
    })
}
