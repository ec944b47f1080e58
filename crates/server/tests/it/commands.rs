//! Commands that need no server.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::scratch::Scratch;

#[test]
fn every_command_explains_itself() {
    let help = Scratch::new().run(&["--help"]).expect(0).stdout;
    for command in [
        "serve",
        "worker",
        "demo",
        "init",
        "check",
        "doctor",
        "config",
        "migrate",
        "user",
        "openapi",
        "secret",
        "healthcheck",
        "completions",
        "man",
    ] {
        assert!(help.contains(&format!("\n  {command}")), "{command} is not in the list:\n{help}");
        Scratch::new().run(&[command, "--help"]).expect(0).says("Usage: baluarte");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_no_command_shows_the_help() {
    Scratch::new().run(&["no-such-command"]).expect(2);
    Scratch::new().run(&["serve", "--roles", "web,chef"]).expect(2).says("there is no role \"chef\"");
    Scratch::new().run(&["check", "--set", "nonsense"]).expect(2).says("KEY=VALUE");
    Scratch::new().run(&[]).expect(2).says("Usage: baluarte");
}

#[test]
fn init_writes_a_configuration_that_is_valid_and_keeps_the_secrets_private() {
    let site = Scratch::new();
    site.run(&[
        "init",
        "--yes",
        "--domain",
        "shop.example.com",
        "--upstream",
        "http://127.0.0.1:9000",
        "--email-from",
        "Shop <no-reply@example.com>",
    ])
    .expect(0);
    let mode = fs::metadata(site.path(".env")).expect("init wrote it").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let config = fs::read_to_string(site.path("baluarte.toml")).expect("init wrote it");
    assert!(!config.contains("SECRET"), "secrets belong into .env:\n{config}");
    site.run(&["check"]).expect(0);
    assert!(config.contains("limits = [\"pages\"]") && config.contains("[limits.pages]"), "a page comes with its pictures:\n{config}");
    site.run(&["config", "show"])
        .expect(0)
        .says("environment = \"production\"")
        .says("server.public_url = \"https://shop.example.com\"")
        .says("web.brand = \"shop.example.com\"");
    let named = Scratch::new();
    named.run(&["init", "--yes", "--brand", "Tienda \"Añil\""]).expect(0);
    named.run(&["config", "show"]).expect(0).says("web.brand = \"Tienda \\\"Añil\\\"\"");
    Scratch::new().run(&["init", "--yes", "--brand", &"x".repeat(41)]).expect(2).says("--brand: found");
}

#[test]
fn the_service_and_the_commands_of_its_user_have_one_database() {
    let unit = fs::read_to_string(crate::outside::repository().join("deploy/baluarte.service")).expect("it is there");
    assert!(!unit.lines().any(|line| line.starts_with("Environment")), "the unit would say something that the command line does not");
    let site = Scratch::new();
    let url = "sqlite:/var/lib/baluarte/baluarte.db";
    assert!(unit.contains(&format!("baluarte init --database {url}")));
    site.run(&["init", "--yes", "--database", url]).expect(0);
    site.run(&["config", "show"]).expect(0).says(&format!("database.url = \"{url}\"    # baluarte.toml"));
    Scratch::new().run(&["init", "--yes", "--database", "mysql://x"]).expect(2).says("--database: found mysql:…");
}

#[test]
fn tune_recommends_what_the_configuration_takes() {
    let site = Scratch::new();
    let ran = site.run(&["tune", "--sign-ins", "1", "--memory", "64MiB"]).expect(0).says("a second");
    let advice = ran.stdout.split_once("[identity]").expect("a section").1;
    Scratch::new().file("baluarte.toml", &format!("[identity]{advice}")).run(&["check"]).expect(0);
    site.run(&["tune", "--memory", "18MiB"]).expect(2).says("one hash needs 19MiB");
    site.run(&["tune", "--sign-ins", "100000", "--memory", "19MiB"])
        .expect(1)
        .says("password_memory = \"19MiB\"")
        .says("more or faster cores");
}

#[test]
fn init_never_overwrites() {
    let site = Scratch::new().file(".env", "SECRET_KEY=mine\n");
    site.run(&["init", "--yes"]).expect(1).says(".env exists already; nothing was written");
    assert_eq!(fs::read_to_string(site.path(".env")).expect("it was there"), "SECRET_KEY=mine\n");
    assert!(!site.path("baluarte.toml").exists());
}

#[test]
fn init_without_anybody_to_ask_says_what_to_do() {
    Scratch::new().run(&["init"]).expect(2).says("--yes");
    Scratch::new().run(&["init", "--yes", "--upstream", "not an address"]).expect(2).says("is not an address");
}

#[test]
fn a_generated_secret_is_long_and_never_the_same() {
    let site = Scratch::new();
    let (one, two) = (site.run(&["secret", "generate"]).expect(0).stdout, site.run(&["secret", "generate"]).expect(0).stdout);
    assert_eq!(one.trim().len(), 64);
    assert_ne!(one, two);
}

#[test]
fn completions_and_manual_pages_are_written_for_every_command() {
    let site = Scratch::new();
    for shell in ["bash", "zsh", "fish"] {
        site.run(&["completions", shell]).expect(0).says("healthcheck");
    }
    site.run(&["man"]).expect(0).says(".TH baluarte 1");
    site.run(&["man", "--out", "pages"]).expect(0);
    let page = fs::read_to_string(site.path("pages/baluarte-audit-anchor.1")).expect("it was written");
    assert!(page.contains(r"[\fB\-\-config\fR \fI<FILE>\fR]"), "{page}");
    assert!(page.contains("2 wrong usage"), "{page}");
    assert!(site.path("pages/baluarte-serve.1").exists());
}

#[test]
fn the_schema_names_every_section() {
    let text = Scratch::new().run(&["config", "schema"]).expect(0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&text).expect("a JSON document");
    for section in
        ["environment", "server", "database", "cluster", "edge", "gateway", "limits", "identity", "notify", "telemetry", "billing"]
    {
        assert!(schema["properties"].get(section).is_some(), "{section}");
    }
}

#[test]
fn healthcheck_introduces_itself_where_even_this_machine_has_to() {
    use std::io::{Read as _, Write as _};
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = server.local_addr().expect("an address");
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().expect("a connection");
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("bytes") == 1 {
            request.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("sent");
        String::from_utf8_lossy(&request).into_owned()
    });
    let config = format!("[server]\nlisten = \"{listen}\"\nproxy_protocol = \"required\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n");
    Scratch::new().file("baluarte.toml", &config).run(&["healthcheck"]).expect(0);
    let asked = asked.join().expect("a request");
    assert!(asked.starts_with("PROXY UNKNOWN\r\nGET /healthz HTTP/1.1\r\n"), "{asked}");
}

#[test]
fn healthcheck_fails_in_one_sentence_when_nobody_answers() {
    Scratch::new().env("PORT", "1").run(&["healthcheck"]).expect(1).says("no answer from 127.0.0.1:1");
}

#[test]
fn a_database_that_cannot_be_had_is_one_sentence_and_exit_1() {
    let site = Scratch::new().file("plain", "a file where a folder is needed").env("DATABASE_URL", "sqlite:plain/baluarte.db");
    let ran = site.run(&["migrate"]).expect(1).says("plain").never_says("panicked");
    assert_eq!(ran.stderr.trim().lines().count(), 1, "{}", ran.stderr);
}

#[test]
fn plans_by_hand_are_announced_not_pretended() {
    Scratch::new().run(&["user", "set-plan", "ana@example.com", "pro"]).expect(1).says("come with billing");
}
