//! PostgreSQL: an advisory lock for the whole run, each step in a transaction.

use std::time::Duration;

use baluarte_kernel::Clock;
use sea_orm::sqlx::{
    self, ConnectOptions as _, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions, query, query_as, query_scalar,
    raw_sql,
};

use super::{Applied, CREATE_TABLE, LIST, Plan, RECORD};
use crate::{DbError, connect};

/// "baluarte" in ASCII: nobody else in the database takes this lock by chance.
const LOCK: i64 = i64::from_be_bytes(*b"baluarte");
const CONNECT: Duration = Duration::from_secs(10);
/// Another replica may be migrating; so long do we wait for it to be done.
const WAIT: Duration = Duration::from_secs(300);
const RETRY: Duration = Duration::from_millis(200);

pub(super) async fn migrate(options: &PgConnectOptions, place: &str, plan: &Plan, clock: &Clock) -> Result<Vec<String>, DbError> {
    let options = connect::postgres(options);
    let mut conn = match tokio::time::timeout(CONNECT, options.connect()).await {
        Ok(conn) => conn.map_err(|err| refused(err, place))?,
        Err(_) => return Err(DbError::unavailable(format!("no answer from {place} within {} s", CONNECT.as_secs()))),
    };
    // Data may take its time to be rewritten; tables that are in use are not waited for, since everybody would queue
    // up behind us.
    conn.execute("SET statement_timeout = 0; SET lock_timeout = '10s'; SET client_min_messages = warning").await?;
    lock(&mut conn).await?;
    let result = apply_all(&mut conn, plan, clock).await;
    // The lock goes with the connection, also if this farewell does not arrive.
    let _ = conn.close().await;
    result
}

/// What is recorded as applied.
pub(super) async fn applied(options: &PgConnectOptions, place: &str) -> Result<Applied, DbError> {
    let mut conn = connect::postgres(options).connect().await.map_err(|err| refused(err, place))?;
    let known: bool = query_scalar("SELECT to_regclass('schema_migrations') IS NOT NULL").fetch_one(&mut conn).await?;
    let applied = if known { query_as(LIST).fetch_all(&mut conn).await? } else { Applied::new() };
    let _ = conn.close().await;
    Ok(applied)
}

/// What connecting came back with, as a sentence for whoever starts the server.
fn refused(err: sqlx::Error, place: &str) -> DbError {
    let code = match &err {
        sqlx::Error::Database(refusal) => refusal.code().unwrap_or_default().into_owned(),
        _ => String::new(),
    };
    match code.as_str() {
        "3D000" => DbError::Setup(format!("the database of {place} does not exist; create it first (createdb)")),
        "28P01" | "28000" => DbError::Setup(format!("{place} refuses the user or the password of database.url: {err}")),
        _ => match DbError::from(err) {
            DbError::Unavailable(cause) | DbError::Driver(cause) => DbError::unavailable(format!("{place}: {cause}")),
            other => other,
        },
    }
}

async fn lock(conn: &mut PgConnection) -> Result<(), DbError> {
    let mut waited = Duration::ZERO;
    // Asked again and again rather than waited for: a statement that waits would hold back vacuum for as long.
    while !query_scalar::<_, bool>("SELECT pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut *conn).await? {
        if waited.is_zero() {
            tracing::info!(target: "db", "another replica is migrating; waiting for it");
        }
        if waited >= WAIT {
            return Err(DbError::unavailable(format!("another replica has been migrating for {} s", WAIT.as_secs())));
        }
        tokio::time::sleep(RETRY).await;
        waited += RETRY;
    }
    Ok(())
}

async fn apply_all(conn: &mut PgConnection, plan: &Plan, clock: &Clock) -> Result<Vec<String>, DbError> {
    let mut done = Vec::new();
    conn.execute(CREATE_TABLE).await?;
    loop {
        let applied: Applied = query_as(LIST).fetch_all(&mut *conn).await?;
        let Some(step) = plan.next(&applied)? else { return Ok(done) };
        if done.is_empty() && !applied.is_empty() {
            tracing::info!(target: "db", "no copy is made of a PostgreSQL database before it is migrated: pg_dump is the operator's");
        }
        let result = async {
            let mut tx = conn.begin().await?;
            raw_sql(step.sql).execute(&mut *tx).await?;
            query(RECORD).bind(step.component).bind(step.name).bind(&step.checksum).bind(clock.now().micros()).execute(&mut *tx).await?;
            tx.commit().await
        };
        result.await.map_err(|err| step.failed(err.into()))?;
        tracing::info!(target: "db", step = step.title(), "migrated");
        done.push(step.title());
    }
}
