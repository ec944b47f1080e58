//! A page as PostgreSQL copies it out: rows of values, each behind its length.

use super::{COLUMNS, Stored, Unreadable, put_together};
use crate::link::Hash;

/// Written before the rows: a signature, flags and the length of nothing.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Values of a row.
const VALUES: usize = 22;

/// The statement for links from `first` to `last`.
pub(super) fn query(first: i64, last: i64) -> String {
    format!("SELECT {COLUMNS} FROM audit_entries WHERE seq >= {first} AND seq <= {last} ORDER BY seq")
}

pub(super) struct Rows<'a>(&'a [u8]);

impl<'a> Rows<'a> {
    pub(super) fn of(page: &'a [u8]) -> Result<Self, Unreadable> {
        page.strip_prefix(HEAD).map(Self).ok_or(Unreadable)
    }

    /// `None` behind the last row.
    pub(super) fn next(&mut self) -> Result<Option<Stored<'a>>, Unreadable> {
        match i16::from_be_bytes(self.array()?) {
            -1 => return Ok(None),
            count if usize::try_from(count) == Ok(VALUES) => {}
            _ => return Err(Unreadable),
        }
        let mut values = [None; VALUES];
        for value in &mut values {
            *value = self.value()?;
        }
        let number = |at: usize| values[at].map(|it: &[u8]| it.try_into().map(i64::from_be_bytes).map_err(|_| Unreadable)).transpose();
        let optional = |at: usize| values[at].map(|it| std::str::from_utf8(it).map_err(|_| Unreadable)).transpose();
        let hash = |at: usize| values[at].map(|it| Hash::try_from(it).map_err(|_| Unreadable)).transpose();
        put_together(number, optional, hash).map(Some)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*head)
    }

    fn value(&mut self) -> Result<Option<&'a [u8]>, Unreadable> {
        let length = i32::from_be_bytes(self.array()?);
        if length == -1 {
            return Ok(None);
        }
        let (value, rest) = usize::try_from(length).ok().and_then(|length| self.0.split_at_checked(length)).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(Some(value))
    }
}
