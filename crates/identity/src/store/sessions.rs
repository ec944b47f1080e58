use std::time::Duration;

use baluarte_db::{Db, DbError, Tx, placeholders, sql};
use baluarte_kernel::{Cursor, Page, Principal, SessionId, Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use super::{read, timestamp, users::Account};
use crate::{
    model::{Session, SessionKind, User},
    token::RefreshSalt,
};

/// Devices that one person may be signed in on; the ones unused for longest make room.
const MAX_PER_USER: i64 = 500;

/// A session with its user, as every credential is checked against it.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) session: Session,
    pub(crate) user: User,
    pub(crate) epoch: u64,
    /// When a second factor was last proven for it.
    pub(crate) factor_at: Option<Timestamp>,
    /// When its owner showed again that it is still them.
    pub(crate) confirmed_at: Option<Timestamp>,
    /// Token sessions only.
    pub(crate) refresh: Option<RefreshState>,
}

/// Where a token session stands.
#[derive(Debug, Clone)]
pub(crate) struct RefreshState {
    pub(crate) salt: RefreshSalt,
    /// The number of the only token that may be used.
    pub(crate) seq: u32,
    /// When it was given out.
    pub(crate) since: Timestamp,
}

/// A row to be.
#[derive(Debug)]
pub(crate) struct NewSession<'a> {
    pub(crate) id: SessionId,
    pub(crate) account: &'a Account,
    pub(crate) kind: SessionKind,
    pub(crate) cookie_hash: Option<String>,
    pub(crate) refresh_salt: Option<&'a RefreshSalt>,
    pub(crate) user_agent: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) expires_at: Timestamp,
    pub(crate) factor_at: Option<Timestamp>,
}

const INSERT: &str = "INSERT INTO sessions
    (id, user_id, kind, cookie_hash, refresh_salt, refresh_seq, refreshed_at, user_agent, ip, created_at, last_seen_at, expires_at,
    factor_at)
    VALUES ($1, $2, $3, $4, $5, 0, $8, $6, $7, $8, $8, $9, $10)";

pub(crate) async fn insert_session(tx: &Tx, new: NewSession<'_>, at: Timestamp) -> Result<(), DbError> {
    let values: [Value; 10] = [
        new.id.to_string().into(),
        new.account.user.id.to_string().into(),
        new.kind.as_str().into(),
        new.cookie_hash.into(),
        new.refresh_salt.map(RefreshSalt::as_str).into(),
        new.user_agent.into(),
        new.ip.into(),
        at.micros().into(),
        new.expires_at.micros().into(),
        new.factor_at.map(Timestamp::micros).into(),
    ];
    tx.execute_raw(sql(tx, INSERT, values)).await?;
    Ok(())
}

/// The surplus is counted by last use. `LIMIT` has to be there for `OFFSET` on SQLite.
const TRIM: &str = "DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE user_id = $1 ORDER BY last_seen_at DESC, id DESC LIMIT 1000000 OFFSET $2) RETURNING id";

/// Ends what one person has too many; returns what ended.
pub(crate) async fn trim(tx: &Tx, user: UserId) -> Result<Vec<SessionId>, DbError> {
    ids(tx, TRIM, [user.to_string().into(), MAX_PER_USER.into()]).await
}

#[derive(FromQueryResult)]
struct LiveRow {
    id: String,
    user_id: String,
    kind: String,
    refresh_salt: Option<String>,
    refresh_seq: i64,
    refreshed_at: i64,
    user_agent: Option<String>,
    ip: Option<String>,
    created_at: i64,
    last_seen_at: i64,
    expires_at: i64,
    factor_at: Option<i64>,
    proven_at: Option<i64>,
    email: String,
    name: String,
    role: String,
    locale: String,
    email_verified_at: Option<i64>,
    disabled_at: Option<i64>,
    reset_required_at: Option<i64>,
    last_sign_in_at: Option<i64>,
    user_created_at: i64,
    epoch: i64,
}

/// One read for everything a credential is checked against.
macro_rules! live {
    ($condition:literal) => {
        concat!(
            "SELECT s.id, s.user_id, s.kind, s.refresh_salt, s.refresh_seq, s.refreshed_at, s.user_agent, s.ip, s.created_at, s.last_seen_at,
            s.expires_at, s.factor_at, s.proven_at, u.email, u.name, u.role, u.locale, u.email_verified_at, u.disabled_at, u.reset_required_at, u.last_sign_in_at,
            u.created_at AS user_created_at, u.epoch
            FROM sessions s JOIN users u ON u.id = s.user_id WHERE ",
            $condition
        )
    };
}
const FIND_BY_ID: &str = live!("s.id = $1");
const FIND_BY_COOKIE: &str = live!("s.cookie_hash = $1");

pub(crate) async fn find_by_id(conn: &impl ConnectionTrait, id: SessionId) -> Result<Option<Live>, DbError> {
    find(conn, FIND_BY_ID, id.to_string()).await
}

