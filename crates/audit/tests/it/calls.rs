//! The gateway's calls: recorded off the request's path, sealed in batches, each of them a link of the chain.

use std::{net::IpAddr, sync::Arc, time::Duration};

use baluarte_audit::{Audit, Call, CallFilter, Calls, CallsConfig, Lane, RecordedCall, Recorder};
use baluarte_db::{Db, Dialect, sea_orm::ConnectionTrait as _};
use baluarte_kernel::{ByteSize, Clock, CredentialKind, Ctx, Cursor, PageQuery, Period, SessionId, Timestamp, UserId};
use baluarte_telemetry::Metrics;
use baluarte_testkit::each_backend;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::{
    count, open, open_with, rows,
    verify::{check, first, tamper},
};

fn call(at: Timestamp, path: &str) -> Call<'_> {
    Call {
        at,
        latency: Duration::from_micros(1_500),
        request_id: "req-1",
        user_id: None,
        session_id: None,
        credential: None,
        method: "POST",
        host: "shop.example",
        path,
        route: "shop",
        upstream: "app",
        status: 201,
        bytes: 17,
        aborted: false,
        ip: IpAddr::from([203, 0, 113, 7]),
        user_agent: b"curl/8",
    }
}

fn recorder(db: &Db, audit: &Audit, clock: &Clock, calls: &Calls) -> Recorder {
    Recorder::new(calls.clone(), audit.clone(), db.clone(), clock.clone(), Duration::from_millis(10))
}

/// Everything that waits is written, as at the end of a process.
async fn write_all(db: &Db, audit: &Audit, clock: &Clock, calls: &Calls) {
    let stop = CancellationToken::new();
    stop.cancel();
    recorder(db, audit, clock, calls).run(stop).await;
}

/// One batch of so many calls, a second apart; the clock moves on.
async fn batch(db: &Db, audit: &Audit, clock: &Clock, lane: &Lane, calls: &Calls, count: usize) {
    for n in 0..count {
        lane.record(&call(clock.now(), &format!("/{n}")));
        clock.advance(Duration::from_secs(1));
    }
    write_all(db, audit, clock, calls).await;
}

async fn list(audit: &Audit, clock: &Clock, filter: &CallFilter) -> Vec<RecordedCall> {
    audit.list_calls(&Ctx::operator(clock.clone()), filter, &PageQuery::default()).await.unwrap().items
}

fn paths(calls: &[RecordedCall]) -> Vec<&str> {
    calls.iter().map(|call| call.path.as_str()).collect()
}

fn start() -> (Calls, Arc<Lane>) {
    let calls = Calls::new(&CallsConfig::default());
    let lane = calls.open_lane(0);
    (calls, lane)
}

/// The same with the guard of the calls' table off.
async fn tamper_calls(db: &Db, statement: &str) {
    let off = if db.dialect() == Dialect::Postgres { "ALTER TABLE audit_calls DISABLE TRIGGER USER" } else { "SELECT 1" };
    tamper(db, &[off, statement]).await;
}

