//! A log file of bounded size: at the bound it is put aside, and the oldest one goes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// The most that one file holds, in bytes. One batch of lines more where the batch itself is larger.
const SIZE: u64 = 10_000_000;
/// The current one included.
const FILES: usize = 3;

/// Written by one thread, whole lines at a time.
pub(crate) struct RotatedFile {
    path: PathBuf,
    file: File,
    written: u64,
    size: u64,
}

impl RotatedFile {
    pub(crate) fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::of_size(path.as_ref(), SIZE)
    }

    fn of_size(path: &Path, size: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let written = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, written, size })
    }

    /// What cannot be put aside is written on: a log that grows is better than none.
    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..FILES).rev() {
            let from = if number == 1 { self.path.clone() } else { numbered(&self.path, number - 1) };
            match fs::rename(from, numbered(&self.path, number)) {
                Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
                _ => {}
            }
        }
        self.file = append(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

impl Write for RotatedFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let more = lines.len() as u64;
        if self.written > 0 && self.written + more > self.size {
            let _ = self.rotate();
        }
        // Whole, or a line would be cut in two where the files change.
        self.file.write_all(lines)?;
        self.written += more;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Client addresses and user ids are nobody else's business.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// `app.log` → `app.log.1`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Two places for the same lines; trouble with one does not keep them from the other.
pub(crate) struct Both<A, B>(pub(crate) A, pub(crate) B);

impl<A: Write, B: Write> Write for Both<A, B> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let (first, second) = (self.0.write_all(lines), self.1.write_all(lines));
        first.and(second).map(|()| lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let (first, second) = (self.0.flush(), self.1.flush());
        first.and(second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_files_at_most_and_no_line_is_cut() {
        let folder = std::env::temp_dir().join(format!("baluarte-log-{}", std::process::id()));
        let path = folder.join("deep/app.log");
        let mut file = RotatedFile::of_size(&path, 100).unwrap();
        for number in 0..40 {
            file.write_all(format!("line number {number:04}\n").as_bytes()).unwrap();
        }
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!(fs::read_dir(folder.join("deep")).unwrap().count(), 3);
        let all = [numbered(&path, 2), numbered(&path, 1), path.clone()].map(|path| read(&path)).concat();
        let expected: String = (40 - all.lines().count()..40).map(|number| format!("line number {number:04}\n")).collect();
        assert_eq!(all, expected);
        assert!(all.lines().count() >= 11);
        // A new process goes on where the last one stopped.
        let mut again = RotatedFile::of_size(&path, 100).unwrap();
        again.write_all(b"more\n").unwrap();
        assert!(read(&path).ends_with("0039\nmore\n"));
        fs::remove_dir_all(folder).unwrap();
    }
}
