//! Links read in order and in bulk, borrowed from what the driver holds: checking a chain spends its time on hashing, not on copies.

mod copied;
mod packed;

use baluarte_db::{
    Db, DbError, Dialect,
    sea_orm::{
        ConnectionTrait as _, QueryResult,
        sqlx::{self, Row},
    },
    sql,
};

use crate::link::{Hash, Link, Personal};

/// What is read, by number.
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

/// A page as the database hands it out at once.
pub(crate) enum Bulk {
    Packed(QueryResult),
    Copied(Vec<u8>),
}

/// The same page in one piece, for those who look at all of it.
pub(crate) async fn bulk(db: &Db, first: i64, last: i64) -> Result<Option<Bulk>, DbError> {
    match db.dialect() {
        Dialect::Sqlite => {
            let row = db.read().query_one_raw(sql(db.read(), &packed::query(), [first.into(), last.into()])).await?;
            Ok(row.map(Bulk::Packed))
        }
        Dialect::Postgres => Ok(Some(Bulk::Copied(db.copy_out(&copied::query(first, last)).await?))),
    }
}

impl Bulk {
    /// The links in order; the first that is not as it should be is `Unreadable`, and the last one looked at.
    pub(crate) fn links(&self) -> Result<Links<'_>, Unreadable> {
        match self {
            Self::Packed(row) => {
                let row = row.try_as_sqlite_row().ok_or(Unreadable)?;
                let page = row.try_get::<Option<&[u8]>, _>(1)?.unwrap_or_default();
                Ok(Links(Rows::Packed(packed::Rows::of(page, row.try_get(0)?))))
            }
            Self::Copied(page) => copied::Rows::of(page).map(Rows::Copied).map(Links),
        }
    }
}

pub(crate) struct Links<'a>(Rows<'a>);

enum Rows<'a> {
    Packed(packed::Rows<'a>),
    Copied(copied::Rows<'a>),
}

impl<'a> Links<'a> {
    /// `None` at the end of the page.
    pub(crate) fn next(&mut self) -> Result<Option<Stored<'a>>, Unreadable> {
        match &mut self.0 {
            Rows::Packed(rows) => rows.next(),
            Rows::Copied(rows) => rows.next(),
        }
    }
}

fn with_personal<'a>(link: Link<'a>, fields: [Option<&'a str>; 5], erased_by: Option<i64>, hash: Hash) -> Stored<'a> {
    let [salt, actor, ip, user_agent, details] = fields;
    let private = salt.zip(details).map(|(salt, details)| Personal { salt, actor, ip, user_agent, details });
    let torn = private.is_none() && fields.iter().any(Option::is_some);
    Stored { link, private, torn, erased_by, hash }
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
    let number = |at: usize| Ok(row.try_get::<Option<i64>, _>(at)?);
    let text = |at: usize| Ok(row.try_get::<Option<&'r str>, _>(at)?);
    let hash = |at: usize| row.try_get::<Option<&'r [u8]>, _>(at)?.map(|it| Hash::try_from(it).map_err(|_| Unreadable)).transpose();
    put_together(number, text, hash)
}

/// A link from its columns, by number.
fn put_together<'a>(
    number: impl Fn(usize) -> Result<Option<i64>, Unreadable>,
    text: impl Fn(usize) -> Result<Option<&'a str>, Unreadable>,
    hash: impl Fn(usize) -> Result<Option<Hash>, Unreadable>,
) -> Result<Stored<'a>, Unreadable> {
    let there = |at: usize| text(at)?.ok_or(Unreadable);
    let link = Link {
        seq: number(0)?.ok_or(Unreadable)?,
        id: there(1)?,
        kind: there(2)?,
        at: number(3)?.ok_or(Unreadable)?,
        action: there(4)?,
        severity: there(5)?,
        status: there(6)?,
        actor_kind: there(7)?,
        actor_id: text(8)?,
        actor_session: text(9)?,
        resource_kind: there(10)?,
        resource_id: text(11)?,
        request_id: text(12)?,
        details: there(13)?,
        personal: hash(14)?,
    };
    let fields = [text(15)?, text(16)?, text(17)?, text(18)?, text(19)?];
    Ok(with_personal(link, fields, number(20)?, hash(21)?.ok_or(Unreadable)?))
}
