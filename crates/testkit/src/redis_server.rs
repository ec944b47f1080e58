//! A Redis of a test's own, which it may kill.

use std::{
    net::{Ipv4Addr, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{ports::Port, site::Folder};

/// Runs until dropped; keeps nothing on disk.
#[derive(Debug)]
pub struct RedisServer {
    port: Port,
    folder: Folder,
    process: Option<Child>,
}

impl RedisServer {
    pub fn start() -> Self {
        let mut server = Self { port: Port::reserve(), folder: Folder::create(), process: None };
        server.run();
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port.number())
    }

    /// SIGKILL: gone with everything it knew.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
    }

    /// Starts (again), empty, at the same address; returns when it accepts connections.
    pub fn run(&mut self) {
        self.kill();
        let port = self.port.number().to_string();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no", "--dir"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed; `cargo xtask test` does it");
        self.process = Some(process);
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port.number())).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not accept connections");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