each_backend! {
    async fn every_recorded_call_is_found_with_what_it_was_recorded_with(test: TestDb) {
        let (db, audit) = open(&test).await;
        let (calls, lane) = start();
        let (user, session, now) = (UserId::generate(), SessionId::generate(), test.clock.now());
        lane.record(&Call {
            user_id: Some(user), session_id: Some(session), credential: Some(CredentialKind::AccessToken), status: 403, ..call(now, "/mine")
        });
        let other = calls.open_lane(1);
        other.record(&Call { method: "GET", route: "blog", aborted: true, ..call(now.plus(Duration::from_secs(1)), "/theirs") });
        write_all(&db, &audit, &test.clock, &calls).await;
        assert_eq!(count(&db, "audit_calls").await, 1, "what waits together becomes one batch");

        let all = list(&audit, &test.clock, &CallFilter::default()).await;
        assert_eq!(paths(&all), ["/theirs", "/mine"], "the newest first");
        let mine = &all[1];
        assert_eq!((mine.at, mine.status, mine.bytes, mine.aborted, mine.cut), (now, 403, 17, false, false));
        assert_eq!((mine.user_id.clone(), mine.session_id.clone()), (Some(user.to_string()), Some(session.to_string())));
        assert_eq!((mine.credential, mine.method.as_str(), mine.host.as_str()), (Some("access_token"), "POST", "shop.example"));
        assert_eq!((mine.route.as_str(), mine.upstream.as_str(), mine.request_id.as_str()), ("shop", "app", "req-1"));
        assert_eq!((mine.ip.as_deref(), mine.user_agent.as_deref(), mine.latency_ms), (Some("203.0.113.7"), Some("curl/8"), 1.5));

        for (filter, found) in [
            (CallFilter { user_id: Some(user), ..CallFilter::default() }, "/mine"),
            (CallFilter { session_id: Some(session), ..CallFilter::default() }, "/mine"),
            (CallFilter { status: Some((400, 499)), ..CallFilter::default() }, "/mine"),
            (CallFilter { route: Some("blog".into()), ..CallFilter::default() }, "/theirs"),
            (CallFilter { method: Some("GET".into()), ..CallFilter::default() }, "/theirs"),
            (CallFilter { path: Some("/the".into()), ..CallFilter::default() }, "/theirs"),
            (CallFilter { from: Some(now.plus(Duration::from_secs(1))), ..CallFilter::default() }, "/theirs"),
            (CallFilter { to: Some(now), ..CallFilter::default() }, "/mine"),
        ] {
            assert_eq!(paths(&list(&audit, &test.clock, &filter).await), [found], "{filter:?}");
        }
        let nobody = CallFilter { user_id: Some(UserId::generate()), ..CallFilter::default() };
        assert_eq!(list(&audit, &test.clock, &nobody).await, []);
        let verdict = check(&db).await;
        assert_eq!((verdict.broken, verdict.batches, verdict.calls), (vec![], 1, 2));
    }

    async fn pages_show_each_call_once_across_batches(test: TestDb) {
        let (db, audit) = open(&test).await;
        let (calls, lane) = start();
        for _ in 0..7 {
            batch(&db, &audit, &test.clock, &lane, &calls, 3).await;
        }
        let ctx = Ctx::operator(test.clock.clone());
        let (mut seen, mut cursor): (Vec<RecordedCall>, Option<Cursor>) = (Vec::new(), None);
        loop {
            let page = audit.list_calls(&ctx, &CallFilter::default(), &PageQuery { limit: Some(2), cursor }).await.unwrap();
            assert!(page.items.len() <= 2);
            seen.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 21);
        assert!(seen.windows(2).all(|two| two[0].at > two[1].at));
        let mut export = audit.export_calls(&ctx, CallFilter::default()).await.unwrap();
        let mut lines = Vec::new();
        while let Some(piece) = export.next().await.unwrap() {
            lines.extend(piece);
        }
        let exported: Vec<serde_json::Value> = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap()).collect();
        let ids: Vec<_> = exported.iter().map(|call| call["id"].as_str().unwrap()).collect();
        assert_eq!(ids, seen.iter().rev().map(|call| call.id.as_str()).collect::<Vec<_>>());
    }

    async fn what_is_done_to_recorded_calls_is_found_and_their_entry_named(test: TestDb) {
        let (db, audit) = open(&test).await;
        let (calls, lane) = start();
        for _ in 0..3 {
            batch(&db, &audit, &test.clock, &lane, &calls, 5).await;
        }
        let ids: Vec<String> = rows(&db, "SELECT id FROM audit_calls ORDER BY id").await.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        tamper_calls(&db, "CREATE TABLE before AS SELECT * FROM audit_calls").await;
        for (change, complaint) in [
            ("UPDATE audit_calls SET records = (SELECT records FROM before WHERE id = 'OTHER') WHERE id = 'THIS'", "whose times were changed|whose records were changed"),
            ("UPDATE audit_calls SET private = (SELECT private FROM before WHERE id = 'OTHER') WHERE id = 'THIS'", "whose addresses or user agents were changed"),
            ("UPDATE audit_calls SET private = NULL WHERE id = 'THIS'", "lost their addresses"),
            ("UPDATE audit_calls SET calls = calls - 1 WHERE id = 'THIS'", "tells of 5 calls"),
            ("UPDATE audit_calls SET first_at = first_at + 1 WHERE id = 'THIS'", "whose times were changed"),
            ("UPDATE audit_calls SET last_at = 0 WHERE id = 'THIS'", "whose times were changed"),
            ("UPDATE audit_calls SET records = private WHERE id = 'THIS'", "records were changed"),
            ("DELETE FROM audit_calls WHERE id = 'THIS'", "are missing"),
        ] {
            tamper_calls(&db, &change.replace("THIS", &ids[1]).replace("OTHER", &ids[0])).await;
            let verdict = check(&db).await;
            let what = first(&verdict);
            assert!(complaint.split('|').any(|complaint| what.contains(complaint)), "{change}: {what}");
            assert_eq!(verdict.broken[0].seq, Some(3), "{what}");
            tamper_calls(&db, &format!("DELETE FROM audit_calls WHERE id = '{}'", ids[1])).await;
            tamper_calls(&db, &format!("INSERT INTO audit_calls SELECT * FROM before WHERE id = '{}'", ids[1])).await;
            assert_eq!(check(&db).await.broken, [], "put back after {change}");
        }
        tamper_calls(&db, &format!("INSERT INTO audit_calls (id, first_at, last_at, calls, records, private)
            SELECT 'cal_forged', first_at, last_at, calls, records, private FROM before WHERE id = '{}'", ids[0])).await;
        assert!(first(&check(&db).await).contains("no entry tells of the recorded calls cal_forged"));
    }

    async fn recorded_calls_are_not_changed_and_not_deleted(test: TestDb) {
        let (db, audit) = open(&test).await;
        let (calls, lane) = start();
        batch(&db, &audit, &test.clock, &lane, &calls, 2).await;
        for statement in [
            "UPDATE audit_calls SET calls = 1", "UPDATE audit_calls SET records = private", "UPDATE audit_calls SET private = records",
            "UPDATE audit_calls SET private = NULL", "DELETE FROM audit_calls",
        ] {
            let tx = db.begin().await.unwrap();
            let refused = tx.execute_unprepared(statement).await.unwrap_err().to_string();
            assert!(refused.contains("audit: "), "{statement}: {refused}");
        }
        assert_eq!(check(&db).await.broken, []);
    }

    async fn what_does_not_fit_is_counted_and_an_entry_says_how_many_since_when(test: TestDb) {
        let (db, audit) = open(&test).await;
        let calls = Calls::new(&CallsConfig { buffer: ByteSize::from_bytes(4_096), ..CallsConfig::default() });
        let metrics = Metrics::default();
        calls.report(&metrics);
        let (full, roomy) = (calls.open_lane(0), calls.open_lane(1));
        let began = test.clock.now();
        for _ in 0..500 {
            full.record(&call(test.clock.now(), "/"));
            test.clock.advance(Duration::from_secs(1));
        }
        roomy.record(&call(test.clock.now(), "/roomy"));
        write_all(&db, &audit, &test.clock, &calls).await;

        let kept: i64 = rows(&db, "SELECT calls FROM audit_calls").await[0].try_get_by_index(0).unwrap();
        let lost = 501 - kept;
        assert!(kept > 1 && lost > 0, "{kept}");
        let gaps = rows(&db, "SELECT details, status FROM audit_entries WHERE action = 'audit.call.lost'").await;
        assert_eq!(gaps.len(), 1, "one for the core that lost some");
        let details: serde_json::Value = serde_json::from_str(&gaps[0].try_get_by_index::<String>(0).unwrap()).unwrap();
        assert_eq!((details["calls"].as_i64(), details["core"].as_i64()), (Some(lost), Some(0)));
        let moment = |name: &str| details[name].as_str().unwrap().parse::<Timestamp>().unwrap();
        assert_eq!(moment("first_at"), began.plus(Duration::from_secs(u64::try_from(kept).unwrap() - 1)));
        assert_eq!(moment("last_at"), began.plus(Duration::from_secs(499)));
        let shown = metrics.render();
        assert!(shown.contains(&format!("baluarte_audit_calls_lost_total {lost}\n")), "{shown}");
        assert!(shown.contains(&format!("baluarte_audit_calls_recorded_total {kept}\n")), "{shown}");

        full.record(&call(test.clock.now(), "/after"));
        write_all(&db, &audit, &test.clock, &calls).await;
        assert_eq!(rows(&db, "SELECT 1 FROM audit_entries WHERE action = 'audit.call.lost'").await.len(), 1, "a gap is told of once");
        assert_eq!(check(&db).await.broken, []);
    }

    async fn calls_wait_while_they_cannot_be_written_and_none_is_written_twice(test: TestDb) {
        let (db, audit) = open(&test).await;
        let (calls, lane) = start();
        let metrics = Metrics::default();
        calls.report(&metrics);
        let rename = async |from: &str, to: &str| {
            let tx = db.begin().await.unwrap();
            tx.execute_unprepared(&format!("ALTER TABLE {from} RENAME TO {to}")).await.unwrap();
            tx.commit().await.unwrap();
        };
        rename("audit_calls", "elsewhere").await;
        let stop = CancellationToken::new();
        let running = tokio::spawn(recorder(&db, &audit, &test.clock, &calls).run(stop.clone()));
        lane.record(&call(test.clock.now(), "/first"));
        while metrics.render().contains("baluarte_audit_calls_write_failures_total 0\n") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        lane.record(&call(test.clock.now().plus(Duration::from_secs(1)), "/second"));
        stop.cancel();
        rename("elsewhere", "audit_calls").await;
        running.await.unwrap();
        assert_eq!(paths(&list(&audit, &test.clock, &CallFilter::default()).await), ["/second", "/first"]);
        assert_eq!(check(&db).await.broken, []);
    }

    async fn old_calls_are_pruned_with_their_entries_and_the_rest_holds(test: TestDb) {
        let (db, audit) = open_with(&test, |config| config.keep = Some(Period::from_secs(86_400))).await;
        let (calls, lane) = start();
        for _ in 0..30 {
            batch(&db, &audit, &test.clock, &lane, &calls, 2).await;
        }
        audit.checkpoint().await.unwrap();
        test.clock.advance(Duration::from_secs(2 * 86_400));
        batch(&db, &audit, &test.clock, &lane, &calls, 2).await;
        audit.prune().await.unwrap();
        audit.prune().await.unwrap();
        assert_eq!(count(&db, "audit_calls").await, 1);
        assert_eq!(list(&audit, &test.clock, &CallFilter::default()).await.len(), 2);
        let verdict = check(&db).await;
        assert_eq!((verdict.broken, verdict.calls), (vec![], 2));
    }

    async fn addresses_of_old_calls_are_erased_the_calls_stay_and_the_chain_holds(test: TestDb) {
        let (db, audit) = open(&test).await;
        let (calls, lane) = start();
        batch(&db, &audit, &test.clock, &lane, &calls, 2).await;
        audit.anonymise_calls().await.unwrap();
        assert!(list(&audit, &test.clock, &CallFilter::default()).await.iter().all(|call| call.ip.is_some()), "not before their time");
        test.clock.advance(Duration::from_secs(31 * 86_400));
        batch(&db, &audit, &test.clock, &lane, &calls, 1).await;
        audit.anonymise_calls().await.unwrap();
        audit.anonymise_calls().await.unwrap();
        let all = list(&audit, &test.clock, &CallFilter::default()).await;
        let shown: Vec<_> = all.iter().map(|call| (call.path.as_str(), call.ip.is_some(), call.user_agent.is_some())).collect();
        assert_eq!(shown, [("/0", true, true), ("/1", false, false), ("/0", false, false)]);
        assert_eq!(rows(&db, "SELECT 1 FROM audit_entries WHERE action = 'audit.call.anonymised'").await.len(), 1);
        let verdict = check(&db).await;
        assert_eq!((verdict.broken, verdict.calls), (vec![], 3));
    }

    async fn a_proof_leads_from_a_call_to_the_roots_in_its_entry(test: TestDb) {
        let (db, audit) = open(&test).await;
        let (calls, lane) = start();
        batch(&db, &audit, &test.clock, &lane, &calls, 11).await;
        let ctx = Ctx::operator(test.clock.clone());
        for one in list(&audit, &test.clock, &CallFilter::default()).await {
            let proof = audit.prove_call(&ctx, &one.id).await.unwrap();
            assert_eq!(proof.call, one);
            let details: String = rows(&db, &format!("SELECT details FROM audit_entries WHERE seq = {}", proof.entry.unwrap())).await[0].try_get_by_index(0).unwrap();
            let details: serde_json::Value = serde_json::from_str(&details).unwrap();
            assert_eq!(details["calls"], proof.calls);
            for (bytes, path, root) in [(&proof.record, &proof.path, "root"), (proof.private.as_ref().unwrap(), &proof.private_path, "private_root")] {
                assert_eq!(climb(&hex::decode(bytes).unwrap(), proof.index, proof.calls, path), details[root], "{root} of {}", proof.index);
            }
        }
        assert!(audit.prove_call(&ctx, "cal_00000000000000000000000000000000.0").await.is_err());
        assert!(audit.prove_call(&ctx, "nonsense").await.is_err());
    }
}

/// From the words of docs/audit-calls.md alone.
fn climb(bytes: &[u8], mut index: usize, mut count: usize, path: &[String]) -> String {
    let mut hash = Sha256::digest([&[0], bytes].concat()).to_vec();
    let mut path = path.iter().map(|beside| hex::decode(beside).unwrap());
    while count > 1 {
        if index ^ 1 < count {
            let beside = path.next().unwrap();
            let (left, right) = if index % 2 == 1 { (beside, hash) } else { (hash, beside) };
            hash = Sha256::digest([&[1], &left[..], &right[..]].concat()).to_vec();
        }
        index /= 2;
        count = count.div_ceil(2);
    }
    assert_eq!(path.next(), None);
    hex::encode(hash)
}
