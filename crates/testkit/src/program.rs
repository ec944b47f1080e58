//! Somebody else's server as a process of a test.

use std::{
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    ports::Port,
    process::{Lines, collect},
    site::Folder,
};

/// Runs until dropped: asked to end first, so that it can end what it started itself.
#[derive(Debug)]
pub struct Program {
    child: Child,
    port: Port,
    lines: Lines,
    _folder: Folder,
}

impl Program {
    /// Starts what `command` makes of a port and a folder of its own; returns when the port accepts connections.
    pub fn start(command: impl FnOnce(u16, &Path) -> Command) -> Self {
        Self::start_at(Port::reserve(), command)
    }

    /// On a port that had to be known earlier.
    pub fn start_at(port: Port, command: impl FnOnce(u16, &Path) -> Command) -> Self {
        let folder = Folder::create();
        let mut command = command(port.number(), folder.path());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|err| panic!("{command:?}: {err}; `cargo xtask test` installs what the tests need"));
        let lines = Lines::default();
        // Left to themselves: a program's children may keep the pipes open longer than it lives.
        drop(collect(child.stdout.take().expect("stdout was asked for as a pipe"), lines.clone()));
        drop(collect(child.stderr.take().expect("stderr was asked for as a pipe"), lines.clone()));
        let mut program = Self { child, port, lines, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, program.port.number())).is_err() {
            let ended = program.child.try_wait().expect("our own child can be waited for");
            assert!(ended.is_none() && Instant::now() < deadline, "{command:?} does not listen ({ended:?})\n{}", program.logs());
            std::thread::sleep(Duration::from_millis(10));
        }
        program
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Everything it has printed.
    pub fn logs(&self) -> String {
        self.lines.lock().expect("never poisoned: nothing panics under this lock").join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).ok();
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
