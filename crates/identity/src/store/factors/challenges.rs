use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Timestamp, UserId};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use crate::{
    SessionKind,
    factors::{FactorKind, SENDS, TRIES},
    store::read,
};

/// Open attempts of one person; older ones make room.
const MAX_PER_USER: i64 = 20;

/// What an answer is for. A token of one purpose is worth nothing for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The second question of a sign-in.
    SignIn,
    /// A sign-in that sets up the factor its role demands.
    Enrol,
    /// Somebody signed in makes their address a factor.
    Email,
    /// Somebody signed in makes a telephone number a factor, or another one than before.
    Sms,
    /// Somebody signed in shows that it is still them.
    Confirm,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Enrol => "enrol",
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Confirm => "confirm",
        }
    }

    fn parse(text: &str) -> Result<Self, DbError> {
        match text {
            "sign_in" => Ok(Self::SignIn),
            "enrol" => Ok(Self::Enrol),
            "email" => Ok(Self::Email),
            "sms" => Ok(Self::Sms),
            "confirm" => Ok(Self::Confirm),
            _ => Err(DbError::Corrupt("challenges.purpose")),
        }
    }
}

/// A row to be.
#[derive(Debug)]
pub(crate) struct NewChallenge {
    pub(crate) token_hash: String,
    pub(crate) user_id: UserId,
    pub(crate) purpose: Purpose,
    pub(crate) session_kind: SessionKind,
    /// The account's `password_changed_at`.
    pub(crate) bound_to: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// A question that is open.
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    pub(crate) user_id: UserId,
    pub(crate) purpose: Purpose,
    pub(crate) session_kind: SessionKind,
    pub(crate) bound_to: Timestamp,
    pub(crate) code_hash: Option<String>,
    /// How the code was sent.
    pub(crate) sent_by: Option<FactorKind>,
    /// Sealed: where to, when that becomes a factor with it.
    pub(crate) phone: Option<String>,
    pub(crate) code_sent_at: Timestamp,
    pub(crate) sends: u32,
    pub(crate) expires_at: Timestamp,
}

#[derive(FromQueryResult)]
struct Row {
    user_id: String,
    purpose: String,
    session_kind: String,
    bound_to: i64,
    code_hash: Option<String>,
    code_channel: Option<String>,
    phone: Option<String>,
    code_sent_at: i64,
    sends: i64,
    expires_at: i64,
}

impl TryFrom<Row> for Challenge {
    type Error = DbError;
    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            user_id: read("challenges.user_id", &row.user_id)?,
            purpose: Purpose::parse(&row.purpose)?,
            session_kind: match row.session_kind.as_str() {
                "cookie" => SessionKind::Cookie,
                "tokens" => SessionKind::Tokens,
                _ => return Err(DbError::Corrupt("challenges.session_kind")),
            },
            bound_to: Timestamp::from_micros(row.bound_to),
            sent_by: match (&row.code_hash, row.code_channel.as_deref()) {
                (None, _) => None,
                (Some(_), None | Some("email")) => Some(FactorKind::Email),
                (Some(_), Some("sms")) => Some(FactorKind::Sms),
                _ => return Err(DbError::Corrupt("challenges.code_channel")),
            },
            code_hash: row.code_hash,
            phone: row.phone,
            code_sent_at: Timestamp::from_micros(row.code_sent_at),
            sends: u32::try_from(row.sends).unwrap_or(u32::MAX),
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

const INSERT: &str = "INSERT INTO challenges
    (token_hash, user_id, purpose, session_kind, bound_to, tries, code_sent_at, sends, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, 0, 0, 0, $6, $7)";
const TRIM: &str = "DELETE FROM challenges WHERE user_id = $1 AND token_hash IN (
    SELECT token_hash FROM challenges WHERE user_id = $1 ORDER BY created_at DESC, token_hash LIMIT 1000000 OFFSET $2)";

pub(crate) async fn insert_challenge(tx: &Tx, new: NewChallenge, at: Timestamp) -> Result<(), DbError> {
    let user = new.user_id.to_string();
    tx.execute_raw(sql(tx, INSERT, values(new, at))).await?;
    tx.execute_raw(sql(tx, TRIM, [user.into(), MAX_PER_USER.into()])).await?;
    Ok(())
}

/// The only one of its kind: begins again when the last one is over, and goes on while it is not, with its tries and codes.
const OPEN: &str = "INSERT INTO challenges
    (token_hash, user_id, purpose, session_kind, bound_to, tries, code_sent_at, sends, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, 0, 0, 0, $6, $7)
    ON CONFLICT (token_hash) DO UPDATE SET
        tries = 0, code_hash = NULL, code_channel = NULL, phone = NULL, code_sent_at = 0, sends = 0,
        bound_to = excluded.bound_to, created_at = excluded.created_at, expires_at = excluded.expires_at
    WHERE challenges.expires_at <= $6";

