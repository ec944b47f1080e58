//! Links read in order and in bulk, borrowed from the driver's rows: checking a chain spends its time on hashing, not on copies.

use baluarte_db::{
    Db, DbError, Dialect,
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

/// Parts of a packed link, and links of a packed page, are set apart by these, which no text of ours contains.
const PART: char = '\u{1f}';
const NEXT: char = '\u{1e}';
/// Text columns, in the order of `PARTS`.
const TEXTS: [&str; 17] = [
    "id",
    "kind",
    "action",
    "severity",
    "status",
    "actor_kind",
    "actor_id",
    "actor_session",
    "resource_kind",
    "resource_id",
    "request_id",
    "details",
    "salt",
    "actor_name",
    "ip",
    "user_agent",
    "personal_details",
];
/// Before the texts: which of them are NULL, their length together, seq, at, erased_by; behind them personal and hash.
const PARTS: usize = 5 + TEXTS.len() + 2;

/// The same page as one text, made by the database: a driver hands out values one by one, which takes longer than hashing them.
///
/// What does not come through this unharmed (other types, characters that set apart) shows as a part too many or a length that
/// does not fit; then the page is read again the slow way.
pub(crate) async fn packed(db: &Db, first: i64, last: i64) -> Result<String, DbError> {
    let sqlite = db.dialect() == Dialect::Sqlite;
    let (length, hex, put, number) = if sqlite { ("octet_length", "hex", "%s", "%d") } else { ("octet_length", "encode", "%s", "%s") };
    let bit = |(at, column): (usize, &&str)| {
        let null = if sqlite { format!("({column} IS NULL)") } else { format!("({column} IS NULL)::int") };
        format!("{null} * {}", 1_u64 << at)
    };
    let nulls: Vec<_> = TEXTS.iter().enumerate().map(bit).collect();
    let lengths: Vec<_> = TEXTS.iter().map(|column| format!("coalesce({length}({column}), 0)")).collect();
    // SQLite stores what it is given, whatever the column says: a length that cannot be makes it fall back.
    let strange = if sqlite {
        let texts = TEXTS.iter().map(|column| format!("(typeof({column}) NOT IN ('text', 'null'))"));
        let numbers = ["seq", "at"].iter().map(|column| format!("(typeof({column}) <> 'integer')"));
        format!(" - 1000000000 * ({})", texts.chain(numbers).collect::<Vec<_>>().join(" + "))
    } else {
        String::new()
    };
    let bytes = |column: &str| if sqlite { format!("{hex}({column})") } else { format!("{hex}({column}, 'hex')") };
    let pattern: Vec<_> = [number, number, number, number, put].into_iter().chain([put; TEXTS.len() + 2]).collect();
    let text = format!(
        "SELECT {gather}(packed, '{NEXT}') FROM (SELECT format('{pattern}', {nulls}, {lengths}{strange}, seq, at, erased_by, {texts}, {personal}, {hash})
            AS packed FROM audit_entries WHERE seq >= $1 AND seq <= $2 ORDER BY seq) AS page",
        gather = if sqlite { "group_concat" } else { "string_agg" },
        pattern = pattern.join(&PART.to_string()),
        nulls = nulls.join(" + "),
        lengths = lengths.join(" + "),
        texts = TEXTS.join(", "),
        personal = bytes("personal"),
        hash = bytes("hash"),
    );
    let row = db.read().query_one_raw(sql(db.read(), &text, [first.into(), last.into()])).await?;
    Ok(row.and_then(|row| row.try_get_by_index(0).ok()).unwrap_or_default())
}

/// The links of a packed page; the first that is not as it should be is `Unreadable`.
pub(crate) fn unpacked(page: &str) -> impl Iterator<Item = Result<Stored<'_>, Unreadable>> {
    page.split(NEXT).filter(|link| !link.is_empty()).map(unpack)
}

fn unpack(link: &str) -> Result<Stored<'_>, Unreadable> {
    let mut parts = [""; PARTS];
    let mut count = 0;
    for part in link.split(PART) {
        *parts.get_mut(count).ok_or(Unreadable)? = part;
        count += 1;
    }
    let number = |at: usize| parts[at].parse::<i64>().map_err(|_| Unreadable);
    let (nulls, length) = (number(0)?, number(1)?);
    let texts = &parts[5..5 + TEXTS.len()];
    if count != PARTS || usize::try_from(length).ok() != Some(texts.iter().map(|text| text.len()).sum()) {
        return Err(Unreadable);
    }
    let optional = |at: usize| if nulls & (1 << at) == 0 { Some(texts[at]) } else { None };
    let text = |at: usize| optional(at).ok_or(Unreadable);
    let hash = |at: usize| {
        let mut bytes = Hash::default();
        hex::decode_to_slice(parts[at], &mut bytes).map(|()| bytes).map_err(|_| Unreadable)
    };
    let personal = if parts[PARTS - 2].is_empty() { None } else { Some(hash(PARTS - 2)?) };
    let link = Link {
        seq: number(2)?,
        id: text(0)?,
        kind: text(1)?,
        at: number(3)?,
        action: text(2)?,
        severity: text(3)?,
        status: text(4)?,
        actor_kind: text(5)?,
        actor_id: optional(6),
        actor_session: optional(7),
        resource_kind: text(8)?,
        resource_id: optional(9),
        request_id: optional(10),
        details: text(11)?,
        personal,
    };
    let erased_by = if parts[4].is_empty() { None } else { Some(number(4)?) };
    Ok(with_personal(link, [optional(12), optional(13), optional(14), optional(15), optional(16)], erased_by, hash(PARTS - 1)?))
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
    let fields = [optional(15)?, optional(16)?, optional(17)?, optional(18)?, optional(19)?];
    Ok(with_personal(link, fields, row.try_get(20_usize)?, hash(row.try_get(21_usize)?)?))
}
