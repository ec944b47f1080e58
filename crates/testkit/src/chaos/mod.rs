//! Servers and workers that are killed while they work: what became of the jobs.

mod load;
mod recorder;
mod scene;
mod verdict;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

pub use verdict::Outcome;

use self::{load::Load, recorder::Recorder, scene::Scene};
use crate::{Backend, Baluarte, Exit};

/// Jobs that call a recorder outside, enqueued through servers that are killed and done by workers that are killed, on a database
/// that goes away again and again.
#[derive(Debug, Clone)]
pub struct Chaos {
    pub bin: PathBuf,
    pub backend: Backend,
    pub jobs: usize,
    /// For so long jobs are enqueued and processes killed. Afterwards what is left is done in peace.
    pub length: Duration,
    /// The longest pause between two kills, and twice that between two outages of the database.
    pub pause: Duration,
    /// After that without a sign of life a worker is lost.
    pub heartbeat: Duration,
}

const EMAIL: &str = "root@example.com";
const PASSWORD: &str = "correct horse battery staple 7";

impl Chaos {
    fn config(&self, recorder: &Recorder) -> String {
        format!(
            "[telemetry]\nlog_level = \"warn\"\naccess_log = false\n\
             [identity]\naccess_token_lifetime = \"1h\"\n\
             [limits.api]\nrate = \"100000/s\"\nburst = 100000\n[limits.user]\nrate = \"100000/s\"\nburst = 100000\n\
             [limits.login]\nrate = \"1000/s\"\n\
             [jobs]\nretry_base = \"50ms\"\nheartbeat = \"{}ms\"\nkeep_at_most = 1000000\nconcurrency = 30\n\
             [jobs.endpoints.app]\nurl = \"{}\"\nconcurrency = 20\n",
            self.heartbeat.as_millis(),
            recorder.url()
        )
    }

    /// Does it all and looks at the result; see [`Outcome::violations`].
    ///
    /// # Panics
    /// When a process does not start, or what is left is not done in time once there is peace.
    pub async fn run(&self) -> Outcome {
        let began = Instant::now();
        let recorder = Recorder::start().await;
        let builder = Baluarte::builder(&self.bin).backend(self.backend).config(&self.config(&recorder));
        let first = builder.arg("--roles").arg("web").start().await;
        first.create_user(EMAIL, PASSWORD, "admin");
        let admin = first.sign_in(EMAIL, PASSWORD).await;
        let mut scene = Scene::new(first, self.heartbeat).await;
        scene.start_all();
        let load = Load::new(admin, scene.addresses(), self.jobs, self.length);
        let over = Instant::now() + self.length;
        let (enqueued, ()) = tokio::join!(load.enqueue_all(), scene.torment(over, self.pause));
        scene.until_everything_is_done().await;
        for process in &mut scene.processes {
            let exit = process.stop().await;
            // In its first moments nobody listens to signals.
            assert!(matches!(exit, Exit::Code(0) | Exit::Signal), "a stop ends well, not with {exit:?}\n{}", process.logs());
        }
        let audit = scene.processes[0].run(&["audit", "verify"], "");
        verdict::judge(scene, recorder.arrivals(), enqueued, (audit.code == 0).then_some(()).ok_or(audit.stderr), began.elapsed()).await
    }
}
