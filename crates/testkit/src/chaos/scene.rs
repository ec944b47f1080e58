//! The processes, who is killed when, and the database that goes away.

use std::time::{Duration, Instant};

use baluarte_db::{DatabaseConfig, Db, DbError, sea_orm::QueryResult, sql};
use baluarte_kernel::Secret;

use crate::{Baluarte, db::on_server};

/// Nothing here takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// Of so many ends one is an orderly one.
const ORDERLY: u32 = 5;

pub(super) struct Scene {
    /// The first two serve, the third serves and works, the others work.
    pub(super) processes: Vec<Baluarte>,
    pub(super) db: Db,
    postgres: Option<String>,
    heartbeat: Duration,
    pub(super) kills: u32,
    pub(super) stops: u32,
    pub(super) outages: u32,
    /// Runs that were under way in a process when it was killed.
    pub(super) in_flight: u64,
}

const WEB: usize = 3;
const WORKERS: u64 = 3;

impl Scene {
    pub(super) async fn new(first: Baluarte, heartbeat: Duration) -> Self {
        let url = first.site().database_url();
        let postgres = url.starts_with("postgres").then(|| url.rsplit('/').next().unwrap_or_default().to_owned());
        let db = Db::open(&DatabaseConfig { url: Secret::new(url), connections: 2, ..DatabaseConfig::default() })
            .await
            .expect("the database opens");
        let others = [&["serve", "--roles", "web"][..], &["serve"], &["worker"], &["worker"]];
        let others: Vec<_> = others.into_iter().map(|launch| first.replica_as(launch)).collect();
        let processes = std::iter::once(first).chain(others).collect();
        Self { processes, db, postgres, heartbeat, kills: 0, stops: 0, outages: 0, in_flight: 0 }
    }

    /// Of those who serve.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.processes[..WEB].iter().map(|process| process.base_url.clone()).collect()
    }

    /// Those that do not run, as a supervisor does: a start into an outage of the database may fail.
    pub(super) fn start_all(&mut self) {
        for process in &mut self.processes {
            if !process.runs() {
                process.spawn();
            }
        }
    }

    pub(super) async fn torment(&mut self, over: Instant, pause: Duration) {
        let mut outage = Instant::now() + pause * 2;
        while Instant::now() < over {
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.2..1.0))).await;
            if Instant::now() >= outage {
                self.interrupt_database().await;
                outage = Instant::now() + pause * 2;
            }
            let victim = rand::random_range(0..self.processes.len());
            if self.processes[victim].runs() {
                self.end(victim).await;
            }
            // Sometimes it stays away for longer than a heartbeat.
            if rand::random_range(0..3) == 0 {
                tokio::time::sleep(self.heartbeat.mul_f64(rand::random_range(0.0..1.5))).await;
            }
            self.processes[victim].spawn();
        }
    }

    async fn end(&mut self, victim: usize) {
        let process = &mut self.processes[victim];
        if rand::random_range(0..ORDERLY) == 0 {
            process.stop().await;
            self.stops += 1;
            return;
        }
        let pid = process.pid();
        process.kill9();
        self.kills += 1;
        // PostgreSQL may still carry out what the process asked for last; nobody misses it before a heartbeat is over.
        let of_it = format!(
            "SELECT count(*) AS n FROM jobs WHERE state = 'running' AND worker IN (SELECT id FROM workers WHERE name LIKE '%:{pid}' AND lost_at IS NULL)"
        );
        let at_once = self.count(&of_it).await;
        tokio::time::sleep(self.heartbeat / 8).await;
        self.in_flight += at_once.max(self.count(&of_it).await);
    }

    /// PostgreSQL ends every connection; SQLite's one writer is kept for a while.
    async fn interrupt_database(&mut self) {
        self.outages += 1;
        match &self.postgres {
            Some(name) => on_server(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).await,
            None => {
                if let Ok(tx) = self.db.begin().await {
                    tokio::time::sleep(self.heartbeat / 3).await;
                    tx.rollback().await.ok();
                }
            }
        }
    }

    /// No job is left, everybody works, and everybody who was killed has been missed.
    pub(super) async fn until_everything_is_done(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let left = "SELECT count(*) AS n FROM jobs WHERE kind = 'jobs.call_http' AND state IN ('scheduled', 'ready', 'running')";
        let alive = "SELECT count(*) AS n FROM workers WHERE lost_at IS NULL";
        loop {
            self.start_all();
            let (jobs, workers) = (self.count(left).await, self.count(alive).await);
            if jobs == 0 && workers == WORKERS {
                return;
            }
            assert!(Instant::now() < deadline, "{jobs} jobs are still not done, {workers} workers alive\n{}", self.processes[2].logs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn count(&self, text: &str) -> u64 {
        let n: i64 = self.rows(text).await[0].try_get("", "n").expect("a number");
        u64::try_from(n).unwrap_or(0)
    }

    /// Asked again when the connection was among those that ended.
    pub(super) async fn rows(&self, text: &str) -> Vec<QueryResult> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.ask(text).await {
                Ok(rows) => return rows,
                Err(err) => assert!(Instant::now() < deadline, "{err}: {text}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ask(&self, text: &str) -> Result<Vec<QueryResult>, DbError> {
        use baluarte_db::sea_orm::ConnectionTrait as _;
        Ok(self.db.read().query_all_raw(sql(self.db.read(), text, [])).await?)
    }
}
