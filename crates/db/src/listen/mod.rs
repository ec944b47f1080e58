//! Hints between the processes on one database: PostgreSQL's `NOTIFY`, or a doorbell beside the file of SQLite.

mod doorbell;

use std::{sync::Arc, time::Duration};

pub(crate) use doorbell::Doorbell;
use doorbell::Ear;
use sea_orm::{
    ConnectionTrait as _,
    sqlx::{
        self,
        postgres::{PgConnectOptions, PgListener, PgPoolOptions},
    },
};

use crate::{Cause, Db, DbError, connect, sql};

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_secs(1);

/// What other processes announce.
#[derive(Debug)]
pub struct Listener(From);

#[derive(Debug)]
enum From {
    /// On one channel, heard on a connection of its own.
    Postgres {
        options: Box<PgConnectOptions>,
        channel: &'static str,
        listener: Option<PgListener>,
    },
    Sqlite {
        doorbell: Arc<Doorbell>,
        ear: Option<Ear>,
    },
}

impl Listener {
    /// The next announcement of somebody. `None`: there may have been some that nobody can tell; so after each connection to
    /// PostgreSQL, also the first, and always on SQLite, where only others are heard and what they say is not. Waits as long as
    /// it takes, also for the database. Dropping the future loses nothing but the connection.
    pub async fn next(&mut self) -> Option<String> {
        match &mut self.0 {
            From::Postgres { options, channel, listener } => next_notification(options, channel, listener).await,
            From::Sqlite { doorbell, ear } => {
                next_ring(doorbell, ear).await;
                None
            }
        }
    }
}

async fn next_notification(options: &PgConnectOptions, channel: &str, listener: &mut Option<PgListener>) -> Option<String> {
    loop {
        let Some(connected) = listener else {
            match connect(options, channel).await {
                Ok(connected) => {
                    *listener = Some(connected);
                    return None;
                }
                // The pools tell of an outage; here it is only waited for.
                Err(_) => tokio::time::sleep(RETRY).await,
            }
            continue;
        };
        match connected.try_recv().await {
            Ok(Some(heard)) => return Some(heard.payload().to_owned()),
            Ok(None) | Err(_) => *listener = None,
        }
    }
}

async fn connect(options: &PgConnectOptions, channel: &str) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).acquire_timeout(connect::ACQUIRE);
    let mut listener = PgListener::connect_with(&pool.connect_lazy_with(connect::postgres(options))).await?;
    listener.eager_reconnect(false);
    listener.listen(channel).await?;
    Ok(listener)
}

async fn next_ring(doorbell: &Doorbell, ear: &mut Option<Ear>) {
    loop {
        match ear {
            Some(there) => match there.hear(doorbell).await {
                Ok(()) => return,
                Err(_) => *ear = None,
            },
            None => match Ear::at(doorbell) {
                Ok(there) => {
                    *ear = Some(there);
                    return;
                }
                // No more files may be watched, say. Whoever listens looks by itself now and then.
                Err(_) => tokio::time::sleep(RETRY).await,
            },
        }
    }
}

impl Db {
    /// Hears what other processes announce on the same database.
    pub fn listen(&self, channel: &'static str) -> Listener {
        Listener(match (self.postgres_options(), self.doorbell()) {
            (_, Some(doorbell)) => From::Sqlite { doorbell: Arc::clone(doorbell), ear: None },
            (options, None) => From::Postgres { options: Box::new(options.unwrap_or_default()), channel, listener: None },
        })
    }

    /// Tells whoever listens to the channel, at once and outside any transaction. A hint: it may get lost. On SQLite the others
    /// hear that there was something.
    pub async fn announce(&self, channel: &'static str, message: &str) -> Result<(), DbError> {
        match self.doorbell() {
            Some(doorbell) => doorbell.ring().map_err(|err| DbError::Driver(Cause::new(format!("the doorbell of the database: {err}")))),
            None => {
                self.read().query_one_raw(sql(self.read(), "SELECT pg_notify($1, $2)", [channel.into(), message.into()])).await?;
                Ok(())
            }
        }
    }
}
