//! Password hashes that other programs made: bcrypt, and those of Django, werkzeug and passlib. Verified only; whoever signs in with one gets
//! one of ours instead.

use std::{collections::BTreeMap, fmt, num::NonZeroU32, str::FromStr};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::pbkdf2;
use base64::{Engine as _, alphabet, engine::DecodePaddingMode, engine::GeneralPurpose, engine::GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What stands before such a hash in the database.
const MARK: &str = "imported:";

/// With or without padding, as each program likes it.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

const MOST_BYTES: usize = 512;
const MOST_ITERATIONS: u32 = 2_000_000;
const MOST_BCRYPT: u32 = 14;
/// Of scrypt and Argon2, while one password is verified.
const MOST_MEMORY: u64 = 128 << 20;
/// Of scrypt: N times r times p. Four times the strongest default there is.
const MOST_SCRYPT: u64 = 4 * (1 << 15) * 8 * 3;
/// Of Argon2: KiB times passes. Twice the strongest default there is.
const MOST_ARGON2: u64 = 2 * 102_400 * 3;

/// Why a hash cannot be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadImport {
    #[error("none of the known forms of a password hash (bcrypt, Django, werkzeug, passlib)")]
    Unknown,
    #[error("the password hash is damaged")]
    Damaged,
    #[error("the password hash asks for more work or memory than is given to one")]
    TooCostly,
}

/// What is paid for a hash, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Pbkdf2Sha1,
    Pbkdf2Sha256,
    Pbkdf2Sha512,
    Bcrypt,
    Scrypt,
    Argon2,
}

/// How much work a hash is: iterations, or what stands for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) family: Family,
    pub(crate) units: u64,
}

const FAMILIES: [(Family, &str); 6] = [
    (Family::Pbkdf2Sha1, "pbkdf2-sha1"),
    (Family::Pbkdf2Sha256, "pbkdf2-sha256"),
    (Family::Pbkdf2Sha512, "pbkdf2-sha512"),
    (Family::Bcrypt, "bcrypt"),
    (Family::Scrypt, "scrypt"),
    (Family::Argon2, "argon2"),
];

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FAMILIES.iter().find(|(family, _)| *family == self.family).map_or("", |(_, name)| name);
        write!(f, "{name}:{}", self.units)
    }
}

impl FromStr for Work {
    type Err = BadImport;
    fn from_str(text: &str) -> Result<Self, BadImport> {
        let (name, units) = text.split_once(':').ok_or(BadImport::Damaged)?;
        let (family, _) = FAMILIES.iter().find(|(_, known)| *known == name).ok_or(BadImport::Unknown)?;
        Ok(Self { family: *family, units: units.parse().map_err(|_| BadImport::Damaged)? })
    }
}

/// A hash that another program made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Imported {
    /// As it came.
    text: String,
    scheme: Scheme,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Scheme {
    Pbkdf2 { family: Family, iterations: NonZeroU32, salt: Vec<u8>, tag: Vec<u8> },
    Bcrypt { cost: u32, text: String, before: Before },
    Scrypt { log_n: u8, r: u32, p: u32, salt: Vec<u8>, tag: Vec<u8> },
    Argon2 { algorithm: Algorithm, memory_kib: u32, passes: u32, lanes: u32, salt: Vec<u8>, tag: Vec<u8> },
}

/// What is done to a password before bcrypt, which reads 72 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Before {
    Nothing,
    /// Django: SHA-256 in hexadecimal.
    Sha256,
    /// passlib: HMAC-SHA-256 under the salt's text, in base64.
    Hmac(String),
}

impl Imported {
    /// As the column holds it.
    pub(crate) fn stored(&self) -> String {
        format!("{MARK}{}", self.text)
    }

    pub(crate) fn work(&self) -> Work {
        let (family, units) = match &self.scheme {
            Scheme::Pbkdf2 { family, iterations, .. } => (*family, u64::from(iterations.get())),
            Scheme::Bcrypt { cost, .. } => (Family::Bcrypt, 1 << cost),
            Scheme::Scrypt { log_n, r, p, .. } => (Family::Scrypt, (1_u64 << log_n) * u64::from(*r) * u64::from(*p)),
            Scheme::Argon2 { memory_kib, passes, .. } => (Family::Argon2, u64::from(*memory_kib) * u64::from(*passes)),
        };
        Work { family, units }
    }

