//! Invalid configuration: exit 2, everything at once, each with file, key, what was found and what is allowed.

use crate::scratch::Scratch;

#[test]
fn every_finding_comes_at_once_with_file_line_and_what_is_allowed() {
    let config = r#"
enviroment = "production"
[server]
lisetn = "127.0.0.1:1"
request_timeout = "soon"
body_limit = 5
trusted_proxies = ["10.0.0.0/8", "everybody"]
[gateway.upstreams.shop]
servers = "http://127.0.0.1:9000"
[limits.api]
rate = "100/fortnight"
[jbos]
retry_base = "5s"
"#;
    Scratch::new()
        .file("baluarte.toml", config)
        .run(&["check"])
        .expect(2)
        .says("the configuration has 8 problems")
        .says("baluarte.toml, line 2: enviroment: unknown key; did you mean \"environment\"?")
        .says("baluarte.toml, line 4: server.lisetn: unknown key; did you mean \"listen\"?")
        .says("line 5: server.request_timeout: found \"soon\", expected a span of time above zero such as")
        .says("line 6: server.body_limit: found 5, expected a number of bytes such as")
        .says("line 7: server.trusted_proxies[1]: found \"everybody\", expected a network")
        .says("line 9: gateway.upstreams.shop.servers: found \"http://127.0.0.1:9000\", expected a list")
        .says("line 11: limits.api.rate: found \"100/fortnight\", expected a rate above zero such as")
        .says("line 12: jbos: unknown key; did you mean \"jobs\"?");
}

#[test]
fn a_wrong_entry_of_a_list_hides_nothing_else() {
    let database = "[database]\nurl = \"mysql://x\"\n";
    for (section, found) in [
        ("[server]\ntrusted_proxies = [\"banana\"]\n", "server.trusted_proxies[0]: found \"banana\""),
        ("[[gateway.routes]]\npath = \"/\"\nredirect = \"/x\"\nmethods = [5]\n", "gateway.routes[0].methods[0]: found 5"),
        ("[[gateway.routes]]\npath = \"/\"\nredirect = \"/x\"\nlimits = [true]\n", "gateway.routes[0].limits[0]: found true"),
        ("[gateway]\nroutes = [5]\n", "gateway.routes[0]: found 5"),
        ("[gateway.upstreams.shop]\nservers = [5]\n", "gateway.upstreams.shop.servers[0]: found 5"),
        ("[gateway.upstreams.shop]\nservers = 5\n", "gateway.upstreams.shop.servers: found 5"),
        ("[limits.mine]\nrate = [\"5/min\", \"soon\"]\n", "limits.mine.rate[1]: found \"soon\", expected a rate above zero"),
        ("[limits.general]\nkey = [\"ipp\"]\n", "limits.general.key[0]: found \"ipp\", allowed: \"user\""),
    ] {
        Scratch::new()
            .file("baluarte.toml", &format!("{database}{section}"))
            .run(&["check"])
            .expect(2)
            .says("the configuration has 2 problems")
            .says("database.url: found mysql:…, expected sqlite:PATH")
            .says(found);
    }
}

#[test]
fn what_stands_after_a_wrong_entry_is_told_with_its_own_number() {
    let config = r#"
[[gateway.routes]]
path = 5
redirect = "/x"
[[gateway.routes]]
path = "/two"
redirect = "/x"
limits = ["mine", "nobodys"]
[limits.mine]
rate = "never"
[limits.twice]
rate = "5/min"
key = ["ip", "ip"]
"#;
    let ran = Scratch::new().file("baluarte.toml", config).run(&["check"]).expect(2).says("the configuration has 4 problems");
    ran.says("line 3: gateway.routes[0].path: found 5, expected text")
        .says("line 10: limits.mine.rate: found \"never\"")
        .says("line 8: gateway.routes[1].limits: ")
        .says("line 13: limits.twice.key: found [\"ip\", \"ip\"], expected one of")
        .never_says("general, login, mfa, mine, twice, user, general");
}

