//! Erasure, pruning, anchors: what is allowed to disappear, and what leaves the house.

use std::{fs, time::Duration};

use baluarte_audit::{
    AnchorConfig, AnchorKind, AnchorMail, Audit, AuditConfig, Checkpoint, Entry, MIGRATIONS, Mailer, Parts, Shown, verify,
};
use baluarte_db::{Db, Tx};
use baluarte_kernel::{Actor, BoxFuture, Ctx, PageQuery, Period, UserId};
use baluarte_outbound::{Outbound, Policy, Ports, Private, sign};
use baluarte_testkit::{Receiver, Reply, each_backend};

use crate::{TRIED, count, open, open_with, record::somebody, rows, secrets};

const DAY: Duration = Duration::from_secs(86_400);

async fn record(db: &Db, audit: &Audit, ctx: &Ctx, entries: u32) {
    for n in 0..entries {
        let tx = db.begin().await.unwrap();
        audit.record(ctx, &tx, Entry::new(&TRIED, "thing").of(n).personal("owner", Shown("Ana")));
        tx.commit().await.unwrap();
    }
}

fn user(ctx: &Ctx) -> UserId {
    let Actor::User(user) = &ctx.actor else { panic!("somebody") };
    user.user_id
}

fn anchored(kind: AnchorKind, change: impl FnOnce(&mut AnchorConfig)) -> AuditConfig {
    let mut anchor = AnchorConfig { kind, ..AnchorConfig::default() };
    change(&mut anchor);
    AuditConfig { checkpoint_entries: 1, anchors: [("elsewhere".to_owned(), anchor)].into(), ..AuditConfig::default() }
}

/// Keeps the mail with the transaction, as notify does.
struct Mailbox;

impl Mailer for Mailbox {
    fn mail<'a>(&'a self, _: &'a Ctx, tx: &'a Tx, mail: AnchorMail) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            use baluarte_db::sea_orm::ConnectionTrait as _;
            if mail.to == "nobody@example.com" {
                return Err("no such mailbox".to_owned());
            }
            let text = "INSERT INTO things (id) VALUES ($1)";
            tx.execute_raw(baluarte_db::sql(tx, text, [i64::try_from(mail.text.len()).unwrap().into()]))
                .await
                .map_err(|err| err.to_string())?;
            Ok(())
        })
    }
}