    /// Constant time in what is compared.
    pub(super) fn matches(&self, password: &str) -> bool {
        let password = password.as_bytes();
        match &self.scheme {
            Scheme::Pbkdf2 { family, iterations, salt, tag } => {
                pbkdf2::verify(algorithm(*family), *iterations, salt, password, tag).is_ok()
            }
            Scheme::Bcrypt { text, before, .. } => {
                let prepared = match before {
                    Before::Nothing => password.to_vec(),
                    Before::Sha256 => hex::encode(Sha256::digest(password)).into_bytes(),
                    Before::Hmac(key) => match Hmac::<Sha256>::new_from_slice(key.as_bytes()) {
                        Ok(mac) => {
                            base64::engine::general_purpose::STANDARD.encode(mac.chain_update(password).finalize().into_bytes()).into()
                        }
                        Err(_) => return false,
                    },
                };
                bcrypt::verify(prepared, text).unwrap_or(false)
            }
            Scheme::Scrypt { log_n, r, p, salt, tag } => {
                let mut found = vec![0; tag.len()];
                let made =
                    scrypt::Params::new(*log_n, *r, *p).is_ok_and(|params| scrypt::scrypt(password, salt, &params, &mut found).is_ok());
                made && bool::from(found.ct_eq(tag))
            }
            Scheme::Argon2 { algorithm, memory_kib, passes, lanes, salt, tag } => {
                let mut found = vec![0; tag.len()];
                let made = Params::new(*memory_kib, *passes, *lanes, Some(tag.len())).is_ok_and(|params| {
                    Argon2::new(*algorithm, Version::V0x13, params).hash_password_into(password, salt, &mut found).is_ok()
                });
                made && bool::from(found.ct_eq(tag))
            }
        }
    }
}

/// Of what the database holds: the hash, when another program made it.
pub(super) fn stored(text: &str) -> Option<Imported> {
    text.strip_prefix(MARK)?.parse().ok()
}

fn algorithm(family: Family) -> pbkdf2::Algorithm {
    match family {
        Family::Pbkdf2Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        Family::Pbkdf2Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => pbkdf2::PBKDF2_HMAC_SHA256,
    }
}

impl FromStr for Imported {
    type Err = BadImport;
    fn from_str(text: &str) -> Result<Self, BadImport> {
        if text.len() > MOST_BYTES || !text.is_ascii() {
            return Err(BadImport::Damaged);
        }
        let scheme = match text.split_once('$').ok_or(BadImport::Unknown)? {
            // `$2b$…`, `$argon2id$…`, `$pbkdf2-sha256$…`, `$bcrypt-sha256$…`
            ("", rest) => modular(text, rest)?,
            ("argon2", rest) => argon2(rest.strip_prefix("argon2").ok_or(BadImport::Damaged)?)?,
            ("bcrypt", rest) => bcrypt_of(rest, Before::Nothing)?,
            ("bcrypt_sha256", rest) => bcrypt_of(rest, Before::Sha256)?,
            ("pbkdf2_sha256", rest) => django_pbkdf2(Family::Pbkdf2Sha256, rest)?,
            ("pbkdf2_sha1", rest) => django_pbkdf2(Family::Pbkdf2Sha1, rest)?,
            // N$salt$r$p$tag
            ("scrypt", rest) => match rest.split('$').collect::<Vec<_>>()[..] {
                [n, salt, r, p, tag] => scrypt_of([n, r, p], salt, &BASE64.decode(tag).map_err(|_| BadImport::Damaged)?)?,
                _ => return Err(BadImport::Damaged),
            },
            (method, rest) => werkzeug(method, rest)?,
        };
        let imported = Self { text: text.to_owned(), scheme };
        let within = match (&imported.scheme, imported.work()) {
            (Scheme::Pbkdf2 { iterations, .. }, _) => iterations.get() <= MOST_ITERATIONS,
            (Scheme::Bcrypt { .. }, _) => true,
            (Scheme::Scrypt { log_n, r, p, .. }, work) => {
                work.units <= MOST_SCRYPT && 128 * (1_u64 << log_n) * u64::from(*r) <= MOST_MEMORY && *p <= 16
            }
            (Scheme::Argon2 { memory_kib, lanes, .. }, work) => {
                work.units <= MOST_ARGON2 && u64::from(*memory_kib) << 10 <= MOST_MEMORY && *lanes <= 16
            }
        };
        if within { Ok(imported) } else { Err(BadImport::TooCostly) }
    }
}

