//! Who listens to what in this process.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::broadcast;

/// Hints a subscriber may be behind; beyond, it hears a gap instead.
const BACKLOG: usize = 256;

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    Message(Vec<u8>),
    /// Something may have been missed (lag, or a lost connection came back): read the database again.
    Gap,
}

#[derive(Debug, Clone)]
pub(crate) enum Heard {
    Message(Arc<[u8]>),
    Gap,
}

#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Heard>);

impl Subscription {
    /// The next hint; pending for ever when nobody can publish any more. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Hint {
        match self.0.recv().await {
            Ok(Heard::Message(payload)) => Hint::Message(payload.to_vec()),
            Ok(Heard::Gap) | Err(broadcast::error::RecvError::Lagged(_)) => Hint::Gap,
            Err(broadcast::error::RecvError::Closed) => pending().await,
        }
    }
}

/// One channel for each topic that somebody has listened to. Topics are names in the code, so there are few.
#[derive(Debug, Default)]
pub(crate) struct Topics(Mutex<HashMap<&'static str, broadcast::Sender<Heard>>>);

impl Topics {
    pub(crate) fn subscribe(&self, topic: &'static str) -> Subscription {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Subscription(topics.entry(topic).or_insert_with(|| broadcast::channel(BACKLOG).0).subscribe())
    }

    pub(crate) fn deliver(&self, topic: &str, payload: &[u8]) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = topics.get(topic) {
            // Fails when nobody listens at the moment, which is fine.
            let _ = sender.send(Heard::Message(payload.into()));
        }
    }

    /// Every subscriber of every topic may have missed something.
    pub(crate) fn gap(&self) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in topics.values() {
            let _ = sender.send(Heard::Gap);
        }
    }
}
