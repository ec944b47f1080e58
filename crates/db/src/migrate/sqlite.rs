//! SQLite: each step under the write lock, which other processes wait for; a copy of the file first.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use baluarte_kernel::Clock;
use sea_orm::sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, Row as _, SqliteConnection, query, query_as, raw_sql, sqlite::SqliteConnectOptions,
};

use super::{Applied, CREATE_TABLE, LIST, Plan, RECORD, Step};
use crate::{DbError, connect};

/// Another replica may be migrating; so long do we wait for each of its steps.
const WAIT: Duration = Duration::from_secs(60);
const COPIES_KEPT: usize = 3;
/// What has to stay free beside the copy, for the migration itself.
const RESERVE: u64 = 32 << 20;

pub(super) async fn migrate(path: &Path, plan: &Plan, clock: &Clock, backup: bool) -> Result<Vec<String>, DbError> {
    connect::create_sqlite_file(path)?;
    let mut conn = open(path).await?;
    let result = apply_all(&mut conn, path, plan, clock, backup).await;
    // Drops the last reference to the file, so that the pools start from a clean slate.
    let closed = conn.close().await;
    let steps = result?;
    closed?;
    Ok(steps)
}

/// What is recorded as applied.
pub(super) async fn applied(path: &Path) -> Result<Applied, DbError> {
    let mut conn = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(Duration::from_secs(3)).connect().await?;
    let known = query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'").fetch_optional(&mut conn).await?;
    let applied = match known {
        Some(_) => query_as(LIST).fetch_all(&mut conn).await?,
        None => Applied::new(),
    };
    conn.close().await?;
    Ok(applied)
}

/// With foreign keys off, as SQLite asks for when tables are rebuilt; each step is checked as a whole instead.
async fn open(path: &Path) -> Result<SqliteConnection, DbError> {
    let options = connect::sqlite_writer(path).busy_timeout(WAIT).foreign_keys(false);
    let mut waited = Duration::ZERO;
    loop {
        // Two processes that create the same file meet at the switch to WAL, which does not wait for the other.
        match options.connect().await.map_err(DbError::from) {
            Err(DbError::Unavailable(_)) if waited < Duration::from_secs(5) => {
                waited += Duration::from_millis(50);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(DbError::Driver(cause)) if cause.code() == Some("26") => {
                return Err(DbError::Setup(format!("{} is not a SQLite database", path.display())));
            }
            other => return other,
        }
    }
}

async fn apply_all(conn: &mut SqliteConnection, path: &Path, plan: &Plan, clock: &Clock, backup: bool) -> Result<Vec<String>, DbError> {
    let mut done = Vec::new();
    // Copied, or made here and now, with nothing in it that a copy could save.
    let mut safe = (!backup).then_some(true);
    loop {
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
        tx.execute(CREATE_TABLE).await?;
        let applied: Applied = query_as(LIST).fetch_all(&mut *tx).await?;
        let Some(step) = plan.next(&applied)? else {
            tx.commit().await?;
            return Ok(done);
        };
        if !*safe.get_or_insert(applied.is_empty()) {
            safety_copy(path, step).await?;
            safe = Some(true);
        }
        let result = async {
            raw_sql(step.sql).execute(&mut *tx).await?;
            if let Some(row) = tx.fetch_optional("PRAGMA foreign_key_check").await? {
                let table: String = row.try_get(0)?;
                return Err(DbError::Setup(format!("migration {} leaves rows of {table} without their parent", step.title())));
            }
            query(RECORD).bind(step.component).bind(step.name).bind(&step.checksum).bind(clock.now().micros()).execute(&mut *tx).await?;
            tx.commit().await?;
            Ok(())
        };
        result.await.map_err(|err| step.failed(err))?;
        tracing::info!(target: "db", step = step.title(), "migrated");
        done.push(step.title());
    }
}

/// Readers go on while the lock is held, so another connection can take the copy of exactly this state.
async fn safety_copy(path: &Path, step: &Step) -> Result<(), DbError> {
    let copy = sibling(path, &format!(".before-{}-{}", step.component, step.name));
    let unfinished = sibling(path, ".copying");
    let failed = |err: std::io::Error| DbError::Setup(format!("no safety copy at {}: {err}", copy.display()));
    room_for_copy(path, &copy)?;
    // SQLite writes into an empty file, and this one belongs to its owner only.
    let _ = fs::remove_file(&unfinished);
    connect::create_sqlite_file(&unfinished)?;
    let mut conn = SqliteConnectOptions::new().filename(path).busy_timeout(WAIT).connect().await?;
    query("VACUUM INTO $1").bind(unfinished.to_string_lossy().into_owned()).execute(&mut conn).await?;
    conn.close().await?;
    fs::File::open(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(&unfinished, &copy).map_err(failed)?;
    tracing::info!(target: "db", copy = %copy.display(), "copied the database before migrating it");
    forget_old_copies(path).map_err(failed)
}

/// Said before anything is changed: a disk that fills up in the middle stops more than this.
fn room_for_copy(path: &Path, copy: &Path) -> Result<(), DbError> {
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let needed = size(path) + size(&sibling(path, "-wal"));
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Where the free space cannot be read, the copy itself will tell.
    let Ok(stats) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = stats.f_bavail.saturating_mul(stats.f_frsize);
    if free > needed.saturating_add(RESERVE) {
        return Ok(());
    }
    Err(DbError::Setup(format!(
        "no room for the safety copy {}: {} MiB are free, {} are needed; make room, or set database.backup_before_migrate = false once you have a copy elsewhere",
        copy.display(),
        free >> 20,
        (needed + RESERVE) >> 20
    )))
}

fn forget_old_copies(path: &Path) -> std::io::Result<()> {
    let prefix = sibling(path, ".before-");
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = prefix.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut copies = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            copies.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    copies.sort();
    let surplus = copies.len().saturating_sub(COPIES_KEPT);
    copies.into_iter().take(surplus).try_for_each(|(_, old)| fs::remove_file(old))
}

/// `data/x.db` and `.copying` → `data/x.db.copying`.
fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
