//! What the operator reads in the log.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use baluarte_backplane::{Backplane, ClusterConfig, Status};
use baluarte_kernel::{Clock, Secret};
use baluarte_testkit::RedisServer;
use tokio::{io::AsyncReadExt as _, net::TcpListener};
use tracing::subscriber::DefaultGuard;

use crate::{replica, until};

/// Collects this thread's log; the tests' runtimes have one thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || log.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("not poisoned")).into_owned()
    }

    fn lines(&self, level: &str) -> usize {
        self.text().lines().filter(|line| line.trim_start().starts_with(level) && line.contains(" backplane: ")).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_absence_is_logged_once_however_many_attempts_it_takes() {
    let log = Log::default();
    let _listening = log.listen();
    let mut server = RedisServer::start();
    let backplane = replica(&server).await;
    assert_eq!((log.lines("ERROR"), log.lines("WARN")), (0, 0), "{}", log.text());

    server.kill();
    until(&backplane, Status::Disconnected).await;
    // Somebody else at its address, who hangs up three times.
    let impostor = TcpListener::bind(server.url().trim_start_matches("redis://")).await.expect("the port is free again");
    for _ in 0..3 {
        let (mut attempt, _) =
            tokio::time::timeout(Duration::from_secs(20), impostor.accept()).await.expect("it tries again").expect("accepted");
        let _ = attempt.read(&mut [0; 16]).await;
    }
    drop(impostor);
    assert_eq!((log.lines("ERROR"), log.lines("WARN")), (1, 0), "{}", log.text());

    server.run();
    until(&backplane, Status::Connected).await;
    assert_eq!((log.lines("ERROR"), log.lines("WARN")), (1, 1), "{}", log.text());
}

#[tokio::test]
async fn a_wrong_password_is_an_absence_and_stays_out_of_the_log() {
    let log = Log::default();
    let _listening = log.listen();
    let server = RedisServer::start();
    let url = server.url().replace("redis://", "redis://ana:hunter2@");
    let cluster = ClusterConfig { redis_url: Secret::new(url), ..ClusterConfig::default() };
    let backplane = Backplane::connect(&cluster, Clock::System).await.expect("the address is well formed");
    let mut changes = backplane.status_changes();
    while log.lines("ERROR") == 0 {
        tokio::time::timeout(Duration::from_secs(20), changes.changed()).await.expect("it reports in time").expect("it lives");
    }
    assert_eq!(backplane.status(), Status::Disconnected);
    assert!(log.text().contains("127.0.0.1:") && !log.text().contains("hunter2"), "{}", log.text());
    assert!(!format!("{backplane:?}").contains("hunter2"));
}
