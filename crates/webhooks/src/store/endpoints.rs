use baluarte_db::{
    DbError, Tx,
    sea_orm::{ConnectionTrait, QueryResult, Value},
    sql,
};
use baluarte_kernel::Timestamp;

use super::{get, moment};
use crate::model::{DisabledReason, EndpointId, Wanted};

/// An endpoint as it is stored: what is sealed is still sealed.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) id: EndpointId,
    pub(crate) url: String,
    pub(crate) description: String,
    pub(crate) events: Wanted,
    pub(crate) secret: String,
    pub(crate) previous_secret: Option<String>,
    pub(crate) previous_until: Option<Timestamp>,
    pub(crate) enabled: bool,
    pub(crate) disabled_reason: Option<DisabledReason>,
    pub(crate) disabled_at: Option<Timestamp>,
    pub(crate) failing_since: Option<Timestamp>,
    pub(crate) last_success_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

const COLUMNS: &str = "id, url, description, events, secret, previous_secret, previous_until, enabled, disabled_reason, disabled_at, \
                       failing_since, last_success_at, created_at, updated_at";

/// Refuses one more than there may be, in the statement: two requests at once do not get past it together by much.
const INSERT: &str = "INSERT INTO webhook_endpoints
        (id, url, description, events, secret, enabled, disabled_reason, disabled_at, failures, created_at, updated_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $9 WHERE (SELECT count(*) FROM webhook_endpoints) < $10";

/// False: there are as many as there may be.
pub(crate) async fn insert_endpoint(tx: &Tx, new: &Stored, most: u32) -> Result<bool, DbError> {
    let values: [Value; 10] = [
        new.id.to_string().into(),
        new.url.clone().into(),
        new.description.clone().into(),
        events_text(&new.events).into(),
        new.secret.clone().into(),
        new.enabled.into(),
        new.disabled_reason.map(DisabledReason::as_str).into(),
        new.disabled_at.map(Timestamp::micros).into(),
        new.created_at.micros().into(),
        i64::from(most).into(),
    ];
    Ok(tx.execute_raw(sql(tx, INSERT, values)).await?.rows_affected() == 1)
}

pub(crate) async fn find_endpoint(conn: &impl ConnectionTrait, id: EndpointId) -> Result<Option<Stored>, DbError> {
    let text = format!("SELECT {COLUMNS} FROM webhook_endpoints WHERE id = $1");
    conn.query_one_raw(sql(conn, &text, [id.to_string().into()])).await?.as_ref().map(stored).transpose()
}

/// All of them, the oldest first: there are few.
pub(crate) async fn list_endpoints(conn: &impl ConnectionTrait) -> Result<Vec<Stored>, DbError> {
    let text = format!("SELECT {COLUMNS} FROM webhook_endpoints ORDER BY id");
    conn.query_all_raw(sql(conn, &text, [])).await?.iter().map(stored).collect()
}

const UPDATE: &str = "UPDATE webhook_endpoints SET url = $2, description = $3, events = $4, updated_at = $5 WHERE id = $1";

pub(crate) async fn update_endpoint(tx: &Tx, endpoint: &Stored, now: Timestamp) -> Result<bool, DbError> {
    let values: [Value; 5] = [
        endpoint.id.to_string().into(),
        endpoint.url.clone().into(),
        endpoint.description.clone().into(),
        events_text(&endpoint.events).into(),
        now.micros().into(),
    ];
    Ok(tx.execute_raw(sql(tx, UPDATE, values)).await?.rows_affected() == 1)
}

const ENABLE: &str = "UPDATE webhook_endpoints
    SET enabled = TRUE, disabled_reason = NULL, disabled_at = NULL, failing_since = NULL, failures = 0, updated_at = $2
    WHERE id = $1 AND NOT enabled";

/// With a clean record.
pub(crate) async fn enable(tx: &Tx, id: EndpointId, now: Timestamp) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, ENABLE, [id.to_string().into(), now.micros().into()])).await?.rows_affected() == 1)
}

const DISABLE: &str = "UPDATE webhook_endpoints SET enabled = FALSE, disabled_reason = $3, disabled_at = $2, updated_at = $2
    WHERE id = $1 AND enabled";

