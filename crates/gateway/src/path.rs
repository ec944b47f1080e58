//! How a request's path may be read. Routes and their access rules are found by path, and the upstream reads the same bytes
//! by rules of its own: it may decode `%2f`, merge `//`, cut `;v=1` off, turn `\` around. So a path is looked up in every
//! reading, and where two readings lead to different routes, it is refused. The bytes are forwarded as they came.

use std::borrow::Cow;

/// Stand for `%2f` and for a backslash until somebody decides whether they separate; control characters are refused before.
const ENCODED_SLASH: char = '\u{1}';
const BACKSLASH: char = '\u{2}';

/// The path says different things to different readers whatever the routes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPath {
    #[error("it has a percent sign without two hexadecimal digits")]
    BadEscape,
    #[error("it has a control character")]
    Control,
    #[error("it has an overlong encoding")]
    Overlong,
    #[error("it has a segment “.” or “..”")]
    DotSegment,
    #[error("it does not begin with a slash")]
    NoSlash,
}

/// Every reading of a path, the plain one (decoded, otherwise as it stands) first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Readings<'a> {
    pub(crate) plain: Cow<'a, str>,
    pub(crate) others: Vec<String>,
    /// As the most forgiving upstream would read it, see [`fold`]; `None`: as it stands.
    pub(crate) folded: Option<String>,
}

impl<'a> Readings<'a> {
    pub(crate) fn of(raw: &'a str) -> Result<Self, BadPath> {
        if !raw.starts_with('/') {
            return Err(BadPath::NoSlash);
        }
        if is_unambiguous(raw.as_bytes()) {
            let folded = is_foldable(raw).then(|| fold(raw));
            return Ok(Self { plain: Cow::Borrowed(raw), others: Vec::new(), folded });
        }
        let once = decode(raw)?;
        refuse_dot_segments(&once)?;
        let plain = read(&once, Reading { separators: false, merge: false, parameters: true });
        let mut others = Vec::new();
        let mut add = |reading: String| {
            if reading != plain && !others.contains(&reading) {
                others.push(reading);
            }
        };
        for separators in [false, true] {
            for merge in [false, true] {
                for parameters in [false, true] {
                    add(read(&once, Reading { separators, merge, parameters }));
                }
            }
        }
        let mut deepest = once;
        // Some upstreams stand behind another proxy and decode twice.
        if deepest.contains('%')
            && let Ok(twice) = decode(&deepest)
        {
            refuse_dot_segments(&twice)?;
            for separators in [false, true] {
                add(read(&twice, Reading { separators, merge: true, parameters: false }));
            }
            deepest = twice;
        }
        let folded = fold(&read(&deepest, Reading { separators: true, merge: true, parameters: false }));
        Ok(Self { plain: Cow::Owned(plain), others, folded: Some(folded) })
    }
}

/// Nothing in it that two readers could see differently.
fn is_unambiguous(path: &[u8]) -> bool {
    let mut previous = 0;
    for byte in path {
        match byte {
            b'%' | b'\\' | b';' | 0..=b' ' | 0x7f.. => return false,
            b'/' | b'.' if previous == b'/' => return false,
            _ => previous = *byte,
        }
    }
    true
}

/// Some frameworks and file systems take `/Admin` and `/admin.` for `/admin`, and a proxy that decodes and does not encode
/// again makes a query of `/admin%3Fx`: lower case, without dots and spaces at the end of a segment, cut where a query could begin.
pub(crate) fn fold(path: &str) -> String {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let mut folded = String::with_capacity(end);
    for (n, segment) in path[..end].split('/').enumerate() {
        if n > 0 {
            folded.push('/');
        }
        folded.extend(segment.trim_end_matches(['.', ' ']).chars().map(|c| c.to_ascii_lowercase()));
    }
    folded
}

/// Would [`fold`] change an unambiguous path?
fn is_foldable(path: &str) -> bool {
    path.ends_with('.') || path.bytes().any(|b| b.is_ascii_uppercase()) || path.contains("./")
}

fn decode(path: &str) -> Result<String, BadPath> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let (byte, encoded) = match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2).ok_or(BadPath::BadEscape)?;
                rest = after;
                (hex(digits[0])? << 4 | hex(digits[1])?, true)
            }
            plain => (*plain, false),
        };
        match byte {
            // Decoding what was decoded before meets the marks again.
            1 | 2 if !encoded => bytes.push(byte),
            0..=0x1f | 0x7f => return Err(BadPath::Control),
            b'/' if encoded => bytes.push(ENCODED_SLASH as u8),
            b'\\' => bytes.push(BACKSLASH as u8),
            _ => bytes.push(byte),
        }
    }
    let overlong = bytes.windows(2).any(|pair| matches!(pair, [0xc0 | 0xc1, 0x80..=0xbf] | [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f]));
    if overlong {
        return Err(BadPath::Overlong);
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(err) => String::from_utf8_lossy(err.as_bytes()).into_owned(),
    })
}

fn hex(digit: u8) -> Result<u8, BadPath> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(BadPath::BadEscape),
    }
}