pub(crate) async fn find_by_cookie(conn: &impl ConnectionTrait, hash: &str) -> Result<Option<Live>, DbError> {
    find(conn, FIND_BY_COOKIE, hash.to_owned()).await
}

async fn find(conn: &impl ConnectionTrait, text: &str, key: String) -> Result<Option<Live>, DbError> {
    LiveRow::find_by_statement(sql(conn, text, [key.into()])).one(conn).await?.map(Live::try_from).transpose()
}

impl TryFrom<LiveRow> for Live {
    type Error = DbError;
    fn try_from(row: LiveRow) -> Result<Self, DbError> {
        let user = User {
            id: read("sessions.user_id", &row.user_id)?,
            email: read("users.email", &row.email)?,
            name: read("users.name", &row.name)?,
            role: read("users.role", &row.role)?,
            locale: baluarte_kernel::Locale::from_tag(&row.locale).ok_or(DbError::Corrupt("users.locale"))?,
            email_verified_at: timestamp(row.email_verified_at),
            disabled_at: timestamp(row.disabled_at),
            reset_required_at: timestamp(row.reset_required_at),
            last_sign_in_at: timestamp(row.last_sign_in_at),
            created_at: Timestamp::from_micros(row.user_created_at),
        };
        let seq = u32::try_from(row.refresh_seq).map_err(|_| DbError::Corrupt("sessions.refresh_seq"))?;
        let since = Timestamp::from_micros(row.refreshed_at);
        let refresh = row.refresh_salt.map(|salt| RefreshState { salt: RefreshSalt::from_stored(salt), seq, since });
        let session = Session {
            id: read("sessions.id", &row.id)?,
            kind: kind(&row.kind)?,
            user_agent: row.user_agent,
            // An address that cannot be read is not worth refusing a session for.
            ip: row.ip.and_then(|ip| ip.parse().ok()),
            created_at: Timestamp::from_micros(row.created_at),
            last_seen_at: Timestamp::from_micros(row.last_seen_at),
            expires_at: Timestamp::from_micros(row.expires_at),
            current: false,
        };
        Ok(Self {
            session,
            user,
            epoch: row.epoch.cast_unsigned(),
            factor_at: timestamp(row.factor_at),
            confirmed_at: timestamp(row.proven_at),
            refresh,
        })
    }
}

fn kind(text: &str) -> Result<SessionKind, DbError> {
    match text {
        "cookie" => Ok(SessionKind::Cookie),
        "tokens" => Ok(SessionKind::Tokens),
        _ => Err(DbError::Corrupt("sessions.kind")),
    }
}

impl Live {
    /// Neither over nor unused for `idle`, and its owner may sign in. `seen`: a last use that is not written down yet.
    pub(crate) fn is_alive(&self, idle: Duration, seen: Option<Timestamp>, now: Timestamp) -> bool {
        let last_seen_at = seen.map_or(self.session.last_seen_at, |seen| seen.max(self.session.last_seen_at));
        self.user.disabled_at.is_none() && now < self.session.expires_at && now < last_seen_at.plus(idle)
    }

    /// When its owner last showed who they are: in the beginning (a trusted browser's was earlier), or since.
    pub(crate) fn proven_at(&self) -> Timestamp {
        let begun = self.factor_at.unwrap_or(self.session.created_at);
        self.confirmed_at.map_or(begun, |at| at.max(begun))
    }

    pub(crate) fn principal(&self, expires_at: Timestamp) -> Principal {
        Principal {
            user_id: self.user.id,
            email: self.user.email.to_string(),
            name: self.user.name.to_string(),
            role: self.user.role.to_string(),
            session_id: Some(self.session.id),
            key_id: None,
            scopes: None,
            credential: baluarte_kernel::CredentialKind::SessionCookie,
            issued_at: self.session.created_at,
            proven_at: self.proven_at(),
            epoch: self.epoch,
            expires_at,
        }
    }
}

/// Decided in the statement: of two that use the same token at once, one moves the session on.
const ROTATE: &str = "UPDATE sessions SET refresh_seq = refresh_seq + 1, refreshed_at = $3, last_seen_at = $3
    WHERE id = $1 AND refresh_seq = $2 AND refresh_salt IS NOT NULL AND expires_at > $3";

/// Whether this call was the one that used token number `seq`.
pub(crate) async fn rotate(tx: &Tx, id: SessionId, seq: u32, at: Timestamp) -> Result<bool, DbError> {
    let values = [id.to_string().into(), i64::from(seq).into(), at.micros().into()];
    Ok(tx.execute_raw(sql(tx, ROTATE, values)).await?.rows_affected() == 1)
}

const TOUCH: &str = "UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2";

pub(crate) async fn touch(tx: &Tx, id: SessionId, at: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, TOUCH, [id.to_string().into(), at.micros().into()])).await?;
    Ok(())
}

const PROVEN: &str = "UPDATE sessions SET factor_at = $2 WHERE id = $1";

/// A second factor has just been proven for this session.
pub(crate) async fn mark_proven(tx: &Tx, id: SessionId, at: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, PROVEN, [id.to_string().into(), at.micros().into()])).await?;
    Ok(())
}

