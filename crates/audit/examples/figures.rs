//! How fast entries are recorded, checked and found: `cargo xtask bench audit`, or
//! `cargo run --release -p baluarte-audit --example figures -- 1000000 [sqlite|postgresql]`.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measurement prints, and ends where something is wrong")]

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use baluarte_audit::{Action, Audit, AuditConfig, Entry, EntryFilter, MIGRATIONS, Parts, Shown, verify};
use baluarte_db::{Db, Dialect, sea_orm::ConnectionTrait as _, sql};
use baluarte_kernel::{Actor, Clock, CredentialKind, Ctx, PageQuery, Principal, RequestMeta, Scheme, Secret, SessionId, UserId};
use baluarte_secrets::Secrets;
use baluarte_testkit::TestDb;

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

baluarte_audit::actions! {
    ROLE_CHANGED = "test.user.role_changed", Notice, "As identity records it.";
    SIGNED_IN = "test.session.begun", Info, "Somebody signed in.";
    EDITED = "test.page.edited", Info, "Somebody edited a page.";
    BROKEN = "test.page.broken", Warning, "Rare, and worth a look.";
}

/// Actions in one transaction while the chain is filled.
const GROUP: u64 = 500;
const PEOPLE: usize = 1_000;
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() {
    let entries: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let only = std::env::args().nth(2).unwrap_or_default();
    let databases = [("sqlite", Dialect::Sqlite), ("postgresql", Dialect::Postgres)];
    for (_, dialect) in databases.into_iter().filter(|(name, _)| only.is_empty() || only == *name) {
        let mut test = TestDb::create(dialect).await;
        test.config.connections = 8;
        let db = test.open(&[MIGRATIONS]).await;
        let secrets = Secrets::new(&Secret::new("a secret key for a measurement, longer than 32 bytes"), &Secret::new("salt"));
        let audit = Audit::start(&AuditConfig::default(), Parts::new(&db, &secrets, &test.clock)).await.expect("starts");
        let people: Vec<Ctx> = (0..PEOPLE).map(|n| somebody(&test.clock, n)).collect();
        let began = test.clock.now();
        let alone = one_by_one(&db, &audit, &people[0], 500).await;
        let empty = without(&db, 500).await;
        println!("{dialect:?}: a transaction with one entry {alone:.0} µs, with none {empty:.0} µs");
        fill(&db, &audit, &people, &test.clock, entries, dialect).await;
        println!("\n| {dialect:?}: check | workers | entries/s |\n| --- | --- | --- |");
        for workers in [1, 2, 4] {
            let mut rates = Vec::new();
            for _ in 0..ROUNDS {
                let began = Instant::now();
                let verdict = verify(&db, &secrets, Vec::new(), workers).await.expect("answers");
                assert!(verdict.holds(), "{:?}", verdict.broken);
                rates.push(verdict.entries as f64 / began.elapsed().as_secs_f64());
            }
            println!("| chain, personal fields, checkpoints | {workers} | {:.0} |", median(rates));
        }
        read_only(&db, dialect, entries).await;
        search(&audit, &people, began, entries, dialect).await;
        db.close().await;
    }
}

async fn fill(db: &Db, audit: &Audit, people: &[Ctx], clock: &Clock, entries: u64, dialect: Dialect) {
    let began = Instant::now();
    for group in 0..entries / GROUP {
        let tx = db.begin().await.expect("begins");
        for n in group * GROUP..(group + 1) * GROUP {
            record(audit, &people[n as usize % PEOPLE], &tx, n);
            clock.advance(Duration::from_millis(1));
        }
        tx.commit().await.expect("commits");
        if group % 2 == 1 {
            audit.checkpoint().await.expect("signs");
        }
    }
    let rate = entries as f64 / began.elapsed().as_secs_f64();
    println!("{dialect:?}: recorded {entries} entries, {GROUP} in a transaction: {rate:.0} entries/s");
    let settle = if dialect == Dialect::Sqlite { "PRAGMA optimize" } else { "ANALYZE audit_entries" };
    let tx = db.begin().await.expect("begins");
    tx.execute_unprepared(settle).await.expect("settles");
    tx.commit().await.expect("commits");
}

fn record(audit: &Audit, ctx: &Ctx, tx: &baluarte_db::Tx, n: u64) {
    let action: &'static Action = match n {
        n if n % 100_000 == 77 => &BROKEN,
        n if n % 10 == 0 => &ROLE_CHANGED,
        n if n % 2 == 0 => &SIGNED_IN,
        _ => &EDITED,
    };
    let entry = Entry::new(action, "user").of(UserId::generate()).detail("from", Shown("user")).detail("to", Shown("support"));
    audit.record(ctx, tx, entry);
}

