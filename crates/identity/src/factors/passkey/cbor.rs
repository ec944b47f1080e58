//! As much of CBOR (RFC 8949) as authenticators write: definite lengths, no tags, no floating-point numbers. Everything is
//! borrowed from the input, nesting is bounded, and no item costs more memory than the bytes that say so.

/// Maps in an attestation are three deep; certificates of those that are not asked for add one.
const DEPTH: u8 = 8;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Value<'a>>),
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// `true`, `false` or `null`.
    Simple,
}

impl<'a> Value<'a> {
    /// The first item of `input`, and what follows it.
    pub(super) fn first(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut reader = Reader { left: input };
        let value = reader.item(DEPTH)?;
        Some((value, reader.left))
    }

    pub(super) fn entry(&self, key: &Value<'_>) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(super) fn int(&self) -> Option<i64> {
        if let Self::Int(value) = self { Some(*value) } else { None }
    }

    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(value) = self { Some(value) } else { None }
    }
}

struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(count)?;
        self.left = left;
        Some(taken)
    }

    fn item(&mut self, depth: u8) -> Option<Value<'a>> {
        let depth = depth.checked_sub(1)?;
        let first = *self.take(1)?.first()?;
        let (major, info) = (first >> 5, first & 31);
        let argument = match info {
            0..=23 => u64::from(info),
            24 => u64::from(*self.take(1)?.first()?),
            25 => u64::from(u16::from_be_bytes(self.take(2)?.try_into().ok()?)),
            26 => u64::from(u32::from_be_bytes(self.take(4)?.try_into().ok()?)),
            27 => u64::from_be_bytes(self.take(8)?.try_into().ok()?),
            _ => return None,
        };
        // An item takes a byte at least: more of them than bytes are left is a lie.
        let count = usize::try_from(argument).ok();
        let fits = |count: usize| (count <= self.left.len()).then_some(count);
        match major {
            0 => Some(Value::Int(i64::try_from(argument).ok()?)),
            1 => Some(Value::Int(-1 - i64::try_from(argument).ok()?)),
            2 => Some(Value::Bytes(self.take(count?)?)),
            3 => std::str::from_utf8(self.take(count?)?).ok().map(Value::Text),
            4 => (0..fits(count?)?).map(|_| self.item(depth)).collect::<Option<_>>().map(Value::Array),
            5 => (0..fits(count?)?).map(|_| Some((self.item(depth)?, self.item(depth)?))).collect::<Option<_>>().map(Value::Map),
            7 if matches!(first, 0xf4..=0xf6) => Some(Value::Simple),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(hex: &str) -> Option<Value<'static>> {
        let bytes = hex::decode(hex).unwrap().leak();
        Value::first(bytes).filter(|(_, left)| left.is_empty()).map(|(value, _)| value)
    }

    /// Examples of RFC 8949, appendix A.
    #[test]
    fn items_are_read_as_the_standard_writes_them() {
        for (hex, wanted) in [("00", 0), ("17", 23), ("1818", 24), ("1903e8", 1_000), ("1a000f4240", 1_000_000), ("20", -1), ("3863", -100)]
        {
            assert_eq!(read(hex), Some(Value::Int(wanted)), "{hex}");
        }
        assert_eq!(read("4401020304"), Some(Value::Bytes(&[1, 2, 3, 4])));
        assert_eq!(read("62c3bc"), Some(Value::Text("ü")));
        assert_eq!((read("62c3"), read("61c3")), (None, None), "too short, and half a letter");
        assert_eq!(read("6449455446"), Some(Value::Text("IETF")));
        assert_eq!(read("a201020304").and_then(|map| map.entry(&Value::Int(3)).and_then(Value::int)), Some(4));
        assert_eq!(read("8301820203820405").map(|array| matches!(array, Value::Array(items) if items.len() == 3)), Some(true));
        assert_eq!(read("f5"), Some(Value::Simple));
    }

    #[test]
    fn lies_about_lengths_and_endless_nesting_are_refused_without_a_cost() {
        for hex in [
            "9bffffffffffffffff",
            "bbffffffffffffffff",
            "5bffffffffffffffff00",
            "1bffffffffffffffff",
            "9f01ff",
            "fb3ff199999999999a",
            "c000",
            "8201",
            "",
        ] {
            assert_eq!(read(hex), None, "{hex}");
        }
        assert_eq!(read(&"81".repeat(10_000)), None);
        assert!(read(&format!("{}00", "81".repeat(7))).is_some());
    }
}
