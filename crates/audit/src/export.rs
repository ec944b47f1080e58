//! Entries as lines that stand for themselves: NDJSON from which a stranger can compute every hash, and CSV for a spreadsheet.

use baluarte_db::{Db, DbError};

use crate::{
    Audit, AuditError, json,
    link::{Hash, beginning},
    signed::Says,
    store::{
        self,
        pages::{Stored, page, stored},
    },
};

/// Entries in one piece.
const PIECE: i64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Ndjson,
    Csv,
}

impl Format {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// Entries in the order of the chain, a bounded piece at a time.
#[derive(Debug)]
pub struct Export {
    db: Db,
    format: Format,
    next: i64,
    through: i64,
    /// The hash of the entry before the next one, if it is known.
    prev: Option<Hash>,
    began: bool,
}

impl Audit {
    /// Everything from entry `from` (the first there is, for 0) to where the chain ends now.
    pub async fn export(&self, from: i64, format: Format) -> Result<Export, AuditError> {
        let (db, chain) = (&self.inner.db, &self.inner.chain);
        let start = store::signed::last(db.read(), Says::Pruning, chain).await?;
        let through = store::chain::read_head(db.read()).await?.map_or(0, |(head, _)| head.seq);
        let (start, hash) = start.map_or_else(|| (0, beginning(chain)), |pruning| (pruning.seq, pruning.hash));
        let next = from.max(start + 1);
        let prev = if next == start + 1 { Some(hash) } else { hash_of(db, next - 1).await? };
        Ok(Export { db: db.clone(), format, next, through, prev, began: false })
    }
}

async fn hash_of(db: &Db, seq: i64) -> Result<Option<Hash>, DbError> {
    Ok(page(db, seq, seq).await?.first().and_then(|row| stored(row).ok()).map(|it| it.hash))
}

impl Export {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, AuditError> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.began, true) && self.format == Format::Csv {
            out.extend_from_slice(HEADER);
        }
        if self.next > self.through {
            return Ok(if out.is_empty() { None } else { Some(out) });
        }
        let last = (self.next + PIECE - 1).min(self.through);
        let mut scratch = Vec::with_capacity(1_024);
        for row in &page(&self.db, self.next, last).await? {
            let it = stored(row).map_err(|_| DbError::Corrupt("audit_entries"))?;
            match self.format {
                Format::Ndjson => line(&it, self.prev.as_ref(), &mut scratch, &mut out),
                Format::Csv => record(&it, &mut out),
            }
            self.prev = Some(it.hash);
        }
        self.next = last + 1;
        Ok(Some(out))
    }
}

/// What is hashed, and behind it what is not: `erased_by`, `hash`, `private`.
fn line(it: &Stored<'_>, prev: Option<&Hash>, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    it.link.canonical(prev.unwrap_or(&[0; 32]), scratch);
    out.extend_from_slice(&scratch[..scratch.len() - 1]);
    out.extend_from_slice(b",\"erased_by\":");
    match it.erased_by {
        Some(seq) => json::number(out, seq),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"hash\":");
    json::hex(out, &it.hash);
    out.extend_from_slice(b",\"private\":");
    match &it.private {
        Some(private) => {
            private.canonical(scratch);
            out.extend_from_slice(scratch);
        }
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b"}\n");
}

const HEADER: &[u8] = b"seq,id,at,action,severity,status,actor_kind,actor_id,actor_name,ip,user_agent,resource_kind,resource_id,request_id,details,personal_details\r\n";

fn record(it: &Stored<'_>, out: &mut Vec<u8>) {
    let (link, private) = (&it.link, it.private.as_ref());
    json::number(out, link.seq);
    let mut at = Vec::new();
    json::moment(&mut at, link.at);
    let at = String::from_utf8_lossy(&at).trim_matches('"').to_owned();
    for value in [
        Some(link.id),
        Some(at.as_str()),
        Some(link.action),
        Some(link.severity),
        Some(link.status),
        Some(link.actor_kind),
        link.actor_id,
        private.and_then(|it| it.actor),
        private.and_then(|it| it.ip),
        private.and_then(|it| it.user_agent),
        Some(link.resource_kind),
        link.resource_id,
        link.request_id,
        Some(link.details),
        private.map(|it| it.details),
    ] {
        out.push(b',');
        field(value.unwrap_or_default(), out);
    }
    out.extend_from_slice(b"\r\n");
}

/// RFC 4180. What a spreadsheet would take for a formula gets an apostrophe in front.
fn field(value: &str, out: &mut Vec<u8>) {
    let formula = value.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !value.contains(['"', ',', '\n', '\r']) {
        return out.extend_from_slice(value.as_bytes());
    }
    out.push(b'"');
    if formula {
        out.push(b'\'');
    }
    out.extend_from_slice(value.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_is_quoted_where_it_must_be_and_no_formula() {
        let of = |value| {
            let mut out = Vec::new();
            field(value, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(of("plain"), "plain");
        assert_eq!(of("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(of("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\"");
    }
}
