//! How workers learn at once that there is something to do: a signal in the process, and a hint to the others.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use baluarte_backplane::{Backplane, Hint, Status};
use baluarte_db::Db;
use tokio::sync::Notify;

/// Between processes: a topic of the backplane, or a channel of the database where there is no Redis.
const TOPIC: &str = "jobs.bell";
const CHANNEL: &str = "baluarte_jobs";
/// Hints to others are sent at most so often: a burst is one hint.
const PAUSE: Duration = Duration::from_millis(4);
/// More than a worker has lanes; beyond, it is told to look everywhere.
const MANY: usize = 50;

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ring {
    /// Something may be ready in this lane.
    Lane(String),
    /// Something becomes ready later.
    Later,
    /// Somebody wants a running job to stop.
    Cancel,
    /// Nobody knows: look everywhere.
    All,
}

impl Ring {
    fn encode(&self) -> String {
        match self {
            Self::Lane(lane) => format!("l{lane}"),
            Self::Later => "t".to_owned(),
            Self::Cancel => "c".to_owned(),
            Self::All => "a".to_owned(),
        }
    }

    /// What a newer version says and we do not understand means: look.
    fn decode(text: &str) -> Self {
        match (text, text.strip_prefix('l')) {
            (_, Some(lane)) => Self::Lane(lane.to_owned()),
            ("t", None) => Self::Later,
            ("c", None) => Self::Cancel,
            _ => Self::All,
        }
    }
}

#[derive(Debug, Default)]
struct Rung(Mutex<BTreeSet<Ring>>, Notify);

impl Rung {
    fn add(&self, ring: Ring) {
        let mut rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rings.len() >= MANY {
            rings.clear();
            rings.insert(Ring::All);
        } else {
            rings.insert(ring);
        }
        drop(rings);
        self.1.notify_one();
    }

    async fn take(&self) -> BTreeSet<Ring> {
        loop {
            let rings = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
            if !rings.is_empty() {
                return rings;
            }
            self.1.notified().await;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Bell {
    /// Tells our own hints from those of others.
    process: String,
    here: Rung,
    elsewhere: Rung,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self { process: format!("{:016x}", rand::random::<u64>()), here: Rung::default(), elsewhere: Rung::default() }
    }

    pub(crate) fn ring(&self, ring: Ring) {
        self.here.add(ring.clone());
        self.elsewhere.add(ring);
    }

    /// For this process's worker: waits until there is something. Dropping the future loses nothing.
    pub(crate) async fn heard(&self) -> BTreeSet<Ring> {
        self.here.take().await
    }

    /// Sends what is rung here to other processes, for ever.
    pub(crate) async fn carry(&self, db: &Db, backplane: &Backplane) {
        loop {
            let rings = self.elsewhere.take().await;
            self.send(db, backplane, rings).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends what has been rung and not been sent: for commands, which end before anybody carries.
    pub(crate) async fn flush(&self, db: &Db, backplane: &Backplane) {
        let rings = std::mem::take(&mut *self.elsewhere.0.lock().unwrap_or_else(PoisonError::into_inner));
        if !rings.is_empty() {
            self.send(db, backplane, rings).await;
        }
    }

    async fn send(&self, db: &Db, backplane: &Backplane, rings: BTreeSet<Ring>) {
        let rings: Vec<_> = rings.iter().map(Ring::encode).collect();
        let text = format!("{},{}", self.process, rings.join(","));
        // A hint that does not arrive costs a moment: workers look by themselves.
        match backplane.status() {
            Status::Local => drop(db.announce(CHANNEL, &text).await),
            Status::Connected | Status::Disconnected => drop(backplane.publish(TOPIC, text.as_bytes()).await),
        }
    }

    /// Hears what other processes ring, for ever.
    pub(crate) async fn listen(&self, db: &Db, backplane: &Backplane) {
        if backplane.status() == Status::Local {
            let mut listener = db.listen(CHANNEL);
            loop {
                match listener.next().await {
                    Some(text) => self.hear(&text),
                    None => self.here.add(Ring::All),
                }
            }
        }
        let mut hints = backplane.subscribe(TOPIC);
        loop {
            match hints.next().await {
                Hint::Message(text) => self.hear(&String::from_utf8_lossy(&text)),
                Hint::Gap => self.here.add(Ring::All),
            }
        }
    }

    fn hear(&self, text: &str) {
        let mut parts = text.split(',');
        if parts.next() != Some(self.process.as_str()) {
            parts.map(Ring::decode).for_each(|ring| self.here.add(ring));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_arrives_as_it_was_sent_and_what_is_not_understood_means_look() {
        for ring in [Ring::Lane(String::new()), Ring::Lane("a.b".to_owned()), Ring::Later, Ring::Cancel, Ring::All] {
            assert_eq!(Ring::decode(&ring.encode()), ring);
        }
        assert_eq!(Ring::decode("zzz"), Ring::All);
    }

    #[tokio::test]
    async fn a_process_does_not_hear_itself() {
        let (a, b) = (Bell::new(), Bell::new());
        a.hear(&format!("{},c", a.process));
        a.hear(&format!("{},l", b.process));
        assert!(a.heard().await.into_iter().eq([Ring::Lane(String::new())]));
    }
}
