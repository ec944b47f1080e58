//! `docs/security/asvs.md`: which requirement of the OWASP ASVS is proven by which test, read from the names of the tests.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::run::root;

/// Chapter, section, number.
type Id = [u32; 3];

const INTRODUCTION: &str = "\
# ASVS

Which requirement of the OWASP Application Security Verification Standard 5.0 is proven by which test. Written by `cargo xtask gen` from the names of the tests
(`asvs_6_3_2_there_is_no_account_until_the_operator_makes_one`, or `asvs_6_2_1_and_6_2_9_…` where one proves two), and compared by `cargo xtask check`: a test that is
removed or renamed changes this page.

The numbers are those of [ASVS 5.0.0](https://github.com/OWASP/ASVS/tree/v5.0.0/5.0/en) (© The OWASP Foundation, CC BY-SA 4.0); the words beside them are our own short reminders and not
the text of the standard, which is what counts. **A requirement without a test is not claimed**: it may be met all the same, be met by something that no test can show (documents), or not
be met. Chapters that are not listed have not been gone through.
";

/// Every requirement of the chapters that were gone through, in our own words.
const REQUIREMENTS: &[(&str, &[(Id, &str)])] = &[
    (
        "6. Authentication",
        &[
            ([6, 1, 1], "defences against guessing are documented"),
            ([6, 1, 2], "words of the place that no password may be are documented"),
            ([6, 1, 3], "several ways in are documented, with their strength"),
            ([6, 2, 1], "passwords have a least length"),
            ([6, 2, 2], "people can change their password"),
            ([6, 2, 3], "changing it takes the old one"),
            ([6, 2, 4], "the most common passwords are refused"),
            ([6, 2, 5], "no rules of composition"),
            ([6, 2, 6], "what is typed is hidden, and can be shown"),
            ([6, 2, 7], "pasting and password managers work"),
            ([6, 2, 8], "a password is checked as it was typed"),
            ([6, 2, 9], "long passwords are taken"),
            ([6, 2, 10], "no password expires by the calendar"),
            ([6, 2, 11], "words of the place are refused"),
            ([6, 2, 12], "breached passwords are refused"),
            ([6, 3, 1], "guessing and stuffing are slowed down"),
            ([6, 3, 2], "no default accounts"),
            ([6, 3, 3], "a second factor can be demanded"),
            ([6, 3, 4], "every way in is as strong as the others"),
            ([6, 3, 5], "owners are told of suspicious sign-ins"),
            ([6, 3, 6], "mail is no factor of its own (level 3)"),
            ([6, 3, 7], "owners are told when what signs them in changes"),
            ([6, 3, 8], "nobody learns who has an account"),
            ([6, 4, 1], "first passwords and links are random and short-lived"),
            ([6, 4, 2], "no hints and no secret questions"),
            ([6, 4, 3], "choosing a password anew keeps the second factor"),
            ([6, 4, 4], "a lost factor goes after its owner was identified"),
            ([6, 4, 5], "what expires is renewed in time"),
            ([6, 4, 6], "administrators start a reset and never choose a password"),
            ([6, 5, 1], "a code is taken once"),
            ([6, 5, 2], "short codes are stored so that they cannot be read"),
            ([6, 5, 3], "codes come from a secure generator"),
            ([6, 5, 4], "codes have enough digits"),
            ([6, 5, 5], "codes end soon"),
            ([6, 5, 6], "any factor can be revoked"),
            ([6, 5, 7], "biometrics are second to something else"),
            ([6, 5, 8], "the time of codes is our own"),
            ([6, 6, 1], "text messages go to proven numbers, beside stronger ways"),
            ([6, 6, 2], "a code answers the request it was made for"),
            ([6, 6, 3], "guessing codes is bounded"),
            ([6, 6, 4], "prompts cannot be sent until somebody gives in"),
            ([6, 7, 1], "keys that verify are protected from change"),
            ([6, 7, 2], "challenges are unique and long"),
            ([6, 8, 1], "nobody is taken for somebody of another provider"),
            ([6, 8, 2], "what a provider asserts is signed and checked"),
            ([6, 8, 3], "an assertion is used once"),
            ([6, 8, 4], "how a provider authenticated is taken into account"),
        ],
    ),
    (
        "7. Sessions",
        &[
            ([7, 1, 1], "lifetimes are documented"),
            ([7, 1, 2], "how many sessions somebody may have is documented"),
            ([7, 1, 3], "sessions across providers are documented"),
            ([7, 2, 1], "sessions are checked by the server"),
            ([7, 2, 2], "tokens are made for each session"),
            ([7, 2, 3], "tokens have at least 128 random bits"),
            ([7, 2, 4], "signing in gives a new token and ends the old one"),
            ([7, 3, 1], "unused sessions end"),
            ([7, 3, 2], "every session ends in the end"),
            ([7, 4, 1], "what ended is good for nothing"),
            ([7, 4, 2], "a disabled or deleted account has no sessions"),
            ([7, 4, 3], "other sessions can be ended when a factor changes"),
            ([7, 4, 4], "signing out is easy to find"),
            ([7, 4, 5], "administrators end sessions"),
            ([7, 5, 1], "sensitive changes ask again who it is"),
            ([7, 5, 2], "people see and end their sessions"),
            ([7, 5, 3], "what is most sensitive asks for another factor"),
            ([7, 6, 1], "sessions with a provider end as agreed"),
            ([7, 6, 2], "no session begins without its owner doing something"),
        ],
    ),
    (
        "8. Authorization",
        &[
            ([8, 1, 1], "who may do what is documented"),
            ([8, 1, 2], "who may see and change which field is documented"),
            ([8, 1, 3], "what else decides is documented"),
            ([8, 1, 4], "how it decides is documented"),
            ([8, 2, 1], "functions are for those who have permission"),
            ([8, 2, 2], "data is for those whose it is"),
            ([8, 2, 3], "fields are for those who have permission"),
            ([8, 2, 4], "unusual circumstances are taken into account"),
            ([8, 3, 1], "the server decides"),
            ([8, 3, 2], "changes of permission hold at once"),
            ([8, 3, 3], "whoever asks first decides what a chain of services may"),
            ([8, 4, 1], "tenants do not reach each other"),
            ([8, 4, 2], "administration is protected in several layers"),
        ],
    ),
    (
        "9. Self-contained tokens",
        &[
            ([9, 1, 1], "signatures are checked before anything is believed"),
            ([9, 1, 2], "only listed algorithms"),
            ([9, 1, 3], "keys come from where they were configured"),
            ([9, 2, 1], "a token counts within its time"),
            ([9, 2, 2], "a token is what it was made for"),
            ([9, 2, 3], "a token counts for its audience"),
            ([9, 2, 4], "audiences of one key are told apart"),
        ],
    ),
];

/// The page.
pub(crate) fn page() -> Result<String> {
    let mut tests = BTreeMap::<Id, Vec<(String, String)>>::new();
    for file in sources(&root().join("crates"))? {
        let name = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        let text = fs::read_to_string(&file).with_context(|| name.clone())?;
        for test in text.lines().filter_map(test_name) {
            let ids = ids(test);
            if ids.is_empty() {
                bail!("{name}: {test} names no requirement: asvs_<chapter>_<section>_<number>_…");
            }
            ids.into_iter().for_each(|id| tests.entry(id).or_default().push((test.to_owned(), name.clone())));
        }
    }
    Ok(render(tests))
}

fn render(mut tests: BTreeMap<Id, Vec<(String, String)>>) -> String {
    let mut out = INTRODUCTION.to_owned();
    for (title, requirements) in REQUIREMENTS {
        let proven = requirements.iter().filter(|(id, _)| tests.contains_key(id)).count();
        let _ = write!(
            out,
            "\n## {title}\n\n{proven} of {} have a test.\n\n| | in our words | proven by |\n| --- | --- | --- |\n",
            requirements.len()
        );
        for (id, words) in *requirements {
            row(&mut out, *id, words, tests.remove(id).unwrap_or_default());
        }
    }
    if !tests.is_empty() {
        out += "\n## Of other chapters\n\n| | | proven by |\n| --- | --- | --- |\n";
        tests.into_iter().for_each(|(id, tests)| row(&mut out, id, "", tests));
    }
    out
}

fn row(out: &mut String, [chapter, section, number]: Id, words: &str, mut tests: Vec<(String, String)>) {
    tests.sort();
    let links: Vec<_> = tests.iter().map(|(test, file)| format!("[`{test}`](../../{file})")).collect();
    let proof = if links.is_empty() { "no test".to_owned() } else { links.join("<br>") };
    let _ = writeln!(out, "| {chapter}.{section}.{number} | {words} | {proof} |");
}

/// `fn asvs_…(`
fn test_name(line: &str) -> Option<&str> {
    let rest = &line[line.find("fn asvs_")? + 3..];
    rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()
}

/// The requirements at the front of a name.
fn ids(test: &str) -> Vec<Id> {
    let mut words = test.split('_').skip(1).peekable();
    let mut found = Vec::new();
    loop {
        let mut number = || words.next_if(|word| word.bytes().all(|byte| byte.is_ascii_digit())).and_then(|word| word.parse().ok());
        let (Some(chapter), Some(section), Some(last)) = (number(), number(), number()) else { return found };
        found.push([chapter, section, last]);
        if words.next_if_eq(&"and").is_none() {
            return found;
        }
    }
}

/// Every Rust file, in the same order everywhere.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(sources(&path)?);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_proves() {
        assert_eq!(test_name("    async fn asvs_6_2_1_and_6_2_9_length(test: TestDb) {"), Some("asvs_6_2_1_and_6_2_9_length"));
        assert_eq!(ids("asvs_6_2_1_and_6_2_9_length"), [[6, 2, 1], [6, 2, 9]]);
        assert_eq!(ids("asvs_7_4_1_and_so_on"), [[7, 4, 1]]);
        assert_eq!(ids("asvs_3_3_a_cookie"), [] as [Id; 0]);
        assert_eq!(test_name("fn asvs(x: u8)"), None);
    }

    /// Quicker than `cargo xtask check`, which builds the server for the other generated files.
    #[test]
    fn the_committed_page_is_what_the_tests_say() {
        let committed = fs::read_to_string(root().join("docs/security/asvs.md")).unwrap();
        assert_eq!(page().unwrap(), committed, "run `cargo xtask gen` and commit the result");
    }

    #[test]
    fn what_has_no_test_is_said() {
        let page = render(BTreeMap::from([([6, 3, 2], vec![("asvs_6_3_2_x".to_owned(), "a.rs".to_owned())]), ([3, 3, 1], Vec::new())]));
        assert!(page.contains("| 6.3.2 | no default accounts | [`asvs_6_3_2_x`](../../a.rs) |"), "{page}");
        assert!(page.contains("| 6.3.3 | a second factor can be demanded | no test |") && page.contains("| 3.3.1 |"));
    }
}