pub(crate) async fn open_challenge(tx: &Tx, new: NewChallenge, at: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, OPEN, values(new, at))).await?;
    Ok(())
}

fn values(new: NewChallenge, at: Timestamp) -> [Value; 7] {
    [
        new.token_hash.into(),
        new.user_id.to_string().into(),
        new.purpose.as_str().into(),
        new.session_kind.as_str().into(),
        new.bound_to.micros().into(),
        at.micros().into(),
        new.expires_at.micros().into(),
    ]
}

macro_rules! columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "user_id, purpose, session_kind, bound_to, code_hash, code_channel, phone, code_sent_at, sends, expires_at",
            $after
        )
    };
}
const FIND: &str = columns!("SELECT ", " FROM challenges WHERE token_hash = $1 AND expires_at > $2 AND tries < $3");

/// One that may still be answered.
pub(crate) async fn find_challenge(conn: &impl ConnectionTrait, token_hash: &str, now: Timestamp) -> Result<Option<Challenge>, DbError> {
    let values = [token_hash.into(), now.micros().into(), i64::from(TRIES).into()];
    Row::find_by_statement(sql(conn, FIND, values)).one(conn).await?.map(Challenge::try_from).transpose()
}

/// A try is spent before the answer is looked at: however many answers come at once, five are looked at.
const SPEND: &str =
    columns!("UPDATE challenges SET tries = tries + 1 WHERE token_hash = $1 AND expires_at > $2 AND tries < $3 RETURNING ", "");

/// The question, with this try counted; `None` when it may not be answered any more.
pub(crate) async fn spend_try(tx: &Tx, token_hash: &str, now: Timestamp) -> Result<Option<Challenge>, DbError> {
    let values = [token_hash.into(), now.micros().into(), i64::from(TRIES).into()];
    Row::find_by_statement(sql(tx, SPEND, values)).one(tx).await?.map(Challenge::try_from).transpose()
}

/// A code as it is stored, and where it goes.
#[derive(Debug)]
pub(crate) struct NewCode<'a> {
    pub(crate) hash: &'a str,
    pub(crate) sent_by: FactorKind,
    /// Sealed: the number that becomes a factor with this code. Set together with it, so that no code confirms another number.
    pub(crate) phone: Option<&'a str>,
}

/// A new code voids the old one. Not too soon after it, and not too often.
const SET_CODE: &str = "UPDATE challenges SET code_hash = $2, code_sent_at = $3, sends = sends + 1, code_channel = $7, phone = $8
    WHERE token_hash = $1 AND expires_at > $3 AND tries < $4 AND sends < $5 AND code_sent_at <= $6";

/// Whether the code may be sent.
pub(crate) async fn set_code(
    tx: &Tx,
    token_hash: &str,
    code: &NewCode<'_>,
    last_before: Timestamp,
    now: Timestamp,
) -> Result<bool, DbError> {
    let values: [Value; 8] = [
        token_hash.into(),
        code.hash.into(),
        now.micros().into(),
        i64::from(TRIES).into(),
        i64::from(SENDS).into(),
        last_before.micros().into(),
        code.sent_by.as_str().into(),
        code.phone.into(),
    ];
    Ok(tx.execute_raw(sql(tx, SET_CODE, values)).await?.rows_affected() == 1)
}

const REMOVE: &str = "DELETE FROM challenges WHERE token_hash = $1";

/// Whether this call was the one that answered it.
pub(crate) async fn remove(tx: &Tx, token_hash: &str) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, REMOVE, [token_hash.into()])).await?.rows_affected() == 1)
}

const VOID: &str = "DELETE FROM challenges WHERE user_id = $1 AND purpose = 'sign_in'";

/// Ends the attempts to sign in that wait for an answer: what they may be answered with has changed.
pub(crate) async fn void_sign_ins(tx: &Tx, user: UserId) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, VOID, [user.to_string().into()])).await?;
    Ok(())
}

const VOID_ALL: &str = "DELETE FROM challenges WHERE user_id = $1";

/// Ends everything that waits for an answer of somebody.
pub(crate) async fn void_all(tx: &Tx, user: UserId) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, VOID_ALL, [user.to_string().into()])).await?;
    Ok(())
}

const SWEEP: &str = "DELETE FROM challenges WHERE expires_at <= $1";

pub(crate) async fn sweep(tx: &Tx, now: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, SWEEP, [now.micros().into()])).await?;
    Ok(())
}