fn modular(whole: &str, rest: &str) -> Result<Scheme, BadImport> {
    match rest.split_once('$').ok_or(BadImport::Unknown)? {
        ("2a" | "2b" | "2y", _) => bcrypt_of(whole, Before::Nothing),
        ("argon2id" | "argon2i", _) => argon2(rest.strip_prefix("argon2").ok_or(BadImport::Damaged)?),
        ("pbkdf2", rest) => passlib_pbkdf2(Family::Pbkdf2Sha1, rest),
        ("pbkdf2-sha256", rest) => passlib_pbkdf2(Family::Pbkdf2Sha256, rest),
        ("pbkdf2-sha512", rest) => passlib_pbkdf2(Family::Pbkdf2Sha512, rest),
        // v=2,t=2b,r=12$salt$tag
        ("bcrypt-sha256", rest) => match rest.split('$').collect::<Vec<_>>()[..] {
            [params, salt, tag] => {
                let cost = params.strip_prefix("v=2,t=2b,r=").ok_or(BadImport::Unknown)?;
                let cost: u32 = cost.parse().map_err(|_| BadImport::Damaged)?;
                bcrypt_of(&format!("$2b${cost:02}${salt}{tag}"), Before::Hmac(salt.to_owned()))
            }
            _ => Err(BadImport::Unknown),
        },
        _ => Err(BadImport::Unknown),
    }
}

/// `$2b$12$` and 53 characters.
fn bcrypt_of(text: &str, before: Before) -> Result<Scheme, BadImport> {
    let parts: Vec<_> = text.split('$').collect();
    let [_, "2a" | "2b" | "2y", cost, rest] = parts[..] else { return Err(BadImport::Damaged) };
    let cost: u32 = cost.parse().map_err(|_| BadImport::Damaged)?;
    let sound = text.len() == 60 && rest.len() == 53 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/');
    match cost {
        _ if !sound => Err(BadImport::Damaged),
        4..=MOST_BCRYPT => Ok(Scheme::Bcrypt { cost, text: text.to_owned(), before }),
        0..4 => Err(BadImport::Damaged),
        _ => Err(BadImport::TooCostly),
    }
}

/// `iterations$salt$tag`, the salt as it is, the tag in base64.
fn django_pbkdf2(family: Family, rest: &str) -> Result<Scheme, BadImport> {
    let [iterations, salt, tag] = rest.split('$').collect::<Vec<_>>()[..] else { return Err(BadImport::Damaged) };
    pbkdf2_of(family, iterations, salt.as_bytes().to_vec(), BASE64.decode(tag).map_err(|_| BadImport::Damaged)?)
}

/// `iterations$salt$tag`, both in a base64 with `.` for `+`.
fn passlib_pbkdf2(family: Family, rest: &str) -> Result<Scheme, BadImport> {
    let [iterations, salt, tag] = rest.split('$').collect::<Vec<_>>()[..] else { return Err(BadImport::Damaged) };
    let decode = |text: &str| BASE64.decode(text.replace('.', "+")).map_err(|_| BadImport::Damaged);
    pbkdf2_of(family, iterations, decode(salt)?, decode(tag)?)
}

fn pbkdf2_of(family: Family, iterations: &str, salt: Vec<u8>, tag: Vec<u8>) -> Result<Scheme, BadImport> {
    let iterations = iterations.parse().ok().and_then(NonZeroU32::new).ok_or(BadImport::Damaged)?;
    if !(16..=64).contains(&tag.len()) {
        return Err(BadImport::Damaged);
    }
    Ok(Scheme::Pbkdf2 { family, iterations, salt, tag })
}

/// `pbkdf2:sha256:600000$salt$tag` or `scrypt:32768:8:1$salt$tag`, the tag in hexadecimal.
fn werkzeug(method: &str, rest: &str) -> Result<Scheme, BadImport> {
    let method: Vec<_> = method.split(':').collect();
    let (salt, tag) = rest.split_once('$').ok_or(BadImport::Unknown)?;
    let tag = || hex::decode(tag).map_err(|_| BadImport::Damaged);
    match method[..] {
        ["pbkdf2", hash, iterations] => {
            let family = match hash {
                "sha1" => Family::Pbkdf2Sha1,
                "sha256" => Family::Pbkdf2Sha256,
                "sha512" => Family::Pbkdf2Sha512,
                _ => return Err(BadImport::Unknown),
            };
            pbkdf2_of(family, iterations, salt.as_bytes().to_vec(), tag()?)
        }
        ["scrypt", n, r, p] => scrypt_of([n, r, p], salt, &tag()?),
        _ => Err(BadImport::Unknown),
    }
}

