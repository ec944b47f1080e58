//! JSON as RFC 8785 wants it (sorted names, no blanks, one spelling of everything), for the little that entries need of it:
//! names in ASCII, text, whole numbers, booleans, lists.

/// Appends a JSON string: only what must be escaped is, in the one way that RFC 8785 knows.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let mut done = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            0x08 => b"\\b",
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            0x0c => b"\\f",
            b'\r' => b"\\r",
            0..0x20 => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(&bytes[done..at]);
                let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
                done = at + 1;
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(&bytes[done..at]);
        out.extend_from_slice(escaped);
        done = at + 1;
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

/// Nothing in it has to be escaped. Written so that the compiler looks at sixteen bytes at once: nearly every text is plain, and checking a chain
/// spends as much time here as on hashing otherwise.
fn is_plain(bytes: &[u8]) -> bool {
    let special = |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    let any = |bytes: &[u8]| bytes.iter().fold(0, |any, byte| any | special(*byte));
    let (pieces, rest) = bytes.as_chunks::<16>();
    pieces.iter().all(|piece| any(piece) == 0) && any(rest) == 0
}

/// The text, or `null`.
pub(crate) fn optional(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => text(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

pub(crate) fn number(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Bytes as text: lower-case hexadecimal.
pub(crate) fn hex<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N]) {
    let at = out.len() + 1;
    out.resize(at + 2 * N + 1, b'"');
    out[at - 1] = b'"';
    hex::encode_to_slice(bytes, &mut out[at..at + 2 * N]).expect("there are two digits for each byte");
}

/// A moment, `2026-11-22T03:15:57.000000Z`: always six digits after the point, so that there is one spelling.
pub(crate) fn moment(out: &mut Vec<u8>, micros: i64) {
    let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let (year, month, day) = civil(days);
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    out.push(b'"');
    for (value, digits, after) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (seconds / 3600, 2, b':'),
        (seconds / 60 % 60, 2, b':'),
        (seconds % 60, 2, b'.'),
        (micros, 6, b'Z'),
    ] {
        padded(out, value, digits);
        out.push(after);
    }
    out.push(b'"');
}

fn padded(out: &mut Vec<u8>, mut value: i64, digits: usize) {
    let at = out.len();
    out.resize(at + digits, b'0');
    for place in out[at..].iter_mut().rev() {
        *place = b'0' + u8::try_from(value.rem_euclid(10)).unwrap_or(0);
        value /= 10;
    }
}

/// Year, month, day of a day counted from 1970-01-01 (the proleptic Gregorian calendar, from 400-year eras that begin in March).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::Timestamp;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_is_escaped_as_every_json_library_escapes_it() {
        let every: String = (0..0x80_u8).map(char::from).chain("ñ漢🦀\u{2028}".chars()).collect();
        assert_eq!(written(|out| text(out, &every)), serde_json::to_string(&every).unwrap());
    }

    #[test]
    fn a_moment_has_one_spelling() {
        for micros in
            [0, 1, 951_782_399_999_999, 951_782_400_000_000, 1_795_317_357_120_000, 4_107_542_400_000_001, 253_402_300_799_999_999]
        {
            let at: Timestamp = serde_json::from_str(&written(|out| moment(out, micros))).unwrap();
            assert_eq!(at.micros(), micros);
        }
        assert_eq!(written(|out| moment(out, 951_782_400_000_000)), "\"2000-02-29T00:00:00.000000Z\"");
    }

    #[test]
    fn bytes_are_lower_case_hexadecimal() {
        assert_eq!(written(|out| hex(out, &[0x00, 0xAB, 0xff])), "\"00abff\"");
    }
}
