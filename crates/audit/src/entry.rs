//! What a component says when something happened.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use baluarte_kernel::{Actor, Id, Kind, SessionId, Timestamp, UserId};

use crate::{Action, Severity, Status, json};

/// Longest text of one detail; the rest is cut off and `…` says so.
const TEXT: usize = 512;
/// Details in one entry at most; what is beyond is left out and counted under `left_out`.
const DETAILS: usize = 24;

/// One thing that happened, without who and when: that is in the context it is recorded with.
#[derive(Debug, Clone)]
#[must_use = "an entry is kept by Audit::record"]
pub struct Entry {
    pub(crate) action: &'static Action,
    pub(crate) severity: Severity,
    pub(crate) status: Status,
    pub(crate) actor: Option<Person>,
    pub(crate) resource_kind: &'static str,
    pub(crate) resource_id: Option<String>,
    pub(crate) batch: bool,
    pub(crate) details: Details,
    pub(crate) personal: Details,
}

impl Entry {
    /// It happened. `kind` says what it happened to: `user`, `session`, `configuration`.
    pub fn new(action: &'static Action, kind: &'static str) -> Self {
        Self {
            action,
            severity: action.severity,
            status: Status::Success,
            actor: None,
            resource_kind: kind,
            resource_id: None,
            batch: false,
            details: Details::default(),
            personal: Details::default(),
        }
    }

    /// Which one it happened to; `None` where nobody can tell.
    pub fn of(mut self, id: impl Detail) -> Self {
        let mut text = Vec::new();
        id.write(&mut text);
        self.resource_id = match text.as_slice() {
            b"null" => None,
            // A text comes in quotes, a number does not.
            _ => serde_json::from_slice::<String>(&text).ok().or_else(|| String::from_utf8(text).ok()),
        };
        self
    }

    /// It was refused, or went wrong. Mind that a failure needs a transaction that is committed all the same.
    pub fn failure(mut self) -> Self {
        self.status = Status::Failure;
        self
    }

    /// Where one occasion weighs more than the action usually does.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Who did it, where the context does not know yet: somebody signing in, or holding a link from a mail. `name`: what
    /// people know them by, such as their address.
    pub fn by(mut self, user: UserId, session: Option<SessionId>, name: &str) -> Self {
        self.actor = Some(Person { user, session, name: shortened(name) });
        self
    }

    /// More about it. `name`: lower-case ASCII. Nothing secret and nothing personal: see [`Detail`] and [`Entry::personal`].
    pub fn detail(mut self, name: &'static str, value: impl Detail) -> Self {
        self.details.add(name, &value);
        self
    }

    /// The same for what belongs to a person (an address, a name): shown with the entry, and erased with the person,
    /// without breaking the chain.
    pub fn personal(mut self, name: &'static str, value: impl Detail) -> Self {
        self.personal.add(name, &value);
        self
    }

    /// This link stands for many things kept elsewhere, of which the details hold the Merkle root.
    pub fn batch(mut self) -> Self {
        self.batch = true;
        self
    }
}

/// Somebody with an account.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) session: Option<SessionId>,
    pub(crate) name: String,
}

impl Person {
    /// Whoever is signed in.
    pub(crate) fn of(actor: &Actor) -> Option<Self> {
        match actor {
            Actor::User(user) => Some(Self { user: user.user_id, session: user.session_id, name: shortened(&user.email) }),
            Actor::Operator | Actor::System | Actor::Anonymous => None,
        }
    }
}

/// Names and values, as RFC 8785 has them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    values: BTreeMap<&'static str, Vec<u8>>,
    left_out: i64,
}

