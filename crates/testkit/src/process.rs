//! The built binary as a process: started, watched, killed, stopped, started again.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    Answer, Backend, Client, Gate,
    site::{Addresses, Output, Site},
};

/// How long a process may take to answer `/healthz`, or to end: generous, because machines under test are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process has printed so far.
pub(crate) type Lines = Arc<Mutex<Vec<String>>>;

/// A running `baluarte serve`. Killed when dropped.
#[derive(Debug)]
pub struct Baluarte {
    site: Arc<Site>,
    addresses: Addresses,
    config: String,
    /// The command and its arguments.
    launch: Vec<String>,
    process: Option<Running>,
    lines: Lines,
    /// `http://127.0.0.1:PORT`
    pub base_url: String,
}

#[derive(Debug)]
struct Running {
    child: Child,
    readers: [JoinHandle<()>; 2],
}

impl Running {
    /// The pipes end with the process; afterwards its last words are in the log.
    fn finish_reading(self) {
        for reader in self.readers {
            reader.join().ok();
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    /// Ended by a signal it did not handle.
    Signal,
}

/// What an installation is to be like before its first start.
#[derive(Debug)]
pub struct Builder {
    pub(crate) bin: PathBuf,
    pub(crate) backend: Backend,
    pub(crate) config: String,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) args: Vec<String>,
    pub(crate) database_gate: Option<SocketAddr>,
}

impl Builder {
    /// TOML that is merged over the harness's own (addresses, database). Call once.
    pub fn config(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.config);
        self
    }
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }
    /// The PostgreSQL database is reached through this gate, made with [`Gate::to_postgres`].
    pub fn database_through(mut self, gate: &Gate) -> Self {
        self.database_gate = Some(gate.address());
        self
    }
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
    /// Another argument after `serve`.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Only the folder, the database and the configuration: for commands, and for starts that have to fail.
    pub async fn prepare(self) -> Baluarte {
        let addresses = Addresses::reserve();
        let site = Site::create(self, &addresses).await;
        Baluarte::stopped(Arc::new(site), addresses)
    }

    /// Starts it and waits until `/healthz` answers.
    pub async fn start(self) -> Baluarte {
        let mut app = self.prepare().await;
        app.start().await;
        app
    }
}

impl Baluarte {
    /// `bin`: `Path::new(env!("CARGO_BIN_EXE_baluarte"))` in the server's tests.
    pub fn builder(bin: &Path) -> Builder {
        Builder {
            bin: bin.to_owned(),
            backend: Backend::Sqlite,
            config: String::new(),
            env: Vec::new(),
            args: Vec::new(),
            database_gate: None,
        }
    }

    fn stopped(site: Arc<Site>, addresses: Addresses) -> Self {
        let config = site.write_config(&addresses);
        let base_url = format!("http://127.0.0.1:{}", addresses.listen.number());
        let launch = std::iter::once("serve".to_owned()).chain(site.args.iter().cloned()).collect();
        Self { site, addresses, config, launch, process: None, lines: Arc::default(), base_url }
    }

    /// Another process on the same database, not the same port.
    pub async fn replica(&self) -> Self {
        let mut replica = Self::stopped(self.site.clone(), Addresses::reserve());
        replica.start().await;
        replica
    }

    /// Another process on the same database, by another command: `["worker"]`, `["serve", "--roles", "web"]`. Not started.
    pub fn replica_as(&self, launch: &[&str]) -> Self {
        let mut replica = Self::stopped(self.site.clone(), Addresses::reserve());
        replica.launch = launch.iter().map(|word| (*word).to_owned()).collect();
        replica
    }

    /// Starts the process (again) and waits until it answers. Panics with its log when it ends instead.
    pub async fn start(&mut self) {
        self.spawn();
        let client = self.client();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(answer) = client.try_get("/healthz").await
                && answer.status == 200
            {
                return;
            }
            if let Some(exit) = self.ended() {
                panic!("the server ended at start: {exit:?}\n{}", self.logs());
            }
            assert!(Instant::now() < deadline, "no answer from {} after {PATIENCE:?}\n{}", self.base_url, self.logs());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts it without waiting: for starts that have to fail. See [`wait`](Self::wait).
    pub fn spawn(&mut self) {
        self.kill9();
        let mut child = self
            .site
            .command(&self.config)
            .args(&self.launch)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|err| panic!("{} does not start: {err}", self.site.bin.display()));
        let readers = [
            collect(child.stdout.take().expect("stdout was asked for as a pipe"), self.lines.clone()),
            collect(child.stderr.take().expect("stderr was asked for as a pipe"), self.lines.clone()),
        ];
        self.process = Some(Running { child, readers });
    }

