//! Where to go after signing in: a path of our own, nothing else.

use std::fmt;

/// A path on this origin that is safe to redirect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    const MAX_LEN: usize = 2_048;

    /// `None` unless every browser resolves `text` to a path of this origin: it begins with one slash, and has no
    /// backslash, control character, space or dot segment.
    pub fn parse(text: &str) -> Option<Self> {
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let sound = text.len() <= Self::MAX_LEN
            && text.starts_with('/')
            && !path.starts_with("//")
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && !path.split('/').any(is_dot_segment);
        sound.then(|| Self(text.to_owned()))
    }

    /// A path that the program itself names.
    pub fn fixed(path: &'static str) -> Self {
        Self(path.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `.` and `..`, also in the spellings that URL parsers read as dots.
fn is_dot_segment(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_our_own_is_kept_as_it_is() {
        for path in ["/", "/shop", "/shop/cart?item=1&next=https://other.example/#top", "/a//b", "/%2F", "/caf%C3%A9"] {
            assert_eq!(ReturnTo::parse(path).as_ref().map(ReturnTo::as_str), Some(path));
        }
    }

    #[test]
    fn whatever_could_lead_elsewhere_is_dropped() {
        for trick in [
            "",
            "shop",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            "https://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/a\r\nSet-Cookie: x=y",
            "/.//evil.example",
            "/..//evil.example",
            "/%2e%2E//evil.example",
            "/é",
            "/\u{202e}evil",
            "/a b",
            "/\0",
        ] {
            assert_eq!(ReturnTo::parse(trick), None, "{trick:?}");
        }
        assert_eq!(ReturnTo::parse(&format!("/{}", "a".repeat(3_000))), None);
    }
}
