use std::{net::Ipv4Addr, sync::Arc};

use baluarte_audit::{Entry, Shown};
use baluarte_db::{
    DbError,
    sea_orm::{self, ConnectionTrait as _, FromQueryResult},
    sql,
};
use baluarte_kernel::{Actor, Clock, CredentialKind, Ctx, Principal, RequestMeta, SessionId, UserId};
use baluarte_testkit::each_backend;

use crate::{BROKEN, TRIED, count, open, rows};

/// Somebody signed in, over HTTP.
pub(crate) fn somebody(clock: &Clock) -> Ctx {
    let principal = Principal {
        user_id: UserId::generate(),
        email: "zoe@example.com".into(),
        name: "Zoë".into(),
        role: "user".into(),
        session_id: Some(SessionId::generate()),
        key_id: None,
        scopes: None,
        credential: CredentialKind::SessionCookie,
        issued_at: clock.now(),
        proven_at: clock.now(),
        epoch: 0,
        expires_at: clock.now(),
    };
    let request = RequestMeta {
        request_id: "req-1".into(),
        client_ip: Ipv4Addr::new(203, 0, 113, 7).into(),
        trusted_peer: None,
        scheme: baluarte_kernel::Scheme::Https,
        host: "example.com".into(),
    };
    Ctx {
        actor: Actor::User(Arc::new(principal)),
        request: Some(request),
        user_agent: Some("Fire\nfox".into()),
        ..Ctx::system(clock.clone())
    }
}

#[derive(Debug, FromQueryResult)]
struct Row {
    seq: i64,
    at: i64,
    action: String,
    severity: String,
    status: String,
    actor_kind: String,
    actor_id: Option<String>,
    actor_session: Option<String>,
    resource_kind: String,
    resource_id: Option<String>,
    request_id: Option<String>,
    details: String,
    actor_name: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
    personal_details: Option<String>,
}

each_backend! {
    async fn an_entry_is_committed_with_its_action_and_says_who_did_what_from_where(test: TestDb) {
        let (db, audit) = open(&test).await;
        let ctx = somebody(&test.clock);
        let tx = db.begin().await.unwrap();
        tx.execute_unprepared("INSERT INTO things VALUES (1)").await.unwrap();
        audit.record(&ctx, &tx, Entry::new(&BROKEN, "thing").of(1_u32).failure().detail("parts", 2_u32).personal("owner", Shown("Ana")));
        audit.record(&Ctx::operator(test.clock.clone()), &tx, Entry::new(&TRIED, "thing"));
        assert_eq!(count(&db, "audit_entries").await, 1, "not before the commit; the first one tells of the key");
        tx.commit().await.unwrap();

        let kept: Vec<Row> = rows(&db, "SELECT * FROM audit_entries WHERE seq > 1 ORDER BY seq").await.iter().map(|row| Row::from_query_result(row, "").unwrap()).collect();
        let [one, two] = &kept[..] else { panic!("{kept:?}") };
        let Actor::User(user) = &ctx.actor else { panic!() };
        assert_eq!((one.seq, one.at), (2, test.clock.now().micros()));
        assert_eq!((one.action.as_str(), one.severity.as_str(), one.status.as_str()), ("test.thing.broken", "warning", "failure"));
        assert_eq!((one.actor_kind.as_str(), &one.actor_id), ("user", &Some(user.user_id.to_string())));
        assert_eq!(one.actor_session, user.session_id.map(|id| id.to_string()));
        assert_eq!((one.resource_kind.as_str(), one.resource_id.as_deref()), ("thing", Some("1")));
        assert_eq!((one.request_id.as_deref(), one.details.as_str()), (Some("req-1"), r#"{"parts":2}"#));
        assert_eq!((one.actor_name.as_deref(), one.ip.as_deref()), (Some("zoe@example.com"), Some("203.0.113.7")));
        assert_eq!((one.user_agent.as_deref(), one.personal_details.as_deref()), (Some("Firefox"), Some(r#"{"owner":"Ana"}"#)));
        assert_eq!((two.seq, two.actor_kind.as_str(), &two.actor_id, &two.ip), (3, "operator", &None, &None));
    }

    async fn without_a_commit_there_is_no_entry(test: TestDb) {
        let (db, audit) = open(&test).await;
        let ctx = Ctx::system(test.clock.clone());
        let tx = db.begin().await.unwrap();
        audit.record(&ctx, &tx, Entry::new(&TRIED, "thing"));
        tx.rollback().await.unwrap();
        let tx = db.begin().await.unwrap();
        audit.record(&ctx, &tx, Entry::new(&TRIED, "thing"));
        drop(tx);
        assert_eq!(count(&db, "audit_entries").await, 1);
    }

    async fn when_the_entry_cannot_be_written_the_action_has_not_happened(test: TestDb) {
        let (db, audit) = open(&test).await;
        let tx = db.begin().await.unwrap();
        tx.execute_unprepared("ALTER TABLE audit_entries RENAME TO elsewhere").await.unwrap();
        tx.commit().await.unwrap();
        let tx = db.begin().await.unwrap();
        tx.execute_unprepared("INSERT INTO things VALUES (1)").await.unwrap();
        audit.record(&Ctx::system(test.clock.clone()), &tx, Entry::new(&TRIED, "thing"));
        assert!(matches!(tx.commit().await, Err(DbError::Driver(_))));
        assert_eq!(count(&db, "things").await, 0);
    }

    async fn many_writers_of_two_replicas_make_one_chain_without_gap_or_fork(test: TestDb) {
        let (db, audit) = open(&test).await;
        let (neighbour, theirs) = open(&test).await;
        let writers: Vec<_> = (0..40_i64).map(|id| {
            let (db, audit) = if id % 2 == 0 { (db.clone(), audit.clone()) } else { (neighbour.clone(), theirs.clone()) };
            let ctx = Ctx::system(test.clock.clone());
            tokio::spawn(async move {
                for round in 0..5 {
                    let tx = db.begin().await.unwrap();
                    tx.execute_raw(sql(&tx, "INSERT INTO things VALUES ($1)", [(id * 10 + round).into()])).await.unwrap();
                    audit.record(&ctx, &tx, Entry::new(&TRIED, "thing").of(id));
                    audit.record(&ctx, &tx, Entry::new(&BROKEN, "thing").of(id));
                    tx.commit().await.unwrap();
                }
            })
        }).collect();
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(count(&db, "things").await, 200);
        let seqs: Vec<i64> = rows(&db, "SELECT seq FROM audit_entries ORDER BY seq").await.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        assert_eq!(seqs, (1..=401).collect::<Vec<_>>());
        assert_eq!(count(&db, "audit_head").await, 1);
    }
}
