//! Opening a file below a directory without ever leaving it, and reading it in pieces. Runs on threads that may block.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::SystemTime,
};

use baluarte_proxy::{BodyError, ResponseBody};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use tokio::task::JoinHandle;

/// A file up to this size is read where it is opened, so that it costs one change of threads.
const SMALL: u64 = 128 * 1_024;
/// The piece that larger files are read in.
const PIECE: u64 = 256 * 1_024;

/// Compressed siblings in order of preference: suffix and `Content-Encoding`.
const ENCODINGS: [(&str, &str); 3] = [(".br", "br"), (".zst", "zstd"), (".gz", "gzip")];

/// Which of [`ENCODINGS`] the client takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted([bool; 3]);

impl Wanted {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut wanted = [false; 3];
        for part in
            headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','))
        {
            let mut pieces = part.split(';').map(str::trim);
            let name = pieces.next().unwrap_or_default();
            let refused = pieces.any(|piece| piece.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0)));
            for (n, (_, encoding)) in ENCODINGS.iter().enumerate() {
                if name.eq_ignore_ascii_case(encoding) {
                    wanted[n] = !refused;
                }
            }
        }
        Self(wanted)
    }
}

pub(super) struct Asked {
    pub(super) root: Arc<PathBuf>,
    pub(super) segments: Vec<String>,
    /// The address ended with a slash: only a directory's page can be meant.
    pub(super) slash: bool,
    pub(super) fallback: Option<Vec<String>>,
    pub(super) wanted: Wanted,
}

pub(super) enum Opened {
    Nothing,
    /// The address means a directory, but lacks the slash that makes its links work.
    DirectoryWithoutSlash,
    File(Box<Reader>),
}

/// A file that is open, and what is known about it.
pub(super) struct Reader {
    file: File,
    /// The beginning, if the file is small.
    content: Option<Bytes>,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    pub(super) encoding: Option<&'static str>,
    /// Served for another address than its own: a directory's page or the fallback.
    pub(super) is_page: bool,
}

impl Asked {
    pub(super) fn open(self) -> io::Result<Opened> {
        // By path for every request: a release may swap the directory behind a link.
        let root = rustix::fs::open(&*self.root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut found = None;
        match (open_beneath(&root, &self.segments)?, self.slash) {
            (Some(file), slash) if file.metadata()?.is_dir() => {
                let page: Vec<String> = self.segments.iter().cloned().chain(["index.html".to_owned()]).collect();
                if let Some(file) = self.regular(&root, &page)? {
                    if !slash {
                        return Ok(Opened::DirectoryWithoutSlash);
                    }
                    found = Some((file, page, true));
                }
            }
            (Some(file), false) if file.metadata()?.is_file() => found = Some((file, self.segments.clone(), false)),
            _ => {}
        }
        if found.is_none()
            && let Some(fallback) = &self.fallback
            && let Some(file) = self.regular(&root, fallback)?
        {
            found = Some((file, fallback.clone(), true));
        }
        match found {
            Some((file, segments, is_page)) => Ok(Opened::File(Box::new(self.reader(&root, file, &segments, is_page)?))),
            None => Ok(Opened::Nothing),
        }
    }

    fn regular(&self, root: &OwnedFd, segments: &[String]) -> io::Result<Option<File>> {
        match open_beneath(root, segments)? {
            Some(file) if file.metadata()?.is_file() => Ok(Some(file)),
            _ => Ok(None),
        }
    }

    fn reader(&self, root: &OwnedFd, plain: File, segments: &[String], is_page: bool) -> io::Result<Reader> {
        let meta = plain.metadata()?;
        let (mut file, mut size, modified) = (plain, meta.len(), meta.modified()?);
        let mut encoding = None;
        let name = segments.last().cloned().unwrap_or_default();
        for ((suffix, coding), _) in ENCODINGS.iter().zip(self.wanted.0).filter(|(_, wanted)| *wanted) {
            let mut sibling = segments.to_vec();
            if let Some(last) = sibling.last_mut() {
                last.push_str(suffix);
            }
            if let Some(compressed) = self.regular(root, &sibling)? {
                let meta = compressed.metadata()?;
                // An older sibling was made of an older file.
                if meta.modified()? >= modified {
                    (file, size, encoding) = (compressed, meta.len(), Some(*coding));
                    break;
                }
            }
        }
        let content = if size <= SMALL {
            let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            (&mut file).take(size).read_to_end(&mut content)?;
            // Cut while we read: the length we promise must be the length we send.
            size = content.len() as u64;
            Some(Bytes::from(content))
        } else {
            None
        };
        Ok(Reader { file, content, name, size, modified, encoding, is_page })
    }
}

/// `None`: it does not exist, may not be read, or lies outside (`..`, absolute links, links that lead out).
fn open_beneath(root: &OwnedFd, segments: &[String]) -> io::Result<Option<File>> {
    let path: PathBuf = if segments.is_empty() { PathBuf::from(".") } else { segments.iter().collect() };
    // Without NONBLOCK, opening a named pipe would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let opened = match rustix::fs::openat2(root, &path, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => step_by_step(root, segments, flags),
        other => other,
    };
    match opened {
        Ok(fd) => Ok(Some(File::from(fd))),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::XDEV | Errno::LOOP | Errno::NAMETOOLONG | Errno::NXIO | Errno::INVAL) => {
            Ok(None)
        }
        Err(err) => Err(err.into()),
    }
}

