//! What production refuses to start with.

use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use baluarte_identity::{EmailVerification, MagicLinkMode};
use baluarte_kernel::Findings;

use super::Config;

/// Adds a finding for everything that would be unsafe in front of the public.
pub(super) fn refuse(config: &Config, secret_files: &[PathBuf], findings: &mut Findings) {
    let key = config.secrets.secret_key.expose();
    if key.is_empty() {
        findings.add("secrets.secret_key", "production needs SECRET_KEY; `baluarte secret generate` makes one");
    } else if key.len() < 32 {
        findings.add(
            "secrets.secret_key",
            format!("found {} bytes, production needs at least 32; `baluarte secret generate` makes one", key.len()),
        );
    } else if is_guessable(key) {
        findings.add(
            "secrets.secret_key",
            "this value is an example, repeats itself or counts up: others can guess it; `baluarte secret generate` makes a random one",
        );
    }
    if !config.server.public_url.is_https() && !config.server.allow_insecure {
        findings.add(
            "server.public_url",
            format!(
                "found {:?}, production needs https (or server.allow_insecure = true, for a private network)",
                config.server.public_url.as_str()
            ),
        );
    }
    if config.server.secure_cookies == Some(false) && !config.server.allow_insecure {
        findings.add("server.secure_cookies", "found false: session cookies would travel in clear");
    }
    if config.notify.dev_outbox == Some(true) {
        findings.add("notify.dev_outbox", "found true: everybody could read the messages to your customers; remove it");
    }
    if config.identity.email_verification == EmailVerification::Required && !config.notify.sends_mail() {
        findings.add(
            "identity.email_verification",
            "found \"required\", and there is no mail provider: set SMTP_URL or SENDGRID_API_KEY, and EMAIL_FROM",
        );
    }
    if config.identity.magic_link == MagicLinkMode::On && !config.notify.sends_mail() {
        findings
            .add("identity.magic_link", "found \"on\", and there is no mail provider: set SMTP_URL or SENDGRID_API_KEY, and EMAIL_FROM");
    }
    for path in secret_files {
        refuse_readable(path, findings);
    }
}

/// What people type when a program wants a long text: a word from an example, one thing over and over, neighbours in the
/// alphabet. A random text of 32 characters or more is none of these, except once in many millions.
fn is_guessable(key: &str) -> bool {
    const TYPED: [&str; 8] = ["change-me", "changeme", "change_me", "your-secret", "example", "password", "qwerty", "asdfgh"];
    let lower = key.to_ascii_lowercase();
    let bytes = lower.as_bytes();
    let distinct: BTreeSet<&u8> = bytes.iter().collect();
    let neighbours = bytes.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 1).count();
    let passages: BTreeSet<&[u8]> = bytes.windows(4).collect();
    distinct.len() < 8
        || 2 * neighbours >= bytes.len()
        || 2 * passages.len() <= bytes.len()
        || TYPED.iter().any(|word| lower.contains(word))
}

fn refuse_readable(path: &Path, findings: &mut Findings) {
    // Container runtimes mount secrets here with a mode of their own choosing, inside a namespace that nobody else sees.
    if path.starts_with("/run/secrets") || path.starts_with("/var/run/secrets") {
        return;
    }
    let Ok(meta) = std::fs::metadata(path) else { return };
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o004 != 0 {
        findings.add(
            path.display().to_string(),
            format!("holds secrets and everybody on this machine may read it (mode {mode:03o}); run: chmod 600 {}", path.display()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::is_guessable;

    #[test]
    fn a_key_that_somebody_could_think_of_is_no_key() {
        let one = "x".repeat(64);
        let digits = "0123456789".repeat(4);
        let two = "0123456789abcdef".repeat(2);
        let word = "baluarte-prod-".repeat(5);
        for key in [
            one.as_str(),
            &digits,
            &two,
            &word,
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "zyxwvutsrqponmlkjihgfedcba9876543210",
            "aabbccddeeffgghhiijjkkllmmnnooppqqrr",
            "QWERTYUIOPASDFGHJKLZXCVBNM-7f3a9c21d",
            "please-change-me-please-change-me-now",
        ] {
            assert!(is_guessable(key), "{key}");
        }
    }

    #[test]
    fn a_random_key_is_taken() {
        for key in [
            "5c2f0a91d7e84b36a1f09c7d2e5b8843c6d1e0f7a2948b5d",
            "kT3Zb0o9xqL7vRz1Jm4NfWc8yHsEeA2uPdG6iXQt5Vw",
            "9f86d081884c7d659a2feaa0c55ad015",
            "correct horse battery staple, and then some more of it",
        ] {
            assert!(!is_guessable(key), "{key}");
        }
        for _ in 0..1_000 {
            let key = baluarte_secrets::random_token();
            assert!(!is_guessable(&key), "{key}");
        }
    }
}