impl Details {
    fn add(&mut self, name: &'static str, value: &impl Detail) {
        debug_assert!(is_name(name), "{name} is not a name: lower-case ASCII letters, digits and _");
        if self.values.len() >= DETAILS {
            self.left_out += 1;
            return;
        }
        let mut text = Vec::new();
        value.write(&mut text);
        self.values.insert(name, text);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(crate) fn into_json(mut self) -> String {
        if self.left_out > 0 {
            self.values.insert("left_out", self.left_out.to_string().into_bytes());
        }
        let mut out = vec![b'{'];
        for (name, value) in &self.values {
            if out.len() > 1 {
                out.push(b',');
            }
            json::text(&mut out, name);
            out.push(b':');
            out.extend_from_slice(value);
        }
        out.push(b'}');
        String::from_utf8(out).expect("JSON made of text is text")
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// What may stand in an entry: identifiers, numbers, times, words of the program. Text that comes from outside says so by
/// being [`Shown`]; a [`Secret`](baluarte_kernel::Secret) cannot be put in at all.
///
/// ```compile_fail
/// baluarte_audit::actions! { SIGNED_IN = "test.session.begun", Info, "Somebody signed in."; }
/// let password = baluarte_kernel::Secret::new("hunter2");
/// let _ = baluarte_audit::Entry::new(&SIGNED_IN, "session").detail("password", password);
/// ```
/// Nor can any text that was made while the program runs, unless somebody decided that it may be shown:
/// ```compile_fail
/// baluarte_audit::actions! { SIGNED_IN = "test.session.begun", Info, "Somebody signed in."; }
/// let password = String::from("hunter2");
/// let _ = baluarte_audit::Entry::new(&SIGNED_IN, "session").detail("password", password);
/// ```
pub trait Detail {
    #[doc(hidden)]
    fn write(&self, out: &mut Vec<u8>);
}

/// Text from outside that every administrator may read: cut at 512 bytes, without control characters.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a str);

impl Detail for Shown<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        json::text(out, &shortened(self.0));
    }
}

/// Readable and of bounded length. PostgreSQL stores no NUL, and a log line is one line.
pub(crate) fn shortened(text: &str) -> String {
    let mut kept: String = text.chars().filter(|c| !c.is_control()).collect();
    if kept.len() > TEXT {
        let end = (0..=TEXT - '…'.len_utf8()).rev().find(|at| kept.is_char_boundary(*at)).unwrap_or(0);
        kept.truncate(end);
        kept.push('…');
    }
    kept
}

impl Detail for &'static str {
    fn write(&self, out: &mut Vec<u8>) {
        json::text(out, self);
    }
}

impl Detail for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

macro_rules! whole_numbers {
    ($($number:ty)+) => {$(
        impl Detail for $number {
            /// Beyond 2^53 as text: not every reader of JSON has larger numbers.
            fn write(&self, out: &mut Vec<u8>) {
                match i64::try_from(*self) {
                    Ok(number) if number.unsigned_abs() <= 1 << 53 => json::number(out, number),
                    _ => json::text(out, &self.to_string()),
                }
            }
        }
    )+};
}
whole_numbers!(i32 i64 u8 u16 u32 u64 usize);

impl Detail for Timestamp {
    fn write(&self, out: &mut Vec<u8>) {
        json::moment(out, self.micros());
    }
}

/// In milliseconds.
impl Detail for Duration {
    fn write(&self, out: &mut Vec<u8>) {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX).write(out);
    }
}

impl Detail for IpAddr {
    fn write(&self, out: &mut Vec<u8>) {
        json::text(out, &self.to_string());
    }
}

/// A digest, such as the root of a batch.
impl Detail for [u8; 32] {
    fn write(&self, out: &mut Vec<u8>) {
        json::hex(out, self);
    }
}

impl<K: Kind> Detail for Id<K> {
    fn write(&self, out: &mut Vec<u8>) {
        json::text(out, &self.to_string());
    }
}

impl<T: Detail> Detail for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

/// The first 32; the rest is counted by nobody, so say the number in a detail of its own where it matters.
impl<T: Detail> Detail for &[T] {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (at, value) in self.iter().take(32).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            value.write(out);
        }
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TRIED: Action = Action { name: "test.thing.tried", severity: Severity::Info, meaning: "A thing was tried." };

    #[test]
    fn details_are_sorted_and_have_one_spelling() {
        let entry = Entry::new(&TRIED, "thing")
            .detail("zeal", true)
            .detail("after", Shown("a\nb\u{0}\"c\""))
            .detail("none", None::<u32>)
            .detail("many", u64::MAX)
            .detail("list", &["a", "b"][..]);
        assert_eq!(
            entry.details.into_json(),
            r#"{"after":"ab\"c\"","list":["a","b"],"many":"18446744073709551615","none":null,"zeal":true}"#
        );
    }

    #[test]
    fn text_is_cut_between_characters() {
        let long = "ñ".repeat(400);
        let kept = shortened(&long);
        assert!(kept.len() <= TEXT && kept.ends_with("ñ…"), "{}", kept.len());
        assert_eq!(shortened(&"x".repeat(TEXT)), "x".repeat(TEXT));
    }

    #[test]
    fn an_entry_has_a_bounded_number_of_details() {
        const NAMES: [&str; 26] = [
            "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y",
            "z",
        ];
        let entry = NAMES.iter().fold(Entry::new(&TRIED, "thing"), |entry, name| entry.detail(name, 1_u8));
        let json = entry.details.into_json();
        assert!(json.contains(r#""left_out":2"#) && !json.contains("\"y\""), "{json}");
    }

    #[test]
    fn a_resource_is_named_by_its_bare_identifier() {
        assert_eq!(Entry::new(&TRIED, "thing").of(Shown("x\"y")).resource_id.as_deref(), Some("x\"y"));
        assert_eq!(Entry::new(&TRIED, "thing").of(7_u32).resource_id.as_deref(), Some("7"));
        assert_eq!(Entry::new(&TRIED, "thing").of(None::<u32>).resource_id, None);
    }
}