/// Clients resolve dot segments before they send; whoever sends one wants it resolved by somebody else.
fn refuse_dot_segments(path: &str) -> Result<(), BadPath> {
    let dots = path.split(['/', ENCODED_SLASH, BACKSLASH]).any(|segment| matches!(segment.split(';').next(), Some("." | "..")));
    if dots { Err(BadPath::DotSegment) } else { Ok(()) }
}

#[derive(Clone, Copy)]
struct Reading {
    /// `%2f` and backslashes separate segments.
    separators: bool,
    /// Several slashes are one.
    merge: bool,
    /// `;v=1` belongs to the segment.
    parameters: bool,
}

fn read(path: &str, how: Reading) -> String {
    let mut out = String::with_capacity(path.len() + 8);
    let mut in_parameter = false;
    for c in path.chars() {
        let c = match c {
            ENCODED_SLASH | BACKSLASH if how.separators => '/',
            c => c,
        };
        match c {
            '/' => {
                in_parameter = false;
                if !(how.merge && out.ends_with('/')) {
                    out.push('/');
                }
            }
            _ if in_parameter => {}
            ';' if !how.parameters => in_parameter = true,
            ENCODED_SLASH => out.push_str("%2f"),
            BACKSLASH => out.push('\\'),
            c => out.push(c),
        }
    }
    out
}

/// The part of `raw` behind its first `segments` segments, with its slash; `""` when there is nothing behind them.
pub(crate) fn behind(raw: &str, segments: usize) -> &str {
    let mut at = 0;
    for _ in 0..segments {
        match raw.get(at + 1..).and_then(|rest| rest.find('/')) {
            Some(slash) => at += 1 + slash,
            None => return "",
        }
    }
    &raw[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(raw: &str) -> Result<Vec<String>, BadPath> {
        Readings::of(raw).map(|readings| std::iter::once(readings.plain.into_owned()).chain(readings.others).collect())
    }

    #[test]
    fn an_ordinary_path_has_one_reading_and_costs_no_allocation() {
        for path in ["/", "/shop/cart", "/a.b/c-d_e~f", "/x..y/z.", "/a,b=c:d@e!$&'()*+"] {
            let Ok(Readings { plain, others, .. }) = Readings::of(path) else { panic!("{path}") };
            assert!(matches!(plain, Cow::Borrowed(same) if same == path) && others.is_empty(), "{path}");
        }
        assert_eq!(readings("/caf%C3%A9/%61"), Ok(vec!["/café/a".into()]));
    }

    #[test]
    fn dot_segments_in_any_spelling_are_refused() {
        for path in [
            "/..",
            "/a/../b",
            "/a/./b",
            "/%2e%2e/b",
            "/a/.%2E/b",
            "/a%2f..%2fb",
            "/a\\..\\b",
            "/a%5c..%5Cb",
            "/..;/b",
            "/a/..;x=1/b",
            "/%252e%252e/b",
            "/a%252f..%252fb",
            "/..%3bx/b",
        ] {
            assert_eq!(readings(path), Err(BadPath::DotSegment), "{path}");
        }
    }

    #[test]
    fn what_nobody_can_read_is_refused() {
        assert_eq!(readings("/%"), Err(BadPath::BadEscape));
        assert_eq!(readings("/%2"), Err(BadPath::BadEscape));
        assert_eq!(readings("/%zz"), Err(BadPath::BadEscape));
        assert_eq!(readings("/%u002e"), Err(BadPath::BadEscape));
        for control in ["/%00", "/a%0d%0ab", "/%7f", "/%01"] {
            assert_eq!(readings(control), Err(BadPath::Control), "{control}");
        }
        assert_eq!(readings("/%c0%ae%c0%ae/x"), Err(BadPath::Overlong));
        assert_eq!(readings("*"), Err(BadPath::NoSlash));
    }

    #[test]
    fn every_reading_of_a_doubtful_path_is_listed() {
        let of = |path| readings(path).unwrap();
        assert!(of("//admin").contains(&"/admin".into()));
        assert!(of("/x%2fadmin").contains(&"/x/admin".into()) && of("/x%2fadmin")[0] == "/x%2fadmin");
        assert!(of("/x\\admin").contains(&"/x/admin".into()));
        assert!(of("/admin;v=1/x").contains(&"/admin/x".into()) && of("/admin;v=1/x")[0] == "/admin;v=1/x");
        assert!(of("/x%252fadmin").contains(&"/x/admin".into()));
        assert!(of("/%2561dmin").contains(&"/admin".into()));
    }

    #[test]
    fn a_prefix_is_stripped_by_segments_whatever_their_spelling() {
        assert_eq!(behind("/shop/cart/1", 1), "/cart/1");
        assert_eq!(behind("/%73hop/cart", 1), "/cart");
        assert_eq!(behind("/shop", 1), "");
        assert_eq!(behind("/shop/", 1), "/");
        assert_eq!(behind("/a/b/c", 2), "/c");
        assert_eq!(behind("/a/b", 0), "/a/b");
    }
}
