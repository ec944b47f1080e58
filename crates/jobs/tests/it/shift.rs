//! A worker as a process runs one.

use std::time::Duration;

use baluarte_jobs::{Jobs, Registry, Shift};
use baluarte_telemetry::Metrics;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) struct Worker {
    stopping: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Worker {
    pub(crate) fn start(jobs: &Jobs, registry: &Registry, grace: Duration) -> Self {
        let stopping = CancellationToken::new();
        let shift = Shift { name: "test".to_owned(), stopping: stopping.clone(), grace, metrics: Metrics::default() };
        Self { task: tokio::spawn(jobs.clone().work(registry.clone(), shift)), stopping }
    }

    pub(crate) async fn stop(self) {
        self.stopping.cancel();
        self.task.await.unwrap();
    }
}
