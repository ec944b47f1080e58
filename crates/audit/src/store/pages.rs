//! Links read in order and in bulk, borrowed from the driver's rows: checking a chain spends its time on hashing, not on copies.

use baluarte_db::{
    Db, DbError,
    sea_orm::{
        ConnectionTrait as _, QueryResult,
        sqlx::{self, Row},
    },
    sql,
};

use crate::link::{Hash, Link, Personal};

/// What `stored` reads, by number.
const COLUMNS: &str = "seq, id, kind, at, action, severity, status, actor_kind, actor_id, actor_session, resource_kind, resource_id,
    request_id, details, personal, salt, actor_name, ip, user_agent, personal_details, erased_by, hash";

/// A link as it lies in the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) link: Link<'a>,
    /// `None` once they are erased, or where there never were any.
    pub(crate) private: Option<Personal<'a>>,
    /// Some of the personal fields are there and some are missing.
    pub(crate) torn: bool,
    pub(crate) erased_by: Option<i64>,
    pub(crate) hash: Hash,
}

/// From `first` to `last`, both included, in order.
pub(crate) async fn page(db: &Db, first: i64, last: i64) -> Result<Vec<QueryResult>, DbError> {
    let text = format!("SELECT {COLUMNS} FROM audit_entries WHERE seq >= $1 AND seq <= $2 ORDER BY seq");
    Ok(db.read().query_all_raw(sql(db.read(), &text, [first.into(), last.into()])).await?)
}

/// The same for links chosen elsewhere, in the order of `seqs`.
pub(crate) async fn chosen(db: &Db, seqs: &[i64]) -> Result<Vec<QueryResult>, DbError> {
    let list = baluarte_db::placeholders(1, seqs.len());
    let text = format!("SELECT {COLUMNS} FROM audit_entries WHERE seq IN ({list}) ORDER BY seq DESC");
    Ok(db.read().query_all_raw(sql(db.read(), &text, seqs.iter().map(|seq| (*seq).into()))).await?)
}

pub(crate) fn stored(row: &QueryResult) -> Result<Stored<'_>, Unreadable> {
    if let Some(row) = row.try_as_sqlite_row() {
        read(row)
    } else if let Some(row) = row.try_as_pg_row() {
        read(row)
    } else {
        Err(Unreadable)
    }
}

/// A column holds what does not belong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl From<sqlx::Error> for Unreadable {
    fn from(_: sqlx::Error) -> Self {
        Self
    }
}

fn read<'r, R>(row: &'r R) -> Result<Stored<'r>, Unreadable>
where
    R: Row,
    usize: sqlx::ColumnIndex<R>,
    i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    &'r str: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    &'r [u8]: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    let text = |at: usize| row.try_get::<&'r str, _>(at);
    let optional = |at: usize| row.try_get::<Option<&'r str>, _>(at);
    let hash = |bytes: &[u8]| Hash::try_from(bytes).map_err(|_| Unreadable);
    let personal = row.try_get::<Option<&'r [u8]>, _>(14)?;
    let link = Link {
        seq: row.try_get(0_usize)?,
        id: text(1)?,
        kind: text(2)?,
        at: row.try_get(3_usize)?,
        action: text(4)?,
        severity: text(5)?,
        status: text(6)?,
        actor_kind: text(7)?,
        actor_id: optional(8)?,
        actor_session: optional(9)?,
        resource_kind: text(10)?,
        resource_id: optional(11)?,
        request_id: optional(12)?,
        details: text(13)?,
        personal: personal.map(hash).transpose()?,
    };
    let (salt, actor, ip, user_agent, details) = (optional(15)?, optional(16)?, optional(17)?, optional(18)?, optional(19)?);
    let private = salt.zip(details).map(|(salt, details)| Personal { salt, actor, ip, user_agent, details });
    let torn = private.is_none() && [salt, actor, ip, user_agent, details].iter().any(Option::is_some);
    Ok(Stored { link, private, torn, erased_by: row.try_get(20_usize)?, hash: hash(row.try_get(21_usize)?)? })
}