#[test]
fn a_name_is_offered_once_and_zero_is_said_to_be_the_trouble() {
    let config = "[server]\nshutdown_grace = \"0s\"\n[limits.general]\nrate = \"5/min\"\n[[gateway.routes]]\npath = \"/\"\nredirect = \"/x\"\nlimits = [\"other\"]\n";
    let said = Scratch::new().file("baluarte.toml", config).run(&["check"]).expect(2);
    assert_eq!(said.stderr.matches("general").count(), 1, "{}", said.stderr);
    said.says("server.shutdown_grace: found \"0s\", expected a span of time above zero");
}

#[test]
fn the_proxy_protocol_needs_somebody_to_believe() {
    Scratch::new()
        .file("baluarte.toml", "[server]\nproxy_protocol = \"required\"\n")
        .run(&["check"])
        .expect(2)
        .says("server.proxy_protocol: is believed from server.trusted_proxies only, and that is empty");
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line() {
    Scratch::new()
        .file("baluarte.toml", "[server]\nlisten = = 1\n")
        .run(&["check"])
        .expect(2)
        .says("baluarte.toml, line 2")
        .says("not valid TOML");
}

#[test]
fn a_file_named_on_the_command_line_must_exist_and_the_default_one_need_not() {
    Scratch::new().run(&["check"]).expect(0);
    Scratch::new()
        .run(&["check", "--config", "elsewhere.toml"])
        .expect(2)
        .says("elsewhere.toml: the file: cannot be read")
        .never_says("line");
}

#[test]
fn flags_win_over_the_environment_over_dotenv_over_the_file_over_defaults() {
    let site = |from: usize| {
        let mut site = Scratch::new();
        if from >= 1 {
            site = site.file("baluarte.toml", "[server]\nrequest_timeout = \"1s\"\n");
        }
        if from >= 2 {
            site = site.file(".env", "BALUARTE__SERVER__REQUEST_TIMEOUT=2s\n");
        }
        if from >= 3 {
            site = site.env("BALUARTE__SERVER__REQUEST_TIMEOUT", "3s");
        }
        site
    };
    site(0).run(&["config", "show"]).expect(0).says("server.request_timeout = \"1m\"    # default");
    site(1).run(&["config", "show"]).expect(0).says("server.request_timeout = \"1s\"    # baluarte.toml, line 2");
    site(2).run(&["config", "show"]).expect(0).says("server.request_timeout = \"2s\"    # .env, BALUARTE__SERVER__REQUEST_TIMEOUT");
    site(3).run(&["config", "show"]).expect(0).says("server.request_timeout = \"3s\"    # environment, BALUARTE__SERVER__REQUEST_TIMEOUT");
    let args = ["config", "show", "--set", "server.request_timeout=4s"];
    site(3).run(&args).expect(0).says("server.request_timeout = \"4s\"    # flag --set");
}

#[test]
fn environment_names_reach_every_key_whatever_its_type() {
    Scratch::new()
        .env("PORT", "3000")
        .env("BALUARTE__SERVER__TRUSTED_PROXIES", "10.0.0.0/8, ::1")
        .env("BALUARTE__SERVER__ALLOW_INSECURE", "yes")
        .env("BALUARTE__DATABASE__CONNECTIONS", "3")
        .env("BALUARTE__GATEWAY__ROUTES", "[{ path = \"/x\", redirect = \"https://example.com\" }]")
        .env("BALUARTE__LIMITS__FORGOT_PASSWORD__RATE", "3/min")
        .run(&["config", "show"])
        .expect(0)
        .says("server.listen = \"0.0.0.0:3000\"    # environment, PORT")
        .says("server.public_url = \"http://127.0.0.1:3000\"")
        .says("server.trusted_proxies = [\"10.0.0.0/8\",\"::1/128\"]")
        .says("server.allow_insecure = true")
        .says("database.connections = 3")
        .says("gateway.routes[0].path = \"/x\"")
        .says("limits.forgot-password.rate = \"3/min\"");
}

#[test]
fn a_misspelt_environment_name_is_an_error_too() {
    Scratch::new()
        .env("BALUARTE__SERVER__LISTN", "x")
        .env("BALUARTE__DATABASE__CONNECTIONS", "many")
        .env("PORT", "http")
        .run(&["check"])
        .expect(2)
        .says("environment, BALUARTE__SERVER__LISTN: server.listn: unknown key \"listn\"; did you mean \"listen\"?")
        .says("environment, BALUARTE__DATABASE__CONNECTIONS: database.connections: found \"many\", expected a whole number")
        .says("environment, PORT: server.listen: found PORT=\"http\", expected a port");
}

#[test]
fn a_value_may_come_from_a_file_and_the_two_spellings_exclude_each_other() {
    let site = Scratch::new().file("key", "a-secret-from-a-file-a-secret-from-a-file\n").env("SECRET_KEY_FILE", "key");
    site.run(&["config", "show"])
        .expect(0)
        .says("secrets.secret_key = \"[redacted]\"    # key (from SECRET_KEY_FILE)")
        .never_says("a-secret-from");
    Scratch::new().env("SECRET_KEY", "x").env("SECRET_KEY_FILE", "key").run(&["check"]).expect(2).says("both set");
    Scratch::new().env("SECRET_KEY_FILE", "nowhere").run(&["check"]).expect(2).says("nowhere cannot be read");
}

#[test]
fn no_secret_is_ever_shown_not_even_in_a_finding() {
    let site = Scratch::new()
        .file("baluarte.toml", "[secrets]\nsecret_key = 123456789\n[database]\nurl = \"postgres://app:hunter2@db/shop\"\n")
        .env("SMTP_URL", "smtp://user:hunter3@mail:587");
    site.run(&["check"]).expect(2).says("secrets.secret_key: found a number, expected text").never_says("123456789");
    let shown = Scratch::new()
        .env("DATABASE_URL", "postgres://app:hunter2@db/shop")
        .env("EMAIL_FROM", "Shop <shop@example.com>")
        .env("SMTP_URL", "smtp://user:hunter3@mail:587");
    shown.run(&["config", "show"]).expect(0).says("postgres://db/shop").says("smtp://mail:587").never_says("hunter");
    shown.run(&["config", "show", "--json"]).expect(0).never_says("hunter");
}

#[test]
fn sqlite_with_redis_is_refused_with_the_reason() {
    Scratch::new()
        .env("REDIS_URL", "redis://127.0.0.1:6379")
        .run(&["check"])
        .expect(2)
        .says("environment, REDIS_URL: cluster.redis_url: Redis joins several replicas, and an SQLite file belongs to one");
}

#[test]
fn a_well_known_name_that_nothing_uses_yet_is_a_note_not_an_error() {
    Scratch::new().env("STRIPE_SECRET_KEY", "sk_test").run(&["check"]).expect(0).says("STRIPE_SECRET_KEY is set").never_says("sk_test");
}

const LATER: &str = r#"
[gateway.upstreams.shop]
servers = ["http://127.0.0.1:9000"]
credential = "partner"
[gateway.credentials.partner]
kind = "session"
login = { path = "/login", body = { totp = "{totp?}" } }
[chat]
rate = "10/s"
[uptime.monitors.home]
url = "https://example.com"
[[backup.targets]]
kind = "directory"
[billing.stripe]
secret_key = "sk_hunter2"
"#;

const LATER_NAMES: [&str; 6] =
    ["[chat]", "[uptime]", "[backup]", "[billing.stripe]", "[gateway.credentials]", "gateway.upstreams.shop.credential"];

#[test]
fn what_a_later_version_brings_is_a_note_for_each_in_development() {
    let checked = Scratch::new().file("baluarte.toml", LATER).run(&["check"]).expect(0).never_says("hunter2");
    let notes: Vec<&str> = checked.stdout.lines().filter(|line| line.starts_with("note: ")).collect();
    let expected = LATER_NAMES.map(|name| format!("note: {name}: not in this version; nothing of it takes effect"));
    assert_eq!(notes, expected, "{}", checked.stdout);
    let by_environment = Scratch::new().env("BALUARTE__BACKUP__SCHEDULE", "0 3 * * *");
    by_environment.run(&["check"]).expect(0).says("note: [backup]: not in this version");
}

#[test]
fn what_a_later_version_brings_is_refused_in_production_with_its_place() {
    let site = Scratch::new()
        .file("baluarte.toml", LATER)
        .env("APP_ENV", "production")
        .env("SECRET_KEY", "kR2c8sVq0nZx5LwB7yTf3hJd9mPa6uEg1iXoCNbWQtM")
        .env("PUBLIC_URL", "https://shop.example.com")
        .env("BALUARTE__CHAT__BURST", "50");
    let mut ran = site.run(&["serve"]).expect(2).says("6 problems").never_says("hunter2");
    for (line, name) in [(4, "gateway.upstreams.shop.credential"), (8, "chat"), (10, "uptime"), (12, "backup"), (14, "billing.stripe")] {
        ran = ran.says(&format!("baluarte.toml, line {line}: {name}: not in this version"));
    }
}

#[test]
fn what_says_nothing_about_later_versions_is_simply_fine() {
    let config = "[gateway.upstreams.shop]\nservers = [\"http://127.0.0.1:9000\"]\ncredential = \"\"\n[edge.tls]\nmode = \"off\"\ncertificate = \"\"\n";
    Scratch::new().file("baluarte.toml", config).run(&["check"]).expect(0).never_says("note:");
    let tls = Scratch::new().file("baluarte.toml", "[edge.tls]\nmode = \"acme\"\n");
    tls.run(&["check"]).expect(2).says("edge.tls.mode: only \"off\" is possible");
}

#[test]
fn a_typo_beside_a_reserved_name_is_still_an_error() {
    let config = "[bakcup]\nschedule = \"0 3 * * *\"\n[gateway.upstreams.shop]\nservers = [\"http://127.0.0.1:9000\"]\ncredentail = \"\"\n";
    Scratch::new()
        .file("baluarte.toml", config)
        .run(&["check"])
        .expect(2)
        .says("bakcup: unknown key; did you mean \"backup\"?")
        .says("gateway.upstreams.shop.credentail: unknown key; did you mean \"credential\"?");
}

#[test]
fn the_schema_allows_what_a_later_version_brings() {
    let schema = Scratch::new().run(&["config", "schema"]).expect(0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    for section in ["chat", "uptime", "backup"] {
        assert_eq!(schema["properties"][section]["$ref"], "#/$defs/Reserved", "{section}");
    }
}

#[test]
fn a_schedule_that_would_never_call_is_found_with_its_key() {
    let config = r#"
[jobs.endpoints.app]
url = "http://127.0.0.1:9000"
[jobs.schedules.nightly]
cron = "0 25 * * *"
time_zone = "America/San_Paulo"
endpoint = "app"
path = "/hooks/x"
[jobs.schedules.leap]
cron = "0 0 30 2 *"
url = "https://example.com/"
missed = "never"
[jobs.schedules.fine]
cron = "*/15 9-17 * * MON-FRI"
time_zone = "America/Sao_Paulo"
missed = "skip"
endpoint = "app"
path = "/hooks/x"
"#;
    let expected = [
        "line 5: jobs.schedules.nightly.cron: found \"0 25 * * *\" (",
        "line 6: jobs.schedules.nightly.time_zone: found \"America/San_Paulo\", expected a time zone such as \"UTC\" or \"America/Sao_Paulo\"",
    ];
    let said = Scratch::new().file("baluarte.toml", &config.replace("missed = \"never\"\n", "")).run(&["check"]).expect(2);
    let said = expected.into_iter().fold(said, |said, line| said.says(line));
    said.says("line 10: jobs.schedules.leap.cron: found \"0 0 30 2 *\" (it never comes), expected a timetable")
        .never_says("jobs.schedules.fine");
    Scratch::new()
        .file("baluarte.toml", config)
        .run(&["check"])
        .expect(2)
        .says("jobs.schedules.leap.missed: found \"never\"")
        .says("run-once");
}