each_backend! {
    async fn erasing_a_person_takes_what_is_theirs_and_leaves_the_chain_whole(test: TestDb) {
        let (db, audit) = open(&test).await;
        let (zoe, ana, system) = (somebody(&test.clock), somebody(&test.clock), Ctx::system(test.clock.clone()));
        record(&db, &audit, &zoe, 3).await;
        record(&db, &audit, &ana, 2).await;
        let tx = db.begin().await.unwrap();
        audit.record(&system, &tx, Entry::new(&TRIED, "user").of(user(&zoe)).personal("email", Shown("zoe@example.com")));
        audit.erase_person(&zoe, &tx, user(&zoe));
        tx.commit().await.unwrap();
        audit.look_after().await;

        let left = rows(&db, "SELECT count(*) FROM audit_entries WHERE personal IS NOT NULL AND erased_by IS NULL").await;
        assert_eq!(left[0].try_get_by_index::<i64>(0).unwrap(), 2, "Ana's stay");
        let gone = rows(&db, "SELECT count(*) FROM audit_entries WHERE erased_by IS NOT NULL AND salt IS NULL AND actor_name IS NULL AND ip IS NULL
            AND user_agent IS NULL AND personal_details IS NULL").await;
        assert_eq!(gone[0].try_get_by_index::<i64>(0).unwrap(), 5, "hers, what is about her, and the one that says so");
        let verdict = verify(&db, &secrets(), Vec::new(), 2).await.unwrap();
        assert_eq!((verdict.broken, verdict.erased), (vec![], 5));
        let page = audit.list_entries(&system, &baluarte_audit::EntryFilter { actor_id: Some(user(&zoe).to_string()), ..Default::default() }, &PageQuery::default()).await.unwrap();
        assert!(page.items.iter().all(|it| it.actor.name.is_none() && it.ip.is_none() && it.erased_by.is_some()), "{page:?}");
        assert_eq!(rows(&db, "SELECT seq FROM audit_erasures WHERE done_at IS NULL").await.len(), 0);
    }

    async fn what_is_too_old_is_removed_and_the_rest_still_holds(test: TestDb) {
        let (db, audit) = open_with(&test, |config| config.keep = Some(Period::from_secs(30 * 86_400))).await;
        let ctx = somebody(&test.clock);
        record(&db, &audit, &ctx, 5).await;
        let anchor = audit.checkpoint().await.unwrap().unwrap();
        test.clock.advance(31 * DAY);
        record(&db, &audit, &ctx, 4).await;
        audit.prune().await.unwrap();
        let kept: i64 = rows(&db, "SELECT min(seq) FROM audit_entries").await[0].try_get_by_index(0).unwrap();
        assert_eq!(kept, 7, "six were old: the key's and five");
        let told = rows(&db, "SELECT details FROM audit_entries WHERE action = 'audit.entry.pruned'").await;
        assert!(told[0].try_get_by_index::<String>(0).unwrap().contains("\"entries\":6"));
        let verdict = verify(&db, &secrets(), vec![anchor.clone()], 2).await.unwrap();
        assert_eq!((verdict.broken, verdict.pruned_through, verdict.entries), (vec![], 6, 5));
        // Once more, and nothing is too old.
        audit.prune().await.unwrap();
        assert_eq!(count(&db, "audit_prunings").await, 1);
        // An export begins where the log does now, and still follows what was pruned.
        let mut export = audit.export(0, baluarte_audit::Format::Ndjson).await.unwrap();
        let text = String::from_utf8(export.next().await.unwrap().unwrap()).unwrap();
        assert!(text.starts_with("{\"action\"") && text.lines().next().unwrap().contains(&hex::encode(anchor.hash)), "{text}");
    }

    async fn nothing_is_pruned_that_no_checkpoint_covers_or_that_is_young(test: TestDb) {
        let (db, audit) = open_with(&test, |config| {
            config.keep = Some(Period::from_secs(30 * 86_400));
            config.checkpoint_every = Period::from_secs(3_650 * 86_400);
            config.checkpoint_entries = 1_000_000;
        }).await;
        let ctx = somebody(&test.clock);
        record(&db, &audit, &ctx, 2).await;
        audit.checkpoint().await.unwrap();
        record(&db, &audit, &ctx, 2).await;
        audit.prune().await.unwrap();
        assert_eq!(count(&db, "audit_prunings").await, 0, "young");
        test.clock.advance(31 * DAY);
        audit.prune().await.unwrap();
        let kept: i64 = rows(&db, "SELECT min(seq) FROM audit_entries").await[0].try_get_by_index(0).unwrap();
        assert_eq!(kept, 4, "the last two have no checkpoint yet");
    }

    async fn a_file_gets_a_line_for_each_checkpoint_and_the_check_reads_it(test: TestDb) {
        let path = std::env::temp_dir().join(format!("baluarte_anchor_{:016x}", rand::random::<u64>()));
        let config = anchored(AnchorKind::File, |anchor| anchor.path = path.display().to_string());
        let (db, audit) = open_with(&test, |it| *it = config).await;
        let ctx = somebody(&test.clock);
        for _ in 0..3 {
            record(&db, &audit, &ctx, 2).await;
            audit.look_after().await;
            test.clock.advance(Duration::from_secs(120));
        }
        // Cut off in the middle of a line, as by a crash.
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 20]).unwrap();
        record(&db, &audit, &ctx, 2).await;
        audit.look_after().await;
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let anchors: Vec<Checkpoint> = text.lines().filter_map(|line| Checkpoint::from_line(line).ok()).collect();
        assert_eq!((text.lines().count(), anchors.iter().map(|it| it.seq).collect::<Vec<_>>()), (4, vec![3, 5, 9]));
        let verdict = verify(&db, &secrets(), anchors, 2).await.unwrap();
        assert_eq!((verdict.broken, verdict.anchors), (vec![], 3));
    }

    async fn an_anchor_that_fails_is_told_of_tried_again_and_holds_up_nothing(test: TestDb) {
        let folder = std::env::temp_dir().join(format!("baluarte_anchor_{:016x}", rand::random::<u64>()));
        let path = folder.join("anchors.jsonl");
        let config = anchored(AnchorKind::File, |anchor| anchor.path = path.display().to_string());
        let (db, audit) = open_with(&test, |it| *it = config).await;
        let ctx = somebody(&test.clock);
        record(&db, &audit, &ctx, 2).await;
        audit.look_after().await;
        let state = |status: baluarte_audit::AuditStatus| (status.anchors[0].failures, status.anchors[0].last_error.is_some());
        assert_eq!(state(audit.status(&Ctx::operator(test.clock.clone())).await.unwrap()), (1, true));
        record(&db, &audit, &ctx, 1).await;
        fs::create_dir(&folder).unwrap();
        audit.look_after().await;
        assert!(!path.exists(), "not before its pause is over");
        test.clock.advance(Duration::from_secs(10));
        audit.look_after().await;
        assert_eq!(state(audit.status(&Ctx::operator(test.clock.clone())).await.unwrap()), (0, false));
        let arrived = fs::read_to_string(&path).unwrap().lines().count();
        fs::remove_dir_all(&folder).unwrap();
        assert!(arrived >= 2, "also what was made meanwhile: {arrived}");
    }

    async fn a_webhook_that_fails_gets_everything_it_missed_signed_once_it_answers(test: TestDb) {
        const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        let app = Receiver::start().await;
        app.plan([Reply::Status(500), Reply::HangUp, Reply::Status(204)]);
        let (url, db) = (format!("{}/anchors", app.url()), test.open(&[MIGRATIONS]).await);
        let config = anchored(AnchorKind::Webhook, |anchor| {
            anchor.url = url;
            anchor.secret = SECRET.to_owned().into();
        });
        let outbound = Outbound::new(Policy { private: Private::Allowed, ports: Ports::Any, ..Policy::default() }).unwrap();
        let parts = Parts { outbound: Some(outbound), ..Parts::new(&db, &secrets(), &test.clock) };
        let (audit, ctx, operator) = (Audit::start(&config, parts).await.unwrap(), somebody(&test.clock), Ctx::operator(test.clock.clone()));
        for (failures, pause) in [(1, 10), (2, 20)] {
            record(&db, &audit, &ctx, 1).await;
            audit.look_after().await;
            let anchor = audit.status(&operator).await.unwrap().anchors.remove(0);
            assert_eq!((anchor.failures, anchor.last_error.is_some()), (failures, true), "{anchor:?}");
            audit.look_after().await;
            assert_eq!(app.received().len(), usize::try_from(failures).unwrap(), "not before its pause is over");
            test.clock.advance(Duration::from_secs(pause));
        }
        record(&db, &audit, &ctx, 1).await;
        audit.look_after().await;
        let anchor = audit.status(&operator).await.unwrap().anchors.remove(0);
        assert_eq!((anchor.failures, anchor.last_error), (0, None));
        let received = app.received();
        assert_eq!(received.len(), 3);
        let last = &received[2];
        assert_eq!((last.method.as_str(), last.target.as_str()), ("POST", "/anchors"));
        assert_eq!(last.header("content-type"), Some("application/x-ndjson"));
        let signed = sign(&[SECRET.parse().unwrap()], last.header("webhook-id").unwrap(), test.clock.now(), &last.body).unwrap();
        for (name, value) in signed {
            assert_eq!(last.headers.get(&name), Some(&value), "{name}");
        }
        let text = String::from_utf8(last.body.to_vec()).unwrap();
        let anchors: Vec<Checkpoint> = text.lines().map(|line| Checkpoint::from_line(line).unwrap()).collect();
        assert_eq!(anchors.iter().map(|it| it.seq).collect::<Vec<_>>(), [2, 3, 4], "also what it missed");
        assert_eq!(verify(&db, &secrets(), anchors, 1).await.unwrap().broken, []);
        audit.look_after().await;
        assert_eq!(app.received().len(), 3, "there is nothing new");
    }

    async fn a_webhook_inside_the_own_network_is_not_called(test: TestDb) {
        let app = Receiver::start().await;
        let (url, db) = (app.url(), test.open(&[MIGRATIONS]).await);
        let config = anchored(AnchorKind::Webhook, |anchor| anchor.url = url);
        let parts = Parts { outbound: Some(Outbound::new(Policy { ports: Ports::Any, ..Policy::default() }).unwrap()), ..Parts::new(&db, &secrets(), &test.clock) };
        let audit = Audit::start(&config, parts).await.unwrap();
        record(&db, &audit, &somebody(&test.clock), 1).await;
        audit.look_after().await;
        let anchor = audit.status(&Ctx::operator(test.clock.clone())).await.unwrap().anchors.remove(0);
        assert_eq!((anchor.failures, app.received().len()), (1, 0), "{anchor:?}");
    }

    async fn a_mailbox_gets_the_latest_checkpoint_with_the_state_that_it_was_sent(test: TestDb) {
        let (db, _) = open(&test).await;
        for (to, mails, failures) in [("ops@example.com", 1, 0), ("nobody@example.com", 1, 1)] {
            let config = anchored(AnchorKind::Email, |anchor| anchor.to = to.to_owned());
            let config = AuditConfig { anchors: config.anchors.into_values().map(|it| (to.to_owned(), it)).collect(), ..config };
            let parts = Parts { mailer: Some(std::sync::Arc::new(Mailbox)), ..Parts::new(&db, &secrets(), &test.clock) };
            let audit = Audit::start(&config, parts).await.unwrap();
            record(&db, &audit, &somebody(&test.clock), 3).await;
            audit.look_after().await;
            let status = audit.status(&Ctx::operator(test.clock.clone())).await.unwrap();
            assert_eq!((count(&db, "things").await, status.anchors[0].failures), (mails, failures), "{:?}", status.anchors);
        }
    }

    async fn too_many_entries_of_one_kind_become_a_number(test: TestDb) {
        let (db, audit) = open(&test).await;
        let tx = db.begin().await.unwrap();
        for _ in 0..500 {
            audit.record_bounded(&somebody(&test.clock), &tx, Entry::new(&TRIED, "thing").failure());
        }
        tx.commit().await.unwrap();
        audit.clone().run(std::future::ready(())).await;
        assert_eq!(count(&db, "audit_entries WHERE action = 'test.thing.tried'").await, 120);
        let told = rows(&db, "SELECT details, resource_id FROM audit_entries WHERE action = 'audit.entry.left_out'").await;
        assert!(told[0].try_get_by_index::<String>(0).unwrap().contains("\"count\":380"));
        assert_eq!(told[0].try_get_by_index::<String>(1).unwrap(), "test.thing.tried");
    }

    async fn a_key_is_exchanged_in_time_and_the_new_one_is_vouched_for(test: TestDb) {
        let (db, audit) = open_with(&test, |config| config.key_rotation = Period::from_secs(86_400)).await;
        let ctx = somebody(&test.clock);
        for _ in 0..3 {
            record(&db, &audit, &ctx, 1).await;
            audit.checkpoint().await.unwrap();
            test.clock.advance(DAY);
        }
        let verdict = verify(&db, &secrets(), Vec::new(), 1).await.unwrap();
        assert_eq!((verdict.broken, verdict.notices, verdict.checkpoints), (vec![], vec![], 3));
        assert_eq!(count(&db, "audit_keys").await, 3);
    }
}
