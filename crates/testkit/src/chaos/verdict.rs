//! What must hold afterwards.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    time::Duration,
};

use baluarte_db::sea_orm::QueryResult;

use super::{load::Wish, recorder::Arrivals, scene::Scene};

/// What happened, and what must not have.
#[derive(Debug)]
pub struct Outcome {
    pub jobs: usize,
    pub took: Duration,
    /// `kill -9`, of servers and workers.
    pub kills: u32,
    /// SIGTERM.
    pub stops: u32,
    pub outages: u32,
    /// Runs under way in a process when it was killed.
    pub in_flight: u64,
    /// Runs whose worker was lost.
    pub rescued: usize,
    /// Workers that lived and were taken for dead, because they were too slow.
    pub too_slow: usize,
    /// Jobs whose effect happened more than once.
    pub twice: usize,
    /// Requests to enqueue of which nobody knew whether they were heard.
    pub unanswered: u32,
    /// Pairs of jobs with one key, enqueued at the same time.
    pub pairs: usize,
    /// The first of what must not have happened, and how often.
    pub violations: Vec<String>,
}

struct Row {
    key: String,
    state: String,
    attempts: u32,
    worker_gone: bool,
}

pub(super) async fn judge(scene: Scene, arrivals: Arrivals, wishes: Vec<Wish>, audit: Result<(), String>, took: Duration) -> Outcome {
    let rows = scene.rows("SELECT id, state, attempts, unique_key, worker, finished_at FROM jobs WHERE kind = 'jobs.call_http'").await;
    let rows: HashMap<String, Row> = rows.iter().map(row).collect();
    let errors = scene
        .rows("SELECT e.job_id, e.attempt, e.error FROM job_errors e JOIN jobs j ON j.id = e.job_id WHERE j.kind = 'jobs.call_http'")
        .await;
    let errors: HashMap<(String, u32), String> = errors.iter().map(error).collect();
    let rescued = errors.values().filter(|error| *error == "its worker was lost").count();
    let too_slow = scene.processes.iter().map(|process| process.logs().matches("this worker was taken for dead").count()).sum();
    let mut found = Found::default();

    let mut of_key: HashMap<&str, u32> = HashMap::new();
    for row in rows.values() {
        *of_key.entry(key_of(row)).or_default() += 1;
    }
    let acknowledged: HashSet<&String> = wishes.iter().flat_map(|wish| &wish.ids).collect();
    for id in &acknowledged {
        let arrived = arrivals.get(*id).is_some_and(|runs| runs.iter().any(|run| !run.refused));
        let done = rows.get(*id).is_some_and(|row| row.state == "done");
        found.check(arrived && done, "acknowledged and lost", || (*id).clone());
    }
    for (n, wish) in wishes.iter().enumerate() {
        let made = of_key.get(format!("order-{n}").as_str()).copied().unwrap_or(0);
        found.check(
            made >= 1 && made <= 1 + u32::from(wish.late) + wish.unanswered,
            "more jobs under one unique key than there can be",
            || format!("order-{n}: {made}"),
        );
        found.check(!wish.twice || wish.ids.len() == 1, "two jobs under one unique key at the same time", || format!("order-{n}"));
    }
    let mut twice = 0;
    for (id, runs) in &arrivals {
        let Some(row) = rows.get(id) else {
            found.check(false, "done and not in the database", || id.clone());
            continue;
        };
        found.check(runs.last().is_some_and(|run| run.attempt == row.attempts), "another number of attempts than runs", || {
            format!("{id} {runs:?} {}", row.attempts)
        });
        for pair in runs.windows(2) {
            let why = errors.get(&(id.clone(), pair[0].attempt));
            found.check(pair[1].attempt > pair[0].attempt && why.is_some(), "done again for no reason", || format!("{id} {runs:?}"));
        }
        twice += usize::from(runs.iter().filter(|run| !run.refused).count() > 1);
    }
    for (id, row) in &rows {
        found.check(row.state == "done" && row.worker_gone, "not done, or without an end", || format!("{id} {}", row.state));
    }
    found.check(twice <= rescued, "more repetitions than lost runs", || format!("{twice}, {rescued}"));
    found.check(too_slow > 0 || rescued as u64 <= scene.in_flight, "more lost runs than were under way at kills", || {
        format!("{rescued}, {}", scene.in_flight)
    });
    let alive = scene.count("SELECT count(*) AS n FROM workers WHERE lost_at IS NULL").await;
    found.check(alive == 0, "workers that have not signed off", || alive.to_string());
    found.check(audit.is_ok(), "the audit log is not whole", || audit.err().unwrap_or_default());
    Outcome {
        jobs: acknowledged.len(),
        took,
        kills: scene.kills,
        stops: scene.stops,
        outages: scene.outages,
        in_flight: scene.in_flight,
        rescued,
        too_slow,
        twice,
        unanswered: wishes.iter().map(|wish| wish.unanswered).sum(),
        pairs: wishes.iter().filter(|wish| wish.twice).count(),
        violations: found.0.into_iter().map(|(what, (times, first))| format!("{times} × {what}: {first}")).collect(),
    }
}

#[derive(Default)]
struct Found(BTreeMap<&'static str, (u32, String)>);

impl Found {
    fn check(&mut self, holds: bool, otherwise: &'static str, example: impl FnOnce() -> String) {
        if !holds {
            self.0.entry(otherwise).or_insert_with(|| (0, example())).0 += 1;
        }
    }
}

/// `usr_…:order-17`
fn key_of(row: &Row) -> &str {
    row.key.rsplit(':').next().unwrap_or_default()
}

fn row(row: &QueryResult) -> (String, Row) {
    let text = |column: &str| row.try_get::<Option<String>>("", column).ok().flatten().unwrap_or_default();
    let attempts = row.try_get::<i64>("", "attempts").unwrap_or(-1);
    let ended = row.try_get::<Option<i64>>("", "finished_at").ok().flatten().is_some();
    let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    (text("id"), Row { key: text("unique_key"), state: text("state"), attempts, worker_gone: ended })
}

fn error(row: &QueryResult) -> ((String, u32), String) {
    let text = |column: &str| row.try_get::<String>("", column).unwrap_or_default();
    let attempt = u32::try_from(row.try_get::<i64>("", "attempt").unwrap_or(-1)).unwrap_or(u32::MAX);
    ((text("job_id"), attempt), text("error"))
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { jobs, kills, stops, outages, in_flight, rescued, too_slow, twice, unanswered, pairs, .. } = self;
        write!(
            f,
            "{jobs} jobs in {:.0} s | {kills} kill -9, {stops} SIGTERM, {outages} outages of the database | {in_flight} runs under way at kills, \
             {rescued} tried again for it, {too_slow} living workers taken for dead | effect twice: {twice} | {unanswered} requests without an \
             answer, {pairs} pairs under one key | ",
            self.took.as_secs_f64()
        )?;
        match self.violations.as_slice() {
            [] => f.write_str("none lost, nothing done again without a reason"),
            wrong => write!(f, "WRONG: {}", wrong.join("; ")),
        }
    }
}
