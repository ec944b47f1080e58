//! `jobs`: the operator's look at the queue.

use std::fmt::Write as _;

use baluarte_component::{Kit, Tasks};
use baluarte_jobs::{Filter, JobId, JobView, JobsError, Operator, Registry, State};
use baluarte_kernel::{Clock, Ctx, PageQuery};
use clap::Subcommand;
use tokio::runtime::Handle;

use super::{Failure, Global, print};
use crate::{config::Config, serve, start};

#[derive(Debug, Subcommand)]
pub(super) enum JobsCommand {
    /// List jobs, the newest first
    List {
        /// scheduled, retrying, ready, running, done, dead or canceled
        #[arg(long)]
        state: Option<State>,
        /// Only of this kind
        #[arg(long)]
        kind: Option<String>,
        /// Only with this tag
        #[arg(long)]
        tag: Option<String>,
        /// How many, 1 to 200
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show a job with its payload (secrets left out) and its errors
    Show {
        /// The job's identifier
        id: JobId,
    },
    /// Run a job at once that is scheduled, dead or canceled
    Retry {
        /// The job's identifier
        id: JobId,
    },
    /// Cancel a job; one that runs is asked to stop
    Cancel {
        /// The job's identifier
        id: JobId,
    },
    /// List schedules, the next one first
    Schedules,
    /// List workers
    Workers,
}

impl JobsCommand {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let config = global.load()?.config;
        let runtime = serve::control_runtime().map_err(Failure::chain)?;
        let output = runtime.block_on(self.act(&config))?;
        print(&output)
    }

    async fn act(self, config: &Config) -> Result<String, Failure> {
        let tasks = Tasks::new(Handle::current());
        let kit = start::open(config, &Ctx::operator(Clock::System), tasks.clone()).await.map_err(Failure::chain)?;
        let output = self.ask(&kit).await.map_err(failed);
        // So that a worker hears of it at once.
        kit.jobs.flush_hints().await;
        tasks.stop().await;
        kit.db.close().await;
        output
    }

    async fn ask(self, kit: &Kit) -> Result<String, JobsError> {
        // Nothing here needs to know who does which kind of job.
        let jobs = Operator::new(kit.jobs.clone(), kit.audit.clone(), Registry::default());
        let ctx = Ctx::operator(kit.clock.clone());
        let mut out = String::new();
        match self {
            Self::List { state, kind, tag, limit, json } => {
                let page = jobs.list_jobs(&ctx, &Filter { state, kind, tag }, &PageQuery { limit: Some(limit), cursor: None }).await?;
                for job in &page.items {
                    let line = if json { serde_json::to_string(job).unwrap_or_default() } else { line(job) };
                    let _ = writeln!(out, "{line}");
                }
                if page.next_cursor.is_some() && !json {
                    out.push_str("there are more: narrow the list with --state, --kind or --tag\n");
                }
            }
            Self::Show { id } => {
                let job = jobs.find_job(&ctx, id).await?;
                let _ = writeln!(out, "{}", serde_json::to_string_pretty(&job).unwrap_or_default());
            }
            Self::Retry { id } => {
                jobs.retry_job(&ctx, id).await?;
                let _ = writeln!(out, "{id} is ready");
            }
            Self::Cancel { id } => {
                let running = jobs.cancel_job(&ctx, id).await?;
                let _ = writeln!(out, "{id} {}", if running { "runs and was asked to stop" } else { "is canceled" });
            }
            Self::Schedules => {
                for it in jobs.list_schedules(&ctx).await? {
                    let last = it.last_outcome.unwrap_or_else(|| "never ran".to_owned());
                    let _ =
                        writeln!(out, "{}  {} {}  next {}  last {last}  missed {}", it.name, it.cron, it.time_zone, it.next_at, it.missed);
                }
            }
            Self::Workers => {
                for it in jobs.list_workers(&ctx).await? {
                    let _ = writeln!(out, "{}  {}  {}/{}  seen {}", it.name, it.state, it.running, it.concurrency, it.seen_at);
                }
            }
        }
        Ok(out)
    }
}

fn line(job: &JobView) -> String {
    let error = job.error.as_deref().map(|error| format!("  {}", error.lines().next().unwrap_or_default())).unwrap_or_default();
    format!("{}  {:9}  {}  {}/{}  {}{error}", job.id, job.state.name(), job.kind, job.attempts, job.max_attempts, job.run_at)
}

fn failed(err: JobsError) -> Failure {
    match err {
        JobsError::NotRetryable => Failure::failed("the job waits, runs or is done already, or another job has its unique key"),
        JobsError::Storage(source) => Failure::chain(anyhow::Error::new(source)),
        other => Failure::failed(other),
    }
}
