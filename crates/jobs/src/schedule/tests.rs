//! Replicas that have the same timetables, on a clock that the tests move.

use std::sync::atomic::{AtomicU32, Ordering};

use baluarte_backplane::Backplane;
use baluarte_db::Db;
use baluarte_kernel::{Clock, Secret};
use baluarte_secrets::Secrets;
use baluarte_testkit::{TestDb, each_backend};
use serde::{Deserialize, Serialize};

use super::*;
use crate::{Failure, Job, JobsConfig, MIGRATIONS, Registry, Run, ScheduleView};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Serialize, Deserialize)]
struct Tick {}

impl Job for Tick {
    const KIND: &'static str = "test.tick";
    type Deps = Arc<AtomicU32>;
    async fn run(self, _: Run, ran: Self::Deps) -> Result<(), Failure> {
        ran.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn every(name: &str, cron: &str) -> Recurring {
    Recurring::new(name, cron, "UTC")
}

struct Site {
    db: Db,
    clock: Clock,
    ran: Arc<AtomicU32>,
}

struct Replica {
    jobs: Jobs,
    registry: Registry,
    agenda: Agenda,
}

impl Site {
    async fn new(test: &TestDb) -> Self {
        Self { db: test.open(&[MIGRATIONS]).await, clock: test.clock.clone(), ran: Arc::default() }
    }

    async fn replica(&self, schedules: impl IntoIterator<Item = Recurring>) -> Replica {
        let secrets = Secrets::new(&Secret::new("k"), &Secret::new("s"));
        let (db, clock) = (self.db.clone(), self.clock.clone());
        let jobs = Jobs::new(&JobsConfig::default(), db, Backplane::local(clock.clone()), secrets, clock, []);
        let registry = Registry::default().register::<Tick>(self.ran.clone());
        let registry = schedules.into_iter().fold(registry, |registry, it| registry.schedule(it, &Tick {}).expect("it can be read"));
        Agenda::forget_others(&jobs, &registry.schedules).await.expect("forgotten");
        let agenda = Agenda::open(&jobs, &registry.schedules).await.expect("opened");
        Replica { jobs, registry, agenda }
    }

    async fn schedules(&self) -> Vec<ScheduleView> {
        schedules::list(&self.db).await.expect("a list")
    }

    async fn only(&self) -> ScheduleView {
        let mut all = self.schedules().await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    fn ran(&self) -> u32 {
        self.ran.load(Ordering::SeqCst)
    }

    /// The clock at that time.
    fn at(&self, time: &str) {
        let time: Timestamp = time.parse().expect("a time");
        self.clock.advance(time.since(self.clock.now()));
    }
}

impl Replica {
    async fn start_due(&mut self) {
        self.agenda.start_due(&self.jobs).await.expect("started");
    }

    async fn work(&mut self) {
        self.start_due().await;
        self.jobs.run_due_for_tests(&self.registry).await.expect("done");
    }
}

each_backend! {
    async fn of_all_replicas_one_starts_each_run(test: TestDb) {
        let site = Site::new(&test).await;
        let (mut one, mut two) = (site.replica([every("t", "* * * * *")]).await, site.replica([every("t", "* * * * *")]).await);
        for minute in 1..=20 {
            test.clock.advance(MINUTE);
            // At the same time, and one after the other, when the run of the first is over already.
            if minute % 2 == 0 {
                let ((), ()) = tokio::join!(one.start_due(), two.start_due());
            }
            one.work().await;
            two.work().await;
            assert_eq!(site.ran(), minute);
        }
        let view = site.only().await;
        assert_eq!((view.missed, view.last_outcome.as_deref(), view.next_at), (0, Some("done"), test.clock.now().plus(MINUTE)));
    }

    async fn missed_runs_are_told_and_made_up_for_by_one(test: TestDb) {
        let site = Site::new(&test).await;
        site.replica([every("t", "0 * * * *")]).await;
        site.at("2027-01-15T11:20:00Z");
        // The worker of before is gone; nobody was there at 9, 10 and 11.
        let mut back = site.replica([every("t", "0 * * * *")]).await;
        back.work().await;
        back.work().await;
        let view = site.only().await;
        assert_eq!((site.ran(), view.missed, view.missed_at, view.last_at), (1, 3, Some(test.clock.now()), Some(test.clock.now())));
        site.at("2027-01-15T12:00:00Z");
        back.work().await;
        assert_eq!((site.ran(), site.only().await.missed), (2, 3));
    }

    async fn what_is_skipped_when_missed_runs_again_in_its_time(test: TestDb) {
        let site = Site::new(&test).await;
        let skip = || Recurring { missed: Missed::Skip, ..every("t", "0 * * * *") };
        site.replica([skip()]).await;
        site.at("2027-01-15T11:20:00Z");
        let mut back = site.replica([skip()]).await;
        back.work().await;
        let view = site.only().await;
        assert_eq!((site.ran(), view.missed, view.last_outcome.as_deref(), view.last_job), (0, 3, Some("skipped"), None));
        // Nobody is there at 12; at 13 somebody is in time.
        site.at("2027-01-15T13:00:10Z");
        back.work().await;
        assert_eq!((site.ran(), site.only().await.missed), (1, 4));
    }

    async fn a_run_is_left_out_while_the_one_before_goes_on(test: TestDb) {
        let site = Site::new(&test).await;
        let mut replica = site.replica([every("t", "* * * * *")]).await;
        test.clock.advance(MINUTE);
        replica.start_due().await;
        let first = site.only().await;
        test.clock.advance(MINUTE);
        replica.start_due().await;
        let second = site.only().await;
        assert_eq!((second.last_outcome.as_deref(), second.missed), (Some("overlapped"), 0));
        assert_eq!(second.last_job, first.last_job, "the one that still goes on is named");
        replica.work().await;
        test.clock.advance(MINUTE);
        replica.work().await;
        assert_eq!((site.ran(), site.only().await.last_outcome.as_deref()), (2, Some("done")));
    }

    async fn a_fixed_time_runs_once_a_day_when_clocks_change(test: TestDb) {
        // In Berlin 2:30 comes not at all on 28 March 2027, and twice on 31 October.
        for (from, expected) in [
            ("2027-03-26T23:00:00Z", ["2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]),
            ("2027-10-29T22:00:00Z", ["2027-10-30T00:30:00Z", "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]),
        ] {
            let site = Site::new(&test).await;
            site.at(from);
            let recurring = Recurring::new("t", "30 2 * * *", "Europe/Berlin");
            // Without the one of the turn before.
            site.replica([]).await;
            let (mut one, mut two) = (site.replica([recurring.clone()]).await, site.replica([recurring]).await);
            let mut began = Vec::new();
            for _ in 0..2 * 72 {
                test.clock.advance(HOUR / 2);
                if one.agenda.next_at().min(two.agenda.next_at()) > Some(test.clock.now()) {
                    continue;
                }
                let before = site.ran();
                one.work().await;
                two.work().await;
                began.extend((before..site.ran()).map(|_| test.clock.now().to_string()));
            }
            assert_eq!(began, expected);
            assert_eq!(site.only().await.missed, 0);
        }
    }

    async fn what_left_the_program_is_forgotten_and_what_stays_keeps_its_time(test: TestDb) {
        let site = Site::new(&test).await;
        site.replica([every("gone", "* * * * *"), every("stays", "0 * * * *"), every("changed", "0 * * * *")]).await;
        let due = site.schedules().await.into_iter().find(|it| it.name == "stays").expect("it is there").next_at;
        test.clock.advance(3 * HOUR);
        site.replica([every("stays", "0 * * * *"), every("changed", "30 * * * *")]).await;
        let all = site.schedules().await;
        assert_eq!(all.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["stays", "changed"]);
        assert_eq!(all[0].next_at, due, "what was missed is still to be noticed");
        assert!(all[1].next_at > test.clock.now(), "nobody missed a time that has just been written");
    }

    async fn a_replica_of_before_does_not_silence_what_is_new(test: TestDb) {
        let site = Site::new(&test).await;
        let mut new = site.replica([every("t", "* * * * *")]).await;
        // Another version that does not know it starts once more.
        site.replica([]).await;
        for _ in 0..2 {
            test.clock.advance(MINUTE);
            new.work().await;
        }
        assert_eq!(site.ran(), 1, "found to be forgotten at its first time, and back at the second");
        // One that has it at other times takes it over, and ends.
        site.replica([every("t", "30 * * * *")]).await;
        test.clock.advance(MINUTE);
        new.work().await;
        assert_eq!((site.ran(), site.only().await.cron.as_str()), (1, "30 * * * *"), "it may still be there");
        test.clock.advance(2 * HOUR);
        new.work().await;
        test.clock.advance(MINUTE);
        new.work().await;
        assert_eq!((site.ran(), site.only().await.cron.as_str()), (2, "* * * * *"));
    }

    async fn a_schedule_that_another_version_forgot_is_back_before_its_time_and_one_that_nobody_has_goes(test: TestDb) {
        let site = Site::new(&test).await;
        let mut new = site.replica([every("nightly", "0 3 * * *")]).await;
        let due = site.only().await.next_at;
        // One of the version before starts once more, and stays.
        let mut old = site.replica([every("of_before", "0 4 * * *")]).await;
        assert_eq!(site.only().await.name, "of_before");
        test.clock.advance(KEPT);
        new.agenda.keep(&new.jobs).await.expect("kept");
        old.agenda.keep(&old.jobs).await.expect("kept");
        let names = async || site.schedules().await.into_iter().map(|it| it.name).collect::<Vec<_>>();
        assert_eq!((names().await, site.schedules().await[0].next_at), (vec!["nightly".to_owned(), "of_before".to_owned()], due));
        // Its last process ends, without a start of anybody.
        drop(old);
        for _ in 0..4 {
            test.clock.advance(KEPT);
            new.agenda.keep(&new.jobs).await.expect("kept");
        }
        assert_eq!(names().await, ["nightly"]);
        site.at(&due.to_string());
        new.work().await;
        assert_eq!((site.ran(), site.only().await.missed), (1, 0));
    }

    async fn a_replica_that_fell_behind_catches_up_with_what_others_did_and_left(test: TestDb) {
        let site = Site::new(&test).await;
        let (mut one, mut two) = (site.replica([every("t", "0 * * * *")]).await, site.replica([every("t", "0 * * * *")]).await);
        test.clock.advance(HOUR);
        one.work().await;
        drop(one);
        // The other one had not even got to the hour that the first one did; meanwhile one more is over.
        test.clock.advance(HOUR + 10 * MINUTE);
        two.work().await;
        two.work().await;
        let view = site.only().await;
        assert_eq!((site.ran(), view.missed), (2, 1));
        assert!(view.next_at > test.clock.now());
    }
}
