//! Hints between the processes on one SQLite file: a small file beside it, which is written to ring and watched to hear.
//!
//! Each process writes into a place of its own, so that it knows its own rings and nobody's are lost in another's.

use std::{
    fs::{File, OpenOptions},
    io,
    mem::MaybeUninit,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fd::OwnedFd,
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::io::{Interest, unix::AsyncFd};

/// More than there are processes on one file. Two that share a place by chance still hear each other.
const PLACES: u64 = 128;
/// Who rang, and how often it has.
const PLACE: usize = 16;

#[derive(Debug)]
pub(crate) struct Doorbell {
    path: PathBuf,
    /// Tells our own rings from those of others.
    id: [u8; 8],
    rings: AtomicU64,
}

impl Doorbell {
    pub(crate) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-bell");
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
        Self { path: path.into(), id: random.to_le_bytes(), rings: AtomicU64::new(0) }
    }

    /// A write of a few bytes to a file that stays in memory: it waits for nothing.
    pub(crate) fn ring(&self) -> io::Result<()> {
        let count = self.rings.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        let place = u64::from_le_bytes(self.id) % PLACES * PLACE as u64;
        self.open()?.write_all_at(&[self.id, count].concat(), place)
    }

    /// Opened each time: a file that is kept open is never quite gone, and nobody would be told that it was removed.
    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = std::fs::read(&self.path)?;
        bytes.truncate(PLACE * PLACES as usize);
        Ok(bytes)
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&self.path)
    }
}

/// Somebody who hears what others ring.
#[derive(Debug)]
pub(super) struct Ear {
    events: AsyncFd<OwnedFd>,
    last: Vec<u8>,
}

impl Ear {
    pub(super) fn at(doorbell: &Doorbell) -> io::Result<Self> {
        doorbell.open()?;
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        inotify::add_watch(&events, &doorbell.path, WatchFlags::MODIFY | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF)?;
        Ok(Self { events: watched(events)?, last: doorbell.read()? })
    }

    /// Waits until somebody else has rung. An error: the file is gone.
    pub(super) async fn hear(&mut self, doorbell: &Doorbell) -> io::Result<()> {
        loop {
            let mut ready = self.events.readable().await?;
            let there = take_events(ready.get_inner());
            ready.clear_ready();
            there?;
            let now = doorbell.read()?;
            let before = std::mem::replace(&mut self.last, now);
            let mut places = self.last.chunks(PLACE).enumerate();
            let rung = places.any(|(at, place)| {
                before.get(at * PLACE..).is_none_or(|before| !before.starts_with(place))
                    && !place.starts_with(&doorbell.id)
                    && place != [0; PLACE]
            });
            if rung {
                return Ok(());
            }
        }
    }
}

#[expect(deprecated, reason = "unsound only for descriptors that somebody else may close; this one is owned")]
fn watched(events: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(events, Interest::READABLE)
}

/// Takes the events that are there; what they say matters only when the file is no longer the one that others ring.
fn take_events(events: &OwnedFd) -> io::Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 1_024];
    let mut reader = Reader::new(events, &mut buffer);
    loop {
        match reader.next() {
            Ok(event) if event.events().intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(_) => {}
            Err(Errno::WOULDBLOCK) => return Ok(()),
            Err(err) => return Err(err.into()),
        }
    }
}
