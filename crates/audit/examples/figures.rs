//! How fast entries are recorded and the chain is checked: `cargo run --release -p baluarte-audit --example figures -- 500000`.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measurement prints, and ends where something is wrong")]

use std::{net::Ipv4Addr, sync::Arc, time::Instant};

use baluarte_audit::{Audit, AuditConfig, Entry, MIGRATIONS, Parts, Shown, verify};
use baluarte_db::{Db, Dialect};
use baluarte_kernel::{Actor, CredentialKind, Ctx, Principal, RequestMeta, Scheme, Secret, SessionId, UserId};
use baluarte_secrets::Secrets;
use baluarte_testkit::TestDb;

baluarte_audit::actions! {
    ROLE_CHANGED = "test.user.role_changed", Notice, "As identity records it.";
}

/// Actions in one transaction while the chain is filled.
const GROUP: u64 = 500;

#[tokio::main]
async fn main() {
    let entries: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(500_000);
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        let mut test = TestDb::create(dialect).await;
        test.config.connections = 8;
        let db = test.open(&[MIGRATIONS]).await;
        let secrets = Secrets::new(&Secret::new("a secret key for a measurement, longer than 32 bytes"), &Secret::new("salt"));
        let audit = Audit::start(&AuditConfig::default(), Parts::new(&db, &secrets, &test.clock)).await.expect("starts");
        let ctx = somebody(&test);
        let alone = one_by_one(&db, &audit, &ctx, 500).await;
        let empty = without(&db, 500).await;
        println!("{dialect:?}: a transaction with one entry {alone:.0} µs, with none {empty:.0} µs");
        let began = Instant::now();
        for _ in 0..entries / GROUP {
            let tx = db.begin().await.expect("begins");
            (0..GROUP).for_each(|_| record(&audit, &ctx, &tx));
            tx.commit().await.expect("commits");
            audit.checkpoint().await.expect("signs");
        }
        let rate = entries as f64 / began.elapsed().as_secs_f64();
        println!("{dialect:?}: recorded {entries} entries, {GROUP} in a transaction: {rate:.0} entries/s");
        for workers in [1, 2, 3, 4, 6, 4, 4] {
            let began = Instant::now();
            let verdict = verify(&db, &secrets, Vec::new(), workers).await.expect("answers");
            assert!(verdict.holds(), "{:?}", verdict.broken);
            let rate = verdict.entries as f64 / began.elapsed().as_secs_f64();
            println!(
                "{dialect:?}: checked {} entries, {} checkpoints with {workers} workers: {rate:.0} entries/s",
                verdict.entries, verdict.checkpoints
            );
        }
        db.close().await;
    }
}

fn record(audit: &Audit, ctx: &Ctx, tx: &baluarte_db::Tx) {
    let entry = Entry::new(&ROLE_CHANGED, "user").of(UserId::generate()).detail("from", Shown("user")).detail("to", Shown("support"));
    audit.record(ctx, tx, entry);
}

async fn one_by_one(db: &Db, audit: &Audit, ctx: &Ctx, times: u32) -> f64 {
    let began = Instant::now();
    for _ in 0..times {
        let tx = db.begin().await.expect("begins");
        record(audit, ctx, &tx);
        tx.commit().await.expect("commits");
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

/// The same commit of something else.
async fn without(db: &Db, times: u32) -> f64 {
    use baluarte_db::sea_orm::ConnectionTrait as _;
    let began = Instant::now();
    for n in 0..times {
        let tx = db.begin().await.expect("begins");
        let text = format!("INSERT INTO audit_anchors (place, seq, failures, next_attempt_at) VALUES ('{n}', 0, 0, 0)");
        tx.execute_unprepared(&text).await.expect("inserts");
        tx.commit().await.expect("commits");
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

fn somebody(test: &TestDb) -> Ctx {
    let now = test.clock.now();
    let principal = Principal {
        user_id: UserId::generate(),
        email: "zoe@example.com".into(),
        name: "Zoë".into(),
        role: "admin".into(),
        session_id: Some(SessionId::generate()),
        scopes: None,
        credential: CredentialKind::SessionCookie,
        issued_at: now,
        epoch: 0,
        expires_at: now,
    };
    let request = RequestMeta {
        request_id: "01J5Z3NDEKTSV4RRFFQ69G5FAV".into(),
        client_ip: Ipv4Addr::new(203, 0, 113, 7).into(),
        trusted_peer: None,
        scheme: Scheme::Https,
        host: "example.com".into(),
    };
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    Ctx {
        actor: Actor::User(Arc::new(principal)),
        request: Some(request),
        user_agent: Some(agent.into()),
        ..Ctx::system(test.clock.clone())
    }
}
