//! A page that SQLite has put into one value: a driver hands out values one by one, which takes longer than hashing them.
//!
//! What does not come through this unharmed (other types, characters that set apart) shows as a part or a row too many, or as a
//! number that is none; then the page is read again the slow way.

use super::{Stored, Unreadable, with_personal};
use crate::link::{Hash, Link};

/// Parts of a row, and rows, are set apart by these, which no text of ours contains.
const PART: u8 = 0x1f;
const NEXT: u8 = 0x1e;
/// Text columns, in the order in which they are put together. Those that are NULL are left out.
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
/// Those that may be NULL.
const OPTIONAL: [usize; 9] = [6, 7, 9, 10, 12, 13, 14, 15, 16];
/// Their bits, behind those of the texts.
const PERSONAL: usize = 17;
const ERASED_BY: usize = 18;

/// The statement for links from `$1` to `$2`: how many, and all of them in one value.
///
/// A row is made of a number that tells which values are NULL, the hash, `personal`, `seq`, `at`, `erased_by` and the texts.
pub(super) fn query() -> String {
    // SQLite keeps what it is given, whatever the column says. Numbers are less than text, and text is less than bytes.
    let mistyped: Vec<_> = TEXTS.iter().map(|column| format!("{column} < '' OR {column} >= x''")).collect();
    let nulls: Vec<_> = OPTIONAL
        .iter()
        .map(|at| (TEXTS[*at], *at))
        .chain([("personal", PERSONAL), ("erased_by", ERASED_BY)])
        .map(|(column, at)| format!("({column} IS NULL) * {}", 1_u64 << at))
        .collect();
    format!(
        "SELECT count(*), CAST(group_concat(packed, char({NEXT})) AS BLOB) FROM (SELECT concat_ws(char({PART}),
                CASE WHEN {mistyped} OR hash < x'' OR personal < x'' OR seq >= '' OR at >= '' OR erased_by >= '' THEN '?' ELSE {nulls} END,
                hash, personal, seq, at, erased_by, {texts}) AS packed
            FROM audit_entries WHERE seq >= $1 AND seq <= $2 ORDER BY seq) AS page",
        mistyped = mistyped.join(" OR "),
        nulls = nulls.join(" + "),
        texts = TEXTS.join(", "),
    )
}

pub(super) struct Rows<'a> {
    rest: &'a [u8],
    left: i64,
}

impl<'a> Rows<'a> {
    pub(super) fn of(page: &'a [u8], rows: i64) -> Self {
        Self { rest: page, left: rows }
    }

    /// `None` behind the last row.
    pub(super) fn next(&mut self) -> Result<Option<Stored<'a>>, Unreadable> {
        if self.left == 0 {
            return if self.rest.is_empty() { Ok(None) } else { Err(Unreadable) };
        }
        self.left -= 1;
        let nulls = self.until(PART)?;
        let nulls: u64 = number(std::str::from_utf8(nulls).map_err(|_| Unreadable)?)?;
        let is_null = |at: usize| nulls & (1 << at) != 0;
        let hash = self.hash()?;
        let personal = if is_null(PERSONAL) { None } else { Some(self.hash()?) };
        let texts = if self.left == 0 { std::mem::take(&mut self.rest) } else { self.until(NEXT)? };
        let mut parts = std::str::from_utf8(texts).map_err(|_| Unreadable)?.split(char::from(PART));
        let mut part = || parts.next().ok_or(Unreadable);
        let (seq, at) = (number(part()?)?, number(part()?)?);
        let erased_by = if is_null(ERASED_BY) { None } else { Some(number(part()?)?) };
        let mut values = [None; TEXTS.len()];
        for (at, value) in values.iter_mut().enumerate() {
            if !is_null(at) {
                *value = Some(part()?);
            }
        }
        if parts.next().is_some() {
            return Err(Unreadable);
        }
        let text = |at: usize| values[at].ok_or(Unreadable);
        let link = Link {
            seq,
            id: text(0)?,
            kind: text(1)?,
            at,
            action: text(2)?,
            severity: text(3)?,
            status: text(4)?,
            actor_kind: text(5)?,
            actor_id: values[6],
            actor_session: values[7],
            resource_kind: text(8)?,
            resource_id: values[9],
            request_id: values[10],
            details: text(11)?,
            personal,
        };
        Ok(Some(with_personal(link, [values[12], values[13], values[14], values[15], values[16]], erased_by, hash)))
    }

    fn until(&mut self, end: u8) -> Result<&'a [u8], Unreadable> {
        let at = self.rest.iter().position(|byte| *byte == end).ok_or(Unreadable)?;
        let found = &self.rest[..at];
        self.rest = &self.rest[at + 1..];
        Ok(found)
    }

    /// Bytes as they are, which may be any.
    fn hash(&mut self) -> Result<Hash, Unreadable> {
        let (hash, rest) = self.rest.split_first_chunk::<32>().ok_or(Unreadable)?;
        self.rest = rest.strip_prefix(&[PART]).ok_or(Unreadable)?;
        Ok(*hash)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Unreadable> {
    text.parse().map_err(|_| Unreadable)
}