/// Where the kernel or its sandbox lacks `openat2`: one segment after the other, following no link at all.
fn step_by_step(root: &OwnedFd, segments: &[String], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let open = |at: &OwnedFd, name: &str, flags: OFlags| rustix::fs::openat(at, name, flags | OFlags::NOFOLLOW, Mode::empty());
    let Some((last, parents)) = segments.split_last() else { return open(root, ".", flags) };
    let mut at: Option<OwnedFd> = None;
    for name in parents {
        at = Some(open(at.as_ref().unwrap_or(root), name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)?);
    }
    open(at.as_ref().unwrap_or(root), last, flags)
}

/// Does a directory exist there? For checking the configuration.
pub(crate) fn is_directory(path: &Path) -> bool {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

impl Reader {
    pub(super) fn body(self, from: u64, length: u64) -> ResponseBody {
        if length == 0 {
            return ResponseBody::Empty;
        }
        match self.content {
            Some(content) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
                ResponseBody::Full(content.slice(at(from)..at(from + length)))
            }
            None => ResponseBody::Boxed(Box::pin(Pieces { state: State::Resting(self.file), from, left: length })),
        }
    }
}

/// A large file, read one piece ahead of nobody: the next piece is read when the last one has been taken.
struct Pieces {
    state: State,
    from: u64,
    left: u64,
}

enum State {
    Resting(File),
    Reading(JoinHandle<io::Result<(File, Bytes)>>),
    Done,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Done => return Poll::Ready(None),
                State::Reading(read) => {
                    let read = ready!(Pin::new(read).poll(cx)).map_err(io::Error::other).and_then(|read| read);
                    this.state = State::Done;
                    let (file, piece) = read.map_err(|err| BodyError::Other(err.into()))?;
                    this.from += piece.len() as u64;
                    this.left -= piece.len() as u64;
                    if this.left > 0 {
                        this.state = State::Resting(file);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                State::Resting(_) => {
                    let State::Resting(file) = std::mem::replace(&mut this.state, State::Done) else { return Poll::Ready(None) };
                    let (from, length) = (this.from, this.left.min(PIECE));
                    this.state = State::Reading(tokio::task::spawn_blocking(move || read_piece(file, from, length)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

fn read_piece(mut file: File, from: u64, length: u64) -> io::Result<(File, Bytes)> {
    file.seek(SeekFrom::Start(from))?;
    let mut piece = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    (&mut file).take(length).read_to_end(&mut piece)?;
    if (piece.len() as u64) < length {
        // The client was promised more: break off rather than send less.
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent"));
    }
    Ok((file, Bytes::from(piece)))
}
