//! Words that an attacker knows without a list: the person's own, and those of the place.

use baluarte_kernel::Secret;

use super::{BadPassword, check, check_alone};
use crate::model::{Email, Name, fold};

/// Shorter words are parts of others too often.
const LEAST: usize = 4;
/// So many letters beside such words make a password of them.
const ENOUGH: usize = 4;

/// What this installation is called.
#[derive(Debug, Default)]
pub(crate) struct Context(Vec<String>);

impl Context {
    /// The names that the public URL, the brand and the operator give.
    pub(crate) fn new(public_url: &str, brand: &str, words: &[String]) -> Self {
        let host = public_url.split_once("://").map_or(public_url, |(_, rest)| rest);
        let host = host.split(['/', ':']).next().unwrap_or_default();
        // Without what every address ends with.
        let names = host.rsplit_once('.').map_or("", |(names, _)| names).split('.').map(str::to_owned);
        Self(names.chain([brand.to_owned()]).chain(words.iter().cloned()).flat_map(|text| parts(&text)).collect())
    }

    /// Refuses what is too short, too long, tried first, or little more than a name.
    pub(crate) fn check(&self, password: &Secret, email: &Email, name: &Name) -> Result<(), BadPassword> {
        check(password, email, name)?;
        let folded = check_alone(password)?;
        let words = self.0.iter().cloned().chain(personal(email, name));
        if is_little_more(folded.expose(), words) { Err(BadPassword::Personal) } else { Ok(()) }
    }
}

/// Somebody's own address or name, or little more.
pub(super) fn is_personal(folded: &str, email: &Email, name: &Name) -> bool {
    let local = email.as_str().rsplit_once('@').map_or("", |(local, _)| local);
    [email.as_str(), local, &name.folded()].contains(&folded) || is_little_more(folded, personal(email, name))
}

fn personal(email: &Email, name: &Name) -> impl Iterator<Item = String> {
    let local = email.as_str().rsplit_once('@').map_or("", |(local, _)| local);
    parts(local).into_iter().chain(parts(&name.folded()))
}

/// The words of a text, and the text without what is between them.
fn parts(text: &str) -> Vec<String> {
    let folded = fold(text);
    let mut words: Vec<String> = folded.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect();
    words.push(folded.chars().filter(|c| c.is_alphanumeric()).collect());
    words.retain(|word| word.chars().count() >= LEAST);
    words.dedup();
    words
}

/// Whether some of these words are in it, and hardly a letter beside them.
fn is_little_more(folded: &str, words: impl Iterator<Item = String>) -> bool {
    let mut rest: String = folded.chars().filter(|c| c.is_alphanumeric()).collect();
    let whole = rest.len();
    let mut words: Vec<String> = words.collect();
    // The longest first: a name in one piece before its parts.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    for word in &words {
        rest = rest.replace(word.as_str(), "");
    }
    rest.len() < whole && rest.chars().filter(|c| c.is_alphabetic()).count() < ENOUGH
}
