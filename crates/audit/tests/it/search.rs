//! Finding entries.

use std::{collections::BTreeSet, time::Duration};

use baluarte_audit::{Audit, Entry, EntryFilter, Severity, Shown, Status};
use baluarte_db::Db;
use baluarte_kernel::{Actor, Clock, Ctx, PageQuery, Timestamp};
use baluarte_testkit::each_backend;

use crate::{BROKEN, TRIED, open, record::somebody};

async fn fill(db: &Db, audit: &Audit, clock: &Clock) -> Ctx {
    let (zoe, system) = (somebody(clock), Ctx::system(clock.clone()));
    for round in 0..30_u32 {
        let tx = db.begin().await.unwrap();
        audit.record(
            &zoe,
            &tx,
            Entry::new(&TRIED, "thing").of(Shown(&format!("thing-{round}"))).detail("note", Shown("a 100% Sure_thing")),
        );
        audit.record(&system, &tx, Entry::new(&BROKEN, "engine").failure());
        tx.commit().await.unwrap();
        clock.advance(Duration::from_secs(60));
    }
    zoe
}

/// All pages, in small pieces.
async fn all(audit: &Audit, filter: &EntryFilter, clock: &Clock) -> Vec<i64> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query = PageQuery { limit: Some(7), cursor };
        let page = audit.list_entries(&Ctx::operator(clock.clone()), filter, &query).await.unwrap();
        found.extend(page.items.iter().map(|it| it.seq));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

each_backend! {
    async fn every_question_finds_what_it_asks_for_and_nothing_twice(test: TestDb) {
        let (db, audit) = open(&test).await;
        let began = test.clock.now();
        let zoe = fill(&db, &audit, &test.clock).await;
        let Actor::User(principal) = &zoe.actor else { panic!() };
        let at = |minutes: u64| Some(Timestamp::from_micros(began.plus(Duration::from_secs(minutes * 60)).micros()));
        let text = |text: &str| Some(text.to_owned());
        let any = EntryFilter::default;
        for (question, filter, expected) in [
            ("everything", any(), 61),
            ("who", EntryFilter { actor_id: Some(principal.user_id.to_string()), ..any() }, 30),
            ("what kind of who", EntryFilter { actor_kind: text("system"), ..any() }, 31),
            ("what", EntryFilter { action: text("test.thing.tried"), ..any() }, 30),
            ("what begins so", EntryFilter { action: text("test.thing"), ..any() }, 60),
            ("what begins so, with a point", EntryFilter { action: text("test."), ..any() }, 60),
            ("half a word is no beginning", EntryFilter { action: text("test.thi"), ..any() }, 0),
            ("where", EntryFilter { ip: text("203.0.113.7"), ..any() }, 30),
            ("which", EntryFilter { resource_id: text("thing-3"), ..any() }, 1),
            ("which kind", EntryFilter { resource_kind: text("engine"), ..any() }, 30),
            ("which request", EntryFilter { request_id: text("req-1"), ..any() }, 30),
            ("failures", EntryFilter { status: Some(Status::Failure), ..any() }, 30),
            ("successes", EntryFilter { status: Some(Status::Success), ..any() }, 31),
            ("how bad", EntryFilter { severity: Some(Severity::Warning), ..any() }, 30),
            ("not so bad", EntryFilter { severity: Some(Severity::Notice), ..any() }, 31),
            ("since", EntryFilter { from: at(20), ..any() }, 20),
            ("until", EntryFilter { to: at(9), ..any() }, 21),
            ("between", EntryFilter { from: at(5), to: at(9), ..any() }, 10),
            ("before anything", EntryFilter { to: Some(began.minus(Duration::from_secs(1))), ..any() }, 0),
            ("text", EntryFilter { text: text("SURE_thing"), ..any() }, 30),
            ("text with a sign of its own", EntryFilter { text: text("100%"), ..any() }, 30),
            ("a sign is no wildcard", EntryFilter { text: text("1_0%"), ..any() }, 0),
            ("the name of whoever did it", EntryFilter { text: text("zoe@"), ..any() }, 30),
            ("several", EntryFilter { ip: text("203.0.113.7"), action: text("test"), from: at(28), text: text("sure"), ..any() }, 2),
            ("what contradicts itself", EntryFilter { ip: text("203.0.113.7"), actor_kind: text("system"), ..any() }, 0),
        ] {
            let found = all(&audit, &filter, &test.clock).await;
            assert_eq!(found.len(), expected, "{question}: {found:?}");
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), expected, "{question}: {found:?}");
            assert!(found.is_sorted_by(|a, b| a > b), "{question}: the newest first: {found:?}");
        }
    }

    async fn only_administrators_read(test: TestDb) {
        let (_, audit) = open(&test).await;
        let zoe = somebody(&test.clock);
        assert!(audit.list_entries(&zoe, &EntryFilter::default(), &PageQuery::default()).await.is_err());
        assert!(audit.find_entry(&zoe, 1).await.is_err() && audit.status(&zoe).await.is_err() && audit.list_checkpoints(&zoe, 0, 1).await.is_err());
        assert!(audit.checkpoint_now(&zoe).await.is_err() && audit.begin_export(&zoe, 0, "csv").await.is_err());
    }
}
