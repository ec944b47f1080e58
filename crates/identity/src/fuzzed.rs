//! Every parser of this crate that anybody can reach without having signed in, with what has to hold whatever they send:
//! for a bounded search in the tests.

use std::hint::black_box;

use baluarte_kernel::{Cursor, Secret, Timestamp, UserId};
use baluarte_secrets::Secrets;
use baluarte_web::ReturnTo;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    Email, Name, Reason, Role,
    factors::{RecoveryCode, Seed, passkey::fuzzed as passkeys},
    throttle,
    token::{Issuer, RefreshToken},
};

/// Name, what to begin with, and the check.
pub type Target = (&'static str, &'static [&'static [u8]], fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 7] = [
    ("identity_names", NAMES, names),
    ("identity_tokens", TOKENS, tokens),
    ("identity_codes", CODES, codes),
    ("identity_cbor", CBOR, passkeys::cbor),
    ("identity_passkeys", PASSKEYS, passkeys::credentials),
    ("identity_cookies", COOKIES, cookies),
    ("identity_addresses", ADDRESSES, addresses),
];

const NAMES: &[&[u8]] = &[
    b"zoe@example.com",
    "Jos\u{e9} \u{d1}and\u{fa}".as_bytes(),
    b"shop-staff_2",
    b"a@b.c\r\nBcc: x@y.z",
    "x\u{202e}@example.com".as_bytes(),
];
const TOKENS: &[&[u8]] = &[
    b"blr_AAECAwQFBgcICQoLDA0ODwAAAAAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHw",
    b"eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6ImsifQ.eyJzdWIiOiJ1c3JfMSJ9.c2ln",
    b"eyJhbGciOiJub25lIn0.e30.",
    b"dXNyXzE",
];
const CODES: &[&[u8]] = &[b"482913", b" 482 913 ", b"ABCD-EFGH-JKLM", "\u{0664}\u{0668}\u{0662}".as_bytes()];
const CBOR: &[&[u8]] = &[
    b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x41\x00",
    b"\xa5\x01\x02\x03\x26\x20\x01\x21\x41\x00\x22\x41\x00",
    b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x81\x81\x81\x81\x81\x81\x81\x81\x81\x00",
];
const PASSKEYS: &[&[u8]] = &[
    br#"{"id":"AA","response":{"clientDataJSON":"e30","authenticatorData":"AAAA","signature":"AA","userHandle":null}}"#,
    br#"{"response":{"clientDataJSON":"e30","attestationObject":"o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YUEA","transports":["usb"]}}"#,
];
const COOKIES: &[&[u8]] = &[b"a=b; __Host-baluarte=value; c", b"__Host-baluarte=; __Host-baluarte=x", b"=;=;;"];
const ADDRESSES: &[&[u8]] = &[b"203.0.113.7", b"2001:db8::1", b"::ffff:192.0.2.1", b"/shop/cart?x=1", b"//evil.example", b"/\\evil"];

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn names(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(email) = text.parse::<Email>() {
        let one = email.as_str();
        assert!(one.len() <= 254 && one.matches('@').count() == 1 && !one.chars().any(|c| c.is_control() || c.is_whitespace()), "{one:?}");
        assert_eq!(one.parse().as_ref(), Ok(&email), "an address has one spelling");
    }
    if let Ok(name) = text.parse::<Name>() {
        assert!(
            !name.as_str().is_empty() && name.as_str().chars().count() <= Name::MAX_CHARS && !name.as_str().chars().any(char::is_control)
        );
    }
    if let Ok(reason) = text.parse::<Reason>() {
        assert!(!reason.as_str().contains(['\r', '\n']));
    }
    if let Ok(role) = text.parse::<Role>() {
        assert_eq!(role.as_str(), text);
    }
}

fn tokens(bytes: &[u8]) {
    let text = text(bytes);
    // Of those that have the form, none is one of ours by chance.
    if let Some(token) = RefreshToken::parse(text) {
        assert!(!token.matches(&secrets(), &crate::token::RefreshSalt::from_stored("salt".to_owned())));
    }
    black_box(Issuer::key_id(text));
    if let Ok(cursor) = text.parse::<Cursor>() {
        black_box(cursor.key().parse::<UserId>().is_ok());
    }
    black_box(text.parse::<UserId>().is_ok());
}

fn codes(bytes: &[u8]) {
    let text = text(bytes);
    let seed = Seed::generate();
    if let Some(step) = seed.step_of(text, Timestamp::from_unix_seconds(1_800_000_000)) {
        assert!((59_999_999..=60_000_001).contains(&step), "{step}");
    }
    assert_eq!(RecoveryCode::hash(&secrets(), "usr_1", text), RecoveryCode::hash(&secrets(), "usr_1", text));
}

fn cookies(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let headers = HeaderMap::from_iter([(header::COOKIE, value)]);
    if let Some(found) = baluarte_web::cookie(&headers, "__Host-baluarte") {
        assert!(!found.contains(';'), "{found:?} is more than one");
    }
}

fn addresses(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(ip) = text.parse() {
        let network = throttle::network(Some(ip));
        assert!(network.contains('/'), "{network}");
    }
    if let Some(path) = ReturnTo::parse(text) {
        let path = path.as_str();
        assert!(
            path.starts_with('/') && !path.starts_with("//") && !path.contains('\\') && !path.chars().any(char::is_control),
            "{path:?}"
        );
    }
}

fn secrets() -> Secrets {
    Secrets::new(&Secret::new("a secret key for tests, longer than 32 bytes"), &Secret::new("salt"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_strangers_send_is_read_or_refused_and_never_breaks_anything() {
        for (name, seeds, check) in super::TARGETS {
            let started = std::thread::Builder::new().name(name.to_owned());
            started.spawn(move || baluarte_testkit::mutated(seeds, 5_000, check)).unwrap().join().unwrap();
        }
    }
}