fn scrypt_of(params: [&str; 3], salt: &str, tag: &[u8]) -> Result<Scheme, BadImport> {
    let [n, r, p] = params.map(str::parse::<u32>);
    let (Ok(n), Ok(r), Ok(p)) = (n, r, p) else { return Err(BadImport::Damaged) };
    if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 || !(16..=64).contains(&tag.len()) {
        return Err(BadImport::Damaged);
    }
    let log_n = u8::try_from(n.ilog2()).map_err(|_| BadImport::TooCostly)?;
    Ok(Scheme::Scrypt { log_n, r, p, salt: salt.as_bytes().to_vec(), tag: tag.to_vec() })
}

/// `id$v=19$m=65536,t=3,p=4$salt$tag`
fn argon2(rest: &str) -> Result<Scheme, BadImport> {
    let [kind, "v=19", params, salt, tag] = rest.split('$').collect::<Vec<_>>()[..] else { return Err(BadImport::Damaged) };
    let algorithm = match kind {
        "id" => Algorithm::Argon2id,
        "i" => Algorithm::Argon2i,
        _ => return Err(BadImport::Unknown),
    };
    let mut numbers = [0_u32; 3];
    let names = ["m=", "t=", "p="];
    let given: Vec<_> = params.split(',').collect();
    if given.len() != names.len() {
        return Err(BadImport::Damaged);
    }
    for ((number, name), given) in numbers.iter_mut().zip(names).zip(given) {
        *number = given.strip_prefix(name).and_then(|value| value.parse().ok()).ok_or(BadImport::Damaged)?;
    }
    let [memory_kib, passes, lanes] = numbers;
    let decode = |text: &str| BASE64.decode(text).map_err(|_| BadImport::Damaged);
    let (salt, tag) = (decode(salt)?, decode(tag)?);
    if Params::new(memory_kib, passes, lanes, Some(tag.len())).is_err() || salt.len() < 8 || tag.len() < 16 {
        return Err(BadImport::Damaged);
    }
    Ok(Scheme::Argon2 { algorithm, memory_kib, passes, lanes, salt, tag })
}

/// The most work of each kind that some account's hash is. A wrong password is as much work for every address: whether there is such an
/// account, whether it was imported, and whether it has a hash of ours by now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Burden(BTreeMap<Family, u64>);

impl FromIterator<Work> for Burden {
    fn from_iter<T: IntoIterator<Item = Work>>(works: T) -> Self {
        let mut burden = BTreeMap::new();
        for Work { family, units } in works {
            let most = burden.entry(family).or_insert(units);
            *most = (*most).max(units);
        }
        Self(burden)
    }
}

impl Burden {
    /// Does the rest of the work after `done`.
    pub(super) fn bear(&self, done: Option<Work>) {
        for Work { family, units } in self.rest(done) {
            spend(family, units);
        }
    }

    fn rest(&self, done: Option<Work>) -> impl Iterator<Item = Work> {
        self.0.iter().map(move |(family, most)| {
            let done = done.filter(|work| work.family == *family).map_or(0, |work| work.units);
            Work { family: *family, units: most.saturating_sub(done) }
        })
    }
}

