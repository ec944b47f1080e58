//! Lists in pages: `?limit=&cursor=` in, `{"items": […], "next_cursor": …}` out.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// One page of a list and where the next one begins.
#[derive(Debug, Clone, Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<Cursor>,
}

impl<T> Page<T> {
    /// From one row more than was asked for: the surplus row proves that there is a next page.
    pub fn from_surplus(mut rows: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(|row| Cursor(key(row))) } else { None };
        Self { items: rows, next_cursor }
    }

    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), next_cursor: self.next_cursor }
    }
}

/// The sort key of the last row seen, opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    pub fn of(key: String) -> Self {
        Self(key)
    }

    pub fn key(&self) -> &str {
        &self.0
    }
}

/// The cursor is not one that we gave out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown cursor; take next_cursor from the previous page")]
pub struct BadCursor;

impl std::str::FromStr for Cursor {
    type Err = BadCursor;
    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        // No key of ours holds a NUL, and PostgreSQL takes none.
        String::from_utf8(bytes).ok().filter(|key| !key.contains('\0')).map(Self).ok_or(BadCursor)
    }
}
impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}
impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a client asks of a list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PageQuery {
    pub limit: Option<u32>,
    pub cursor: Option<Cursor>,
}

impl PageQuery {
    pub const MAX: u32 = 200;

    /// Rows to return: 50 unless told, never more than [`Self::MAX`].
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(50).clamp(1, Self::MAX) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surplus_row_becomes_a_cursor_and_is_not_shown() {
        let page = Page::from_surplus(vec![3, 2, 1], 2, i32::to_string);
        assert_eq!(page.items, [3, 2]);
        assert_eq!(page.next_cursor.as_ref().map(Cursor::key), Some("2"));
        assert!(Page::from_surplus(vec![3, 2], 2, i32::to_string).next_cursor.is_none());
    }

    #[test]
    fn a_cursor_that_nobody_gave_out_is_refused_before_a_database_sees_it() {
        assert_eq!("YQ".parse::<Cursor>().as_ref().map(Cursor::key), Ok("a"));
        for made_up in ["a", "YQ==", "%00", "AA", "YQBi", "_w"] {
            assert_eq!(made_up.parse::<Cursor>(), Err(BadCursor), "{made_up}");
        }
    }
}
