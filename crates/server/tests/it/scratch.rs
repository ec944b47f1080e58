//! The binary in an empty folder, for commands that need no server.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// An empty folder with an empty environment; removed with this value.
pub(crate) struct Scratch {
    folder: PathBuf,
    environment: Vec<(String, String)>,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("baluarte-scratch-{:016x}", rand::random::<u64>()));
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        Self { folder, environment: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file that only its owner reads.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(self.path(name), text).expect("our own folder is writable");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).expect("our own file");
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with_input(args, "")
    }

    pub(crate) fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        let mut child = Command::new(Path::new(env!("CARGO_BIN_EXE_baluarte")))
            .args(args)
            .current_dir(&self.folder)
            .env_clear()
            .env("TMPDIR", &self.folder)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built by the test run");
        // A command that does not read is gone before it is written to: not the test's business.
        child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("our own child");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

impl Ran {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, what: &str) -> Self {
        assert!(self.stdout.contains(what) || self.stderr.contains(what), "never said {what:?}:\n{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn never_says(self, what: &str) -> Self {
        assert!(!self.stdout.contains(what) && !self.stderr.contains(what), "said {what:?}:\n{}\n{}", self.stdout, self.stderr);
        self
    }
}