const CONFIRM: &str = "UPDATE sessions SET proven_at = $3, cookie_hash = COALESCE($4, cookie_hash) WHERE id = $1 AND user_id = $2";

/// Its owner has shown that it is still them; with `cookie_hash` it goes on under another cookie. Whether there is such a session.
pub(crate) async fn confirm(tx: &Tx, id: SessionId, user: UserId, cookie_hash: Option<String>, at: Timestamp) -> Result<bool, DbError> {
    let values = [id.to_string().into(), user.to_string().into(), at.micros().into(), cookie_hash.into()];
    Ok(tx.execute_raw(sql(tx, CONFIRM, values)).await?.rows_affected() == 1)
}

#[derive(FromQueryResult)]
struct SessionRow {
    id: String,
    kind: String,
    user_agent: Option<String>,
    ip: Option<String>,
    created_at: i64,
    last_seen_at: i64,
    expires_at: i64,
}

/// An id begins with the time it was made: newest first.
const LIST: &str = "SELECT id, kind, user_agent, ip, created_at, last_seen_at, expires_at FROM sessions
    WHERE user_id = $1 AND id < $2 AND expires_at > $3
    AND last_seen_at > CASE WHEN kind = 'cookie' THEN $4 ELSE $5 END ORDER BY id DESC LIMIT $6";
/// Sorts after every id, by bytes and by the rules of a language: PostgreSQL's usual ones put `~` before the digits.
const END: &str = "ses_z";

/// What one person is signed in on, without sessions that were unused for too long: (cookie, tokens) last seen before.
pub(crate) async fn list_sessions(
    conn: &impl ConnectionTrait,
    user: UserId,
    idle_since: (Timestamp, Timestamp),
    after: Option<&Cursor>,
    limit: usize,
    now: Timestamp,
) -> Result<Page<Session>, DbError> {
    let surplus = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    let values = [
        user.to_string().into(),
        after.map_or(END, Cursor::key).into(),
        now.micros().into(),
        idle_since.0.micros().into(),
        idle_since.1.micros().into(),
        surplus.into(),
    ];
    let rows = SessionRow::find_by_statement(sql(conn, LIST, values)).all(conn).await?;
    let sessions = rows.into_iter().map(Session::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_surplus(sessions, limit, |session| session.id.to_string()))
}

impl TryFrom<SessionRow> for Session {
    type Error = DbError;
    fn try_from(row: SessionRow) -> Result<Self, DbError> {
        Ok(Self {
            id: read("sessions.id", &row.id)?,
            kind: kind(&row.kind)?,
            user_agent: row.user_agent,
            ip: row.ip.and_then(|ip| ip.parse().ok()),
            created_at: Timestamp::from_micros(row.created_at),
            last_seen_at: Timestamp::from_micros(row.last_seen_at),
            expires_at: Timestamp::from_micros(row.expires_at),
            current: false,
        })
    }
}

const DELETE: &str = "DELETE FROM sessions WHERE id = $1 AND user_id = $2";

/// Whether there was such a session of that user.
pub(crate) async fn delete_session(tx: &Tx, id: SessionId, user: UserId) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, DELETE, [id.to_string().into(), user.to_string().into()])).await?.rows_affected() == 1)
}

const DELETE_ALL: &str = "DELETE FROM sessions WHERE user_id = $1 AND id <> $2 RETURNING id";

/// Ends all sessions of a person but one; returns what ended.
pub(crate) async fn delete_sessions(tx: &Tx, user: UserId, keep: Option<SessionId>) -> Result<Vec<SessionId>, DbError> {
    let keep = keep.map(|id| id.to_string()).unwrap_or_default();
    ids(tx, DELETE_ALL, [user.to_string().into(), keep.into()]).await
}

const EXPIRED: &str = "SELECT id FROM sessions WHERE expires_at <= $1
    OR last_seen_at <= CASE WHEN kind = 'cookie' THEN $2 ELSE $3 END LIMIT 500";

/// Some of the sessions that are over. Their credentials are void by their own times.
pub(crate) async fn list_over(db: &Db, idle_since: (Timestamp, Timestamp), now: Timestamp) -> Result<Vec<SessionId>, DbError> {
    ids(db.read(), EXPIRED, [now.micros().into(), idle_since.0.micros().into(), idle_since.1.micros().into()]).await
}

/// Removes these; at least one.
pub(crate) async fn remove(tx: &Tx, over: &[SessionId]) -> Result<(), DbError> {
    let text = format!("DELETE FROM sessions WHERE id IN ({})", placeholders(1, over.len()));
    let values = over.iter().map(|id| Value::from(id.to_string()));
    tx.execute_raw(sql(tx, &text, values)).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct IdRow {
    id: String,
}

async fn ids(conn: &impl ConnectionTrait, text: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<SessionId>, DbError> {
    let rows = IdRow::find_by_statement(sql(conn, text, values)).all(conn).await?;
    rows.iter().map(|row| read("sessions.id", &row.id)).collect()
}