/// False: it was disabled already, or is gone.
pub(crate) async fn disable(tx: &Tx, id: EndpointId, reason: DisabledReason, now: Timestamp) -> Result<bool, DbError> {
    let values = [id.to_string().into(), now.micros().into(), reason.as_str().into()];
    Ok(tx.execute_raw(sql(tx, DISABLE, values)).await?.rows_affected() == 1)
}

const ROTATE: &str = "UPDATE webhook_endpoints
    SET previous_secret = CASE WHEN $4 > $3 THEN secret ELSE NULL END, previous_until = CASE WHEN $4 > $3 THEN $4 ELSE NULL END,
        secret = $2, updated_at = $3
    WHERE id = $1";

/// The present secret signs, too, until then.
pub(crate) async fn rotate_secret(tx: &Tx, id: EndpointId, sealed: &str, until: Timestamp, now: Timestamp) -> Result<bool, DbError> {
    let values = [id.to_string().into(), sealed.into(), now.micros().into(), until.micros().into()];
    Ok(tx.execute_raw(sql(tx, ROTATE, values)).await?.rows_affected() == 1)
}

pub(crate) async fn delete_endpoint(tx: &Tx, id: EndpointId) -> Result<bool, DbError> {
    let statement = sql(tx, "DELETE FROM webhook_endpoints WHERE id = $1", [id.to_string().into()]);
    Ok(tx.execute_raw(statement).await?.rows_affected() == 1)
}

/// Once a minute is enough to say that it is well; a first success after failures is said at once.
const SUCCEEDED: &str = "UPDATE webhook_endpoints SET failing_since = NULL, failures = 0, last_success_at = $2
    WHERE id = $1 AND (failures > 0 OR failing_since IS NOT NULL OR last_success_at IS NULL OR last_success_at < $3)";

pub(crate) async fn succeeded(tx: &Tx, id: EndpointId, now: Timestamp) -> Result<(), DbError> {
    let minute_ago = now.minus(std::time::Duration::from_secs(60));
    tx.execute_raw(sql(tx, SUCCEEDED, [id.to_string().into(), now.micros().into(), minute_ago.micros().into()])).await?;
    Ok(())
}

const FAILED: &str = "UPDATE webhook_endpoints SET failing_since = COALESCE(failing_since, $2), failures = failures + 1 WHERE id = $1";
const GIVE_UP: &str = "UPDATE webhook_endpoints SET enabled = FALSE, disabled_reason = 'failing', disabled_at = $2, updated_at = $2
    WHERE id = $1 AND enabled AND failing_since <= $3 AND failures >= $4";

/// One more failure. True: it has failed since `since` or longer, at least `least` times, and is disabled now.
pub(crate) async fn failed(tx: &Tx, id: EndpointId, since: Timestamp, least: i64, now: Timestamp) -> Result<bool, DbError> {
    tx.execute_raw(sql(tx, FAILED, [id.to_string().into(), now.micros().into()])).await?;
    let values = [id.to_string().into(), now.micros().into(), since.micros().into(), least.into()];
    Ok(tx.execute_raw(sql(tx, GIVE_UP, values)).await?.rows_affected() == 1)
}

fn events_text(events: &Wanted) -> String {
    serde_json::to_string(events.names()).expect("a list of texts is JSON")
}

fn stored(row: &QueryResult) -> Result<Stored, DbError> {
    let events: String = get(row, "events")?;
    let events = serde_json::from_str(&events).map_err(|_| DbError::Corrupt("webhook_endpoints.events"))?;
    let reason: Option<String> = get(row, "disabled_reason")?;
    Ok(Stored {
        id: get::<String>(row, "id")?.parse().map_err(|_| DbError::Corrupt("webhook_endpoints.id"))?,
        url: get(row, "url")?,
        description: get(row, "description")?,
        events: Wanted::stored(events),
        secret: get(row, "secret")?,
        previous_secret: get(row, "previous_secret")?,
        previous_until: moment(row, "previous_until")?,
        enabled: get(row, "enabled")?,
        disabled_reason: reason.as_deref().and_then(DisabledReason::stored),
        disabled_at: moment(row, "disabled_at")?,
        failing_since: moment(row, "failing_since")?,
        last_success_at: moment(row, "last_success_at")?,
        created_at: moment(row, "created_at")?.unwrap_or_default(),
        updated_at: moment(row, "updated_at")?.unwrap_or_default(),
    })
}
