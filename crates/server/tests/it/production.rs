//! What production refuses to start with: all at once, exit 2.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::scratch::Scratch;

const KEY: &str = "kR2c8sVq0nZx5LwB7yTf3hJd9mPa6uEg1iXoCNbWQtM";

fn production() -> Scratch {
    Scratch::new().env("APP_ENV", "production")
}

#[test]
fn everything_insecure_is_named_at_once() {
    production()
        .env("BALUARTE__NOTIFY__DEV_OUTBOX", "true")
        .env("BALUARTE__IDENTITY__EMAIL_VERIFICATION", "required")
        .env("SECURE_COOKIES", "false")
        .run(&["serve"])
        .expect(2)
        .says("secrets.secret_key: production needs SECRET_KEY")
        .says("server.public_url: found \"http://127.0.0.1:8080\", production needs https")
        .says("notify.dev_outbox: found true")
        .says("identity.email_verification: found \"required\", and there is no mail provider")
        .says("server.secure_cookies: found false");
}

#[test]
fn a_short_or_guessable_key_is_refused() {
    let with = |key: &str| production().env("PUBLIC_URL", "https://shop.example.com").env("SECRET_KEY", key);
    with("too-short").run(&["check"]).expect(2).says("found 9 bytes, production needs at least 32").never_says("too-short");
    with(&"a".repeat(64)).run(&["check"]).expect(2).says("repeats itself");
    with(&"0123456789".repeat(4)).run(&["check"]).expect(2).says("others can guess it");
    with("please-change-me-please-change-me-please").run(&["check"]).expect(2).says("an example");
    with(KEY).run(&["check"]).expect(0);
}

#[test]
fn plain_http_needs_to_be_allowed_in_so_many_words() {
    production().env("SECRET_KEY", KEY).run(&["check"]).expect(2).says("server.public_url");
    production().env("SECRET_KEY", KEY).env("BALUARTE__SERVER__ALLOW_INSECURE", "true").run(&["check"]).expect(0);
}

#[test]
fn a_secrets_file_that_everybody_may_read_is_refused() {
    let readable =
        |site: &Scratch, name: &str| fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o644)).expect("our own file");
    let secure = |site: Scratch| site.env("PUBLIC_URL", "https://shop.example.com");

    let site = secure(production()).file(".env", &format!("SECRET_KEY={KEY}\n"));
    site.run(&["check"]).expect(0);
    readable(&site, ".env");
    site.run(&["check"]).expect(2).says("chmod 600 .env");

    let site = secure(production()).file("key", KEY).env("SECRET_KEY_FILE", "key");
    site.run(&["check"]).expect(0);
    readable(&site, "key");
    site.run(&["check"]).expect(2).says("chmod 600 key");

    let site = secure(production()).file("baluarte.toml", &format!("[secrets]\nsecret_key = \"{KEY}\"\n"));
    site.run(&["check"]).expect(0);
    readable(&site, "baluarte.toml");
    site.run(&["check"]).expect(2).says("chmod 600 baluarte.toml");

    let site = secure(production()).file("baluarte.toml", "[server]\nrequest_timeout = \"5s\"\n").env("SECRET_KEY", KEY);
    readable(&site, "baluarte.toml");
    site.run(&["check"]).expect(0);
}
