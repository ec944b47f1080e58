//! What production refuses to start with.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use baluarte_identity::EmailVerification;
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
        findings.add("secrets.secret_key", "this value is an example or repeats itself; `baluarte secret generate` makes a random one");
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
    for path in secret_files {
        refuse_readable(path, findings);
    }
}

/// One character over and over, or a text from an example.
fn is_guessable(key: &str) -> bool {
    let mut distinct: Vec<u8> = key.bytes().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let lower = key.to_ascii_lowercase();
    distinct.len() < 8 || ["change-me", "changeme", "change_me", "your-secret", "example"].iter().any(|word| lower.contains(word))
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