/// Work that nobody wants the result of.
fn spend(family: Family, units: u64) {
    let (password, salt) = (b"nobody's password", b"nobody's salt...");
    match family {
        Family::Pbkdf2Sha1 | Family::Pbkdf2Sha256 | Family::Pbkdf2Sha512 => {
            if let Some(iterations) = u32::try_from(units).ok().and_then(NonZeroU32::new) {
                let mut out = [0; 20];
                pbkdf2::derive(algorithm(family), iterations, salt, password, &mut out);
                std::hint::black_box(out);
            }
        }
        // The missing powers of two make up the difference between one and another.
        Family::Bcrypt => {
            for cost in (4..=MOST_BCRYPT).filter(|cost| units & (1 << cost) != 0) {
                std::hint::black_box(bcrypt::bcrypt(cost, *salt, password));
            }
        }
        Family::Scrypt => {
            let rounds = units / 8;
            for log_n in (4..=17_u8).filter(|log_n| rounds & (1 << log_n) != 0) {
                let mut out = [0; 32];
                if let Ok(params) = scrypt::Params::new(log_n, 8, 1) {
                    let _ = scrypt::scrypt(password, salt, &params, &mut out);
                }
                std::hint::black_box(out);
            }
        }
        Family::Argon2 => {
            let memory_kib = u32::try_from(units.min(16_384)).unwrap_or(16_384);
            let passes = u32::try_from(units / 16_384).unwrap_or(1).max(1);
            let mut out = [0; 32];
            if memory_kib >= 8
                && let Ok(params) = Params::new(memory_kib, passes, 1, Some(out.len()))
            {
                let _ = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(password, salt, &mut out);
            }
            std::hint::black_box(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by the programs themselves: `vectors/make.py`.
    const VECTORS: &str = include_str!("vectors/hashes.txt");

    fn vectors() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        VECTORS.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let mut columns = line.split('\t');
            let (Some(by), Some(password), Some(hash), None) = (columns.next(), columns.next(), columns.next(), columns.next()) else {
                panic!("{line}")
            };
            (by, password, hash)
        })
    }

    #[test]
    fn every_hash_that_the_programs_made_is_verified() {
        let mut seen = 0;
        for (by, password, hash) in vectors() {
            let imported: Imported = hash.parse().unwrap_or_else(|err| panic!("{by} {hash}: {err}"));
            assert!(imported.matches(password), "{by} {hash}");
            assert!(!imported.matches(&format!("{password}x")) || password.len() > 71, "{by} {hash}");
            assert!(!imported.matches("") && !imported.matches("another password"), "{by} {hash}");
            assert_eq!(imported.work().to_string().parse(), Ok(imported.work()), "{by}");
            seen += 1;
        }
        assert!(seen >= 30, "{seen}");
    }

    #[test]
    fn what_is_damaged_or_unknown_is_refused_and_nothing_panics() {
        for (by, _, hash) in vectors() {
            for end in 0..hash.len() {
                if let Ok(imported) = hash[..end].parse::<Imported>() {
                    assert!(imported.work().units > 0, "{by} {}", &hash[..end]);
                }
            }
        }
        for text in ["", "$", "x", "md5$salt$0123", "sha1$salt$abcd", "plain:secret", "$1$salt$hash", "$6$salt$hash", "!", "unusable$"] {
            assert_eq!(text.parse::<Imported>().err(), Some(BadImport::Unknown), "{text}");
        }
        assert_eq!("pbkdf2:sha256:0$salt$00".parse::<Imported>().err(), Some(BadImport::Damaged));
        assert_eq!("a".repeat(600).parse::<Imported>().err(), Some(BadImport::Damaged));
    }

    #[test]
    fn nobody_can_bring_a_hash_that_takes_minutes_or_gigabytes() {
        let tag = "00".repeat(32);
        for text in [
            format!("pbkdf2:sha256:4000000000$salt${tag}"),
            format!("scrypt:1048576:8:1$salt${tag}"),
            format!("scrypt:32768:8:64$salt${tag}"),
            "$2b$31$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui".to_owned(),
            "$argon2id$v=19$m=4194304,t=3,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc".to_owned(),
            "$argon2id$v=19$m=65536,t=4000,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc".to_owned(),
        ] {
            assert_eq!(text.parse::<Imported>().err(), Some(BadImport::TooCostly), "{text}");
        }
    }

    #[test]
    fn asvs_6_3_8_a_wrong_password_is_as_much_work_for_every_address() {
        let work = |family, units| Work { family, units };
        let burden: Burden = [work(Family::Bcrypt, 4_096), work(Family::Pbkdf2Sha256, 600_000)].into_iter().collect();
        let total = |done: Option<Work>| {
            let all: Burden = burden
                .rest(done)
                .map(|rest| work(rest.family, rest.units + done.filter(|done| done.family == rest.family).map_or(0, |done| done.units)))
                .collect();
            all
        };
        for done in [None, Some(work(Family::Bcrypt, 16)), Some(work(Family::Bcrypt, 4_096)), Some(work(Family::Pbkdf2Sha256, 260_000))] {
            assert_eq!(total(done), burden, "{done:?}");
        }
    }

    #[test]
    fn the_burden_is_the_most_of_each_kind() {
        let work = |family, units| Work { family, units };
        let burden: Burden = [work(Family::Bcrypt, 16), work(Family::Pbkdf2Sha1, 5), work(Family::Bcrypt, 64), work(Family::Bcrypt, 32)]
            .into_iter()
            .collect();
        assert_eq!(burden.0, BTreeMap::from([(Family::Pbkdf2Sha1, 5), (Family::Bcrypt, 64)]));
    }
}
