//! PostgreSQL's own hints between the processes on one database: `NOTIFY`.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait as _,
    sqlx::{
        self,
        postgres::{PgConnectOptions, PgListener, PgPoolOptions},
    },
};

use crate::{Db, DbError, connect, sql};

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_secs(1);

/// What is announced on one channel, heard on a connection of its own.
#[derive(Debug)]
pub struct Listener {
    options: PgConnectOptions,
    channel: &'static str,
    listener: Option<PgListener>,
}

impl Listener {
    /// The next announcement; `None` after the connection was made, also for the first time: something may have been
    /// missed. Waits as long as it takes, also for the database. Dropping the future loses nothing but the connection.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let Some(listener) = &mut self.listener else {
                match self.connect().await {
                    Ok(listener) => {
                        self.listener = Some(listener);
                        return None;
                    }
                    // The pools tell of an outage; here it is only waited for.
                    Err(_) => tokio::time::sleep(RETRY).await,
                }
                continue;
            };
            match listener.try_recv().await {
                Ok(Some(heard)) => return Some(heard.payload().to_owned()),
                Ok(None) | Err(_) => self.listener = None,
            }
        }
    }

    async fn connect(&self) -> Result<PgListener, sqlx::Error> {
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).acquire_timeout(connect::ACQUIRE);
        let mut listener = PgListener::connect_with(&pool.connect_lazy_with(connect::postgres(&self.options))).await?;
        listener.eager_reconnect(false);
        listener.listen(self.channel).await?;
        Ok(listener)
    }
}

impl Db {
    /// Hears what other processes announce; `None` on SQLite, which has no such thing.
    pub fn listen(&self, channel: &'static str) -> Option<Listener> {
        let options = self.postgres_options()?;
        Some(Listener { options, channel, listener: None })
    }

    /// Tells whoever listens to the channel, at once and outside any transaction. A hint: it may get lost. Does nothing on
    /// SQLite.
    pub async fn announce(&self, channel: &'static str, message: &str) -> Result<(), DbError> {
        if self.postgres_options().is_some() {
            self.read().query_one_raw(sql(self.read(), "SELECT pg_notify($1, $2)", [channel.into(), message.into()])).await?;
        }
        Ok(())
    }
}