    /// Waits until the process ends by itself.
    pub async fn wait(&mut self) -> Exit {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(exit) = self.ended() {
                return exit;
            }
            assert!(Instant::now() < deadline, "the server still runs after {PATIENCE:?}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGTERM, then waits for the end: how an operator stops it.
    pub async fn stop(&mut self) -> Exit {
        self.signal(Signal::TERM);
        self.wait().await
    }

    /// Stops it as an operator would and starts it on the same data and address.
    pub async fn restart(&mut self) {
        assert_eq!(self.stop().await, Exit::Code(0), "a stop ends well\n{}", self.logs());
        self.start().await;
    }

    /// SIGKILL: what a crash or a power cut looks like to the data. Does nothing when it is not running.
    pub fn kill9(&mut self) {
        if let Some(mut running) = self.process.take() {
            running.child.kill().ok();
            running.child.wait().ok();
            running.finish_reading();
        }
    }

    /// SIGHUP, SIGTERM, SIGINT.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let running = self.process.as_ref().expect("the server is running");
        kill_process(Pid::from_child(&running.child), signal).expect("our own child can be signalled");
    }

    /// Does nothing but look: it may have ended by itself.
    pub fn runs(&mut self) -> bool {
        self.process.is_some() && self.ended().is_none()
    }

    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server is running").child.id()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// `http://127.0.0.1:PORT/metrics`
    pub fn metrics_url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.addresses.metrics.number())
    }

    /// What the configuration says people reach it under: the first replica's address.
    pub fn public_url(&self) -> &str {
        &self.site.public_url
    }

    pub fn site(&self) -> &Site {
        &self.site
    }

    /// A command at the command line on this installation, whether or not the server is running.
    pub fn run(&self, args: &[&str], stdin: &str) -> Output {
        self.site.run(args, stdin)
    }

    /// Everything every start of this replica has printed, standard output and error.
    pub fn logs(&self) -> String {
        self.lines.lock().expect("never poisoned: nothing panics under this lock").join("\n")
    }

    /// Waits until a line of the log says so, also one of before.
    pub async fn wait_for_log(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.logs().contains(what) {
            assert!(Instant::now() < deadline, "the log never said {what:?}:\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Nobody yet: no cookies, no token.
    pub fn client(&self) -> Client {
        Client::new(&self.base_url)
    }

    /// Makes an account as the operator does, at the command line.
    #[track_caller]
    pub fn create_user(&self, email: &str, password: &str, role: &str) {
        self.run(&["user", "create", email, "--role", role, "--password-stdin"], &format!("{password}\n")).expect_code(0);
    }

    /// Signs in for tokens; the client sends the access token from now on.
    pub async fn sign_in(&self, email: &str, password: &str) -> Client {
        let client = self.client();
        client.sign_in(email, password).await;
        client
    }

    /// Signs in for a session cookie, as a browser.
    pub async fn sign_in_with_cookie(&self, email: &str, password: &str) -> Client {
        let client = self.client();
        client.sign_in_with_cookie(email, password).await;
        client
    }

    /// The messages that would have been sent, newest first: `{channel, to, subject, text, html, created_at}`.
    pub async fn outbox(&self) -> Vec<Value> {
        let answer = self.client().get("/dev/outbox").await.expect_status(200);
        answer.json()["items"].as_array().cloned().unwrap_or_default()
    }

    /// The newest message to this address; waits for it, because messages leave after the answer.
    pub async fn mail_to(&self, address: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(mail) = self.outbox().await.into_iter().find(|mail| mail["to"] == address) {
                return mail;
            }
            assert!(Instant::now() < deadline, "no mail to {address}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks until the answer is as wanted: for what another replica does "within a second".
    pub async fn eventually(&self, client: &Client, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = client.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path} still answers {} {}\n{}", answer.status, answer.text(), self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks until the answer is as wanted, which it has to be within a second: for what every replica promises to do in that time.
    pub async fn within_a_second(&self, client: &Client, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let mut second = Second::begin();
        loop {
            // What was asked in time may be answered late.
            let in_time = second.goes_on();
            let answer = client.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(in_time, "{path} still answers {} {} after a second\n{}", answer.status, answer.text(), self.logs());
            second.pause().await;
        }
    }

    fn ended(&mut self) -> Option<Exit> {
        let running = self.process.as_mut()?;
        let status = running.child.try_wait().expect("our own child can be waited for")?;
        let running = self.process.take()?;
        running.finish_reading();
        Some(status.code().map_or(Exit::Signal, Exit::Code))
    }
}

/// A second in which this machine did its work: what keeps it from it for longer than a moment is not counted, so that a busy
/// machine makes no promise look broken.
#[derive(Debug)]
pub struct Second {
    last: Instant,
    spent: Duration,
}

impl Second {
    const PAUSE: Duration = Duration::from_millis(20);
    const MOMENT: Duration = Duration::from_millis(50);

    pub fn begin() -> Self {
        Self { last: Instant::now(), spent: Duration::ZERO }
    }

    pub fn goes_on(&self) -> bool {
        self.spent < Duration::from_secs(1)
    }

    /// A short while of it passes.
    pub async fn pause(&mut self) {
        tokio::time::sleep(Self::PAUSE).await;
        let now = Instant::now();
        self.spent += now.duration_since(self.last).min(Self::MOMENT);
        self.last = now;
    }
}

impl Drop for Baluarte {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Reads a pipe to its end, so that the child never blocks on it.
pub(crate) fn collect(pipe: impl Read + Send + 'static, lines: Lines) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            lines.lock().expect("never poisoned: nothing panics under this lock").push(String::from_utf8_lossy(&line).into_owned());
        }
    })
}
