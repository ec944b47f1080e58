//! The end of the chain, and adding to it.

use baluarte_db::{
    Db, DbError, Tx,
    sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value},
    sql,
};

use crate::{link::Hash, record::Pending};

/// Where the chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) seq: i64,
    pub(crate) hash: Hash,
}

/// Nothing happens when there is a chain already.
pub(crate) async fn begin_chain(db: &Db, chain: &str, beginning: &Hash) -> Result<(), DbError> {
    if find_chain(db.read()).await?.is_some() {
        return Ok(());
    }
    let tx = db.begin().await?;
    // SQLite has one writer and sees here whether somebody else was quicker; on PostgreSQL the index over the one row does.
    let text = db.per_dialect(
        "INSERT INTO audit_head (chain, seq, hash) SELECT $1, 0, $2 WHERE NOT EXISTS (SELECT 1 FROM audit_head)",
        "INSERT INTO audit_head (chain, seq, hash) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING",
    );
    tx.execute_raw(sql(&tx, text, [chain.into(), beginning.to_vec().into()])).await?;
    tx.commit().await
}

pub(crate) async fn find_chain(conn: &impl ConnectionTrait) -> Result<Option<String>, DbError> {
    let row = conn.query_one_raw(sql(conn, "SELECT chain FROM audit_head", [])).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// Where the chain is said to end, and the last link there is.
pub(crate) async fn read_head(conn: &impl ConnectionTrait) -> Result<Option<(Head, Option<i64>)>, DbError> {
    let text = "SELECT seq, hash, (SELECT max(seq) FROM audit_entries) FROM audit_head";
    let Some(row) = conn.query_one_raw(sql(conn, text, [])).await? else { return Ok(None) };
    Ok(Some((head(&row)?, row.try_get_by_index(2)?)))
}

/// PostgreSQL has many writers: whoever holds the row adds to the chain, the others wait.
const LOCK_POSTGRES: &str = "SELECT seq, hash FROM audit_head FOR UPDATE";
/// SQLite's one writer is us, and it does not know FOR UPDATE.
const LOCK_SQLITE: &str = "SELECT seq, hash FROM audit_head";

pub(crate) async fn lock_head(tx: &Tx) -> Result<Head, DbError> {
    let text = if tx.get_database_backend() == DbBackend::Postgres { LOCK_POSTGRES } else { LOCK_SQLITE };
    let row = tx.query_one_raw(sql(tx, text, [])).await?;
    let row = row.ok_or_else(|| DbError::Setup("the audit log has lost the end of its chain (table audit_head is empty)".to_owned()))?;
    head(&row)
}

fn head(row: &QueryResult) -> Result<Head, DbError> {
    let hash: Vec<u8> = row.try_get_by_index(1)?;
    Ok(Head { seq: row.try_get_by_index(0)?, hash: hash.try_into().map_err(|_| DbError::Corrupt("audit_head.hash"))? })
}

const COLUMNS: &str = "seq, id, kind, at, action, severity, status, actor_kind, actor_id, actor_session, resource_kind, resource_id,
    request_id, details, personal, salt, actor_name, ip, user_agent, personal_details, hash";
const COUNT: usize = 21;
/// In one statement. SQLite looks each value's number up among all of them, so that more rows take longer each.
const ROWS: usize = 24;

/// A trigger moves the end of the chain with every row, and refuses one that does not follow.
pub(crate) async fn insert_links(tx: &Tx, links: &[(i64, Pending, Hash)]) -> Result<(), DbError> {
    for piece in links.chunks(ROWS) {
        let rows: Vec<_> = (0..piece.len()).map(|row| format!("({})", baluarte_db::placeholders(1 + row * COUNT, COUNT))).collect();
        let text = format!("INSERT INTO audit_entries ({COLUMNS}) VALUES {}", rows.join(", "));
        let values = piece.iter().flat_map(|(seq, pending, hash)| row(*seq, pending, hash));
        tx.execute_raw(sql(tx, &text, values)).await?;
    }
    Ok(())
}

fn row(seq: i64, it: &Pending, hash: &Hash) -> [Value; COUNT] {
    let private = it.private.as_ref();
    [
        seq.into(),
        it.id.clone().into(),
        it.kind.into(),
        it.at.into(),
        it.action.into(),
        it.severity.into(),
        it.status.into(),
        it.actor_kind.into(),
        it.actor_id.clone().into(),
        it.actor_session.clone().into(),
        it.resource_kind.into(),
        it.resource_id.clone().into(),
        it.request_id.clone().into(),
        it.details.clone().into(),
        it.personal.map(|hash| hash.to_vec()).into(),
        private.map(|it| it.salt.clone()).into(),
        private.and_then(|it| it.actor.clone()).into(),
        private.and_then(|it| it.ip.clone()).into(),
        private.and_then(|it| it.user_agent.clone()).into(),
        private.map(|it| it.details.clone()).into(),
        hash.to_vec().into(),
    ]
}
