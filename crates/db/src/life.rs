//! Who lives, of the processes on one SQLite file: a lock on a small file beside it, which the system lets go when the process ends,
//! however it ends. Nobody needs the one writer to show it.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::Db;

/// A file of nobody is cleared away when it is older: younger ones may be about to be locked.
const STALE: Duration = Duration::from_secs(60);

/// Lives as long as this does, at most as long as the process.
#[derive(Debug)]
pub struct Life {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
}

impl Drop for Life {
    fn drop(&mut self) {
        // What stays is cleared away by the next one that begins.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Where the files lie.
#[derive(Debug)]
pub(crate) struct Lives(PathBuf);

impl Lives {
    pub(crate) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-alive");
        Self(path.into())
    }

    fn begin(&self, name: &str) -> io::Result<Life> {
        DirBuilder::new().mode(0o700).recursive(true).create(&self.0)?;
        self.clear_away();
        let path = self.0.join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        file.try_lock()?;
        Ok(Life { path, _file: file })
    }

    /// Only a lock that somebody else holds says yes.
    fn lives(&self, name: &str) -> bool {
        match File::open(self.0.join(name)) {
            Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
            Err(_) => false,
        }
    }

    fn clear_away(&self) {
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let old = entry.metadata().and_then(|it| it.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|age| age > STALE));
            if old && !entry.file_name().to_str().is_some_and(|name| self.lives(name)) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl Db {
    /// Shows the other processes that this one lives, under a name of its own (letters, digits and `_`), until it is dropped. Nothing on
    /// PostgreSQL, whose processes may be anywhere; nor where the file system knows no locks.
    pub fn live_as(&self, name: &str) -> Option<Life> {
        self.lives_beside()?.begin(name).ok()
    }

    /// Whether the process that lives under this name certainly does.
    pub fn lives(&self, name: &str) -> bool {
        self.lives_beside().is_some_and(|lives| lives.lives(name))
    }
}
