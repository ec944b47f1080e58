//! Is PostgreSQL there? Asked once for everybody, so that while it is away nobody waits to learn it for themselves.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{
        self, ConnectOptions as _, Connection as _,
        postgres::{PgConnectOptions, PgDatabaseError},
    },
};
use tokio::{runtime::Handle, time::Instant};

use crate::connect;

/// How long one question may take. A server that needs longer to greet is of no use to a request either.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two questions while it is away: how late its return may be noticed.
const AGAIN: Duration = Duration::from_millis(250);

/// What is known of the server; one for all pools that are made for it.
pub(crate) struct Presence {
    options: PgConnectOptions,
    away: AtomicBool,
    asking: AtomicBool,
}

impl Presence {
    pub(crate) fn new(options: &PgConnectOptions) -> Arc<Self> {
        Arc::new(Self { options: connect::postgres(options), away: AtomicBool::new(false), asking: AtomicBool::new(false) })
    }

    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Refuses at once while the server is known to be away.
    pub(crate) async fn enter(&self) -> Result<(), DbErr> {
        if self.is_away() {
            // Who tries again without a pause must not keep us from finding out.
            tokio::task::yield_now().await;
            return Err(DbErr::Conn(RuntimeErr::Internal("PostgreSQL is away".to_owned())));
        }
        Ok(())
    }

    /// Something failed: if that may be because the server is away, finds out. A lost connection alone proves nothing.
    pub(crate) fn judge<T>(self: &Arc<Self>, answer: Result<T, DbErr>) -> Result<T, DbErr> {
        if let Err(err) = &answer
            && speaks_of_absence(err)
            && !self.asking.swap(true, Ordering::Relaxed)
        {
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(ask(Arc::downgrade(self)))),
                Err(_) => self.asking.store(false, Ordering::Relaxed),
            }
        }
        answer
    }
}

/// Asks until there is an answer, or until nobody wants to know any more.
async fn ask(presence: Weak<Presence>) {
    let mut since = None;
    loop {
        let Some(presence) = presence.upgrade() else { return };
        match greet(&presence.options).await {
            Ok(()) => {
                presence.away.store(false, Ordering::Relaxed);
                presence.asking.store(false, Ordering::Relaxed);
                if let Some(since) = since {
                    let seconds = Instant::now().duration_since(since).as_secs();
                    tracing::info!(target: "db", away_s = seconds, "PostgreSQL is back");
                }
                return;
            }
            Err(why) if since.is_none() => {
                since = Some(Instant::now());
                presence.away.store(true, Ordering::Relaxed);
                tracing::error!(target: "db", why, "PostgreSQL is away: what needs it is refused until it is back");
            }
            Err(_) => {}
        }
        drop(presence);
        tokio::time::sleep(AGAIN).await;
    }
}

async fn greet(options: &PgConnectOptions) -> Result<(), String> {
    let conversation = async {
        let mut conn = options.connect().await?;
        // Dropped without a farewell, which may wait for the peer's.
        conn.ping().await
    };
    match tokio::time::timeout(PATIENCE, conversation).await {
        Ok(Ok(())) => Ok(()),
        // No place for one more connection: those that are open still serve.
        Ok(Err(sqlx::Error::Database(refusal))) if refusal.try_downcast_ref::<PgDatabaseError>().is_some_and(|it| it.code() == "53300") => {
            Ok(())
        }
        Ok(Err(err)) => Err(err.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// Could it be that nobody is there? A full pool and a cut connection look alike from here.
fn speaks_of_absence(err: &DbErr) -> bool {
    match err {
        // The pool was closed by us.
        DbErr::Conn(RuntimeErr::SqlxError(err)) => !matches!(&**err, sqlx::Error::PoolClosed),
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(err)) | DbErr::Query(RuntimeErr::SqlxError(err)) => match &**err {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) => true,
            // Going down, starting up, connection failures.
            sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| code.starts_with("57P0") || code.starts_with("08")),
            _ => false,
        },
        _ => false,
    }
}