/// The same rows, read through as many connections and looked at by nobody.
async fn read_only(db: &Db, dialect: Dialect, entries: u64) {
    let columns = "seq, id, kind, at, action, severity, status, actor_kind, actor_id, actor_session, resource_kind, resource_id,
        request_id, details, personal, salt, actor_name, ip, user_agent, personal_details, erased_by, hash";
    for workers in [2, 4] {
        let began = Instant::now();
        let each = entries as i64 / workers;
        let tasks: Vec<_> = (0..workers)
            .map(|worker| {
                let (db, columns) = (db.clone(), columns.to_owned());
                tokio::spawn(async move {
                    for first in (worker * each..(worker + 1) * each).step_by(2_048) {
                        let last = (first + 2_047).min((worker + 1) * each - 1);
                        let rows = format!("SELECT {columns} FROM audit_entries WHERE seq >= {first} AND seq <= {last} ORDER BY seq");
                        match dialect {
                            Dialect::Postgres => drop(db.copy_out(&rows).await.expect("reads")),
                            // Everything looked at by SQLite, and one number handed out.
                            Dialect::Sqlite => {
                                let text = format!(
                                    "SELECT count(*) FROM (SELECT concat_ws('', {columns}) AS it FROM ({rows}) LIMIT -1) WHERE it <> ''"
                                );
                                db.read().query_one_raw(sql(db.read(), &text, [])).await.expect("reads");
                            }
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("reads");
        }
        println!("| the same rows read and not looked at | {workers} | {:.0} |", entries as f64 / began.elapsed().as_secs_f64());
    }
}

/// A page of 50 each, the median of several.
async fn search(audit: &Audit, people: &[Ctx], began: baluarte_kernel::Timestamp, entries: u64, dialect: Dialect) {
    let id = |ctx: &Ctx| match &ctx.actor {
        Actor::User(user) => user.user_id.to_string(),
        _ => String::new(),
    };
    let half = began.plus(Duration::from_millis(entries / 2));
    let none = EntryFilter::default;
    let all = audit.list_entries(&Ctx::operator(Clock::System), &none(), &PageQuery::default()).await.expect("answers");
    let resource = all.items.last().and_then(|entry| entry.resource.id.clone());
    println!("\n| {dialect:?}: search among {entries} | found | ms |\n| --- | --- | --- |");
    for (what, filter) in [
        ("the newest", none()),
        ("actor", EntryFilter { actor_id: Some(id(&people[7])), ..none() }),
        ("action, frequent", EntryFilter { action: Some("test.page.edited".into()), ..none() }),
        ("action, rare", EntryFilter { action: Some("test.page.broken".into()), ..none() }),
        ("resource", EntryFilter { resource_id: resource, ..none() }),
        ("address", EntryFilter { ip: Some("10.0.0.9".into()), ..none() }),
        ("time, an hour in the middle", EntryFilter { from: Some(half), to: Some(half.plus(Duration::from_secs(3_600))), ..none() }),
        ("actor and time", EntryFilter { actor_id: Some(id(&people[7])), to: Some(half), ..none() }),
        ("actor and action", EntryFilter { actor_id: Some(id(&people[8])), action: Some("test.session".into()), ..none() }),
        ("severity", EntryFilter { severity: Some(baluarte_audit::Severity::Warning), ..none() }),
        ("part of the details, nowhere", EntryFilter { text: Some("nothing of that".into()), ..none() }),
    ] {
        let (mut times, mut found) = (Vec::new(), 0);
        for _ in 0..7 {
            let began = Instant::now();
            let page = audit.list_entries(&Ctx::operator(Clock::System), &filter, &PageQuery::default()).await.expect("answers");
            times.push(began.elapsed().as_secs_f64() * 1e3);
            found = page.items.len();
        }
        println!("| {what} | {found} | {:.2} |", median(times));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn one_by_one(db: &Db, audit: &Audit, ctx: &Ctx, times: u32) -> f64 {
    let began = Instant::now();
    for n in 0..times {
        let tx = db.begin().await.expect("begins");
        record(audit, ctx, &tx, n.into());
        tx.commit().await.expect("commits");
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

/// The same commit of something else.
async fn without(db: &Db, times: u32) -> f64 {
    let began = Instant::now();
    for n in 0..times {
        let tx = db.begin().await.expect("begins");
        let text = format!("INSERT INTO audit_anchors (place, seq, failures, next_attempt_at) VALUES ('{n}', 0, 0, 0)");
        tx.execute_unprepared(&text).await.expect("inserts");
        tx.commit().await.expect("commits");
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

fn somebody(clock: &Clock, n: usize) -> Ctx {
    let now = clock.now();
    let principal = Principal {
        user_id: UserId::generate(),
        email: format!("zoe{n}@example.com"),
        name: "Zoë".into(),
        role: "admin".into(),
        session_id: Some(SessionId::generate()),
        key_id: None,
        scopes: None,
        credential: CredentialKind::SessionCookie,
        issued_at: now,
        proven_at: now,
        epoch: 0,
        expires_at: now,
    };
    let request = RequestMeta {
        request_id: format!("01J5Z3NDEKTSV4RRFFQ69G{n:04}").into(),
        client_ip: Ipv4Addr::new(10, 0, (n / 250) as u8, (n % 250) as u8).into(),
        trusted_peer: None,
        scheme: Scheme::Https,
        host: "example.com".into(),
    };
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    Ctx { actor: Actor::User(Arc::new(principal)), request: Some(request), user_agent: Some(agent.into()), ..Ctx::system(clock.clone()) }
}
