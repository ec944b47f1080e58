use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Timestamp, UserId};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use crate::{
    factors::{
        Passkey, PasskeyId,
        passkey::{Registered, Used},
    },
    store::{read, timestamp},
};

/// A passkey with what it is checked against.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) passkey: Passkey,
    pub(crate) user_id: UserId,
    pub(crate) credential_id: String,
    pub(crate) public_key: Vec<u8>,
    pub(crate) transports: Vec<String>,
    pub(crate) backup_eligible: bool,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    user_id: String,
    credential_id: String,
    public_key: String,
    backup_eligible: i64,
    backed_up: i64,
    transports: String,
    name: String,
    created_at: i64,
    last_used_at: Option<i64>,
}

impl TryFrom<Row> for Stored {
    type Error = DbError;
    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            passkey: Passkey {
                id: read("passkeys.id", &row.id)?,
                name: row.name,
                backed_up: row.backed_up != 0,
                created_at: Timestamp::from_micros(row.created_at),
                last_used_at: timestamp(row.last_used_at),
            },
            user_id: read("passkeys.user_id", &row.user_id)?,
            credential_id: row.credential_id,
            public_key: URL_SAFE_NO_PAD.decode(&row.public_key).map_err(|_| DbError::Corrupt("passkeys.public_key"))?,
            transports: row.transports.split_whitespace().map(str::to_owned).collect(),
            backup_eligible: row.backup_eligible != 0,
        })
    }
}

macro_rules! columns {
    ($after:literal) => {
        concat!(
            "SELECT id, user_id, credential_id, public_key, backup_eligible, backed_up, transports, name, created_at, last_used_at FROM passkeys ",
            $after
        )
    };
}

const LIST: &str = columns!("WHERE user_id = $1 ORDER BY created_at, id");

/// Somebody's passkeys, the oldest first.
pub(crate) async fn list_passkeys(conn: &impl ConnectionTrait, user: UserId) -> Result<Vec<Stored>, DbError> {
    let rows = Row::find_by_statement(sql(conn, LIST, [user.to_string().into()])).all(conn).await?;
    rows.into_iter().map(Stored::try_from).collect()
}

const FIND: &str = columns!("WHERE credential_id = $1");

pub(crate) async fn find_passkey(conn: &impl ConnectionTrait, credential_id: &str) -> Result<Option<Stored>, DbError> {
    Row::find_by_statement(sql(conn, FIND, [credential_id.into()])).one(conn).await?.map(Stored::try_from).transpose()
}

const INSERT: &str = "INSERT INTO passkeys
    (id, user_id, credential_id, public_key, sign_count, backup_eligible, backed_up, transports, name, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (credential_id) DO NOTHING";

/// `None`: somebody has it already.
pub(crate) async fn insert_passkey(
    tx: &Tx,
    user: UserId,
    new: &Registered,
    name: &str,
    at: Timestamp,
) -> Result<Option<PasskeyId>, DbError> {
    let id = PasskeyId::generate();
    let values: [Value; 10] = [
        id.to_string().into(),
        user.to_string().into(),
        new.credential_id.as_str().into(),
        URL_SAFE_NO_PAD.encode(&new.public_key).into(),
        i64::from(new.sign_count).into(),
        i64::from(new.backup_eligible).into(),
        i64::from(new.backed_up).into(),
        new.transports.join(" ").into(),
        name.into(),
        at.micros().into(),
    ];
    Ok((tx.execute_raw(sql(tx, INSERT, values)).await?.rows_affected() == 1).then_some(id))
}

/// A count that does not grow is a copy's; those that do not count stay at zero. Decided in the statement: of two uses with one count,
/// one is taken.
const USE: &str = "UPDATE passkeys SET sign_count = $2, backed_up = $3, last_used_at = $4
    WHERE id = $1 AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))";

/// Whether the count of signatures is a later one than the last.
pub(crate) async fn use_passkey(tx: &Tx, id: PasskeyId, used: &Used, at: Timestamp) -> Result<bool, DbError> {
    let values = [id.to_string().into(), i64::from(used.sign_count).into(), i64::from(used.backed_up).into(), at.micros().into()];
    Ok(tx.execute_raw(sql(tx, USE, values)).await?.rows_affected() == 1)
}

const RENAME: &str = "UPDATE passkeys SET name = $3 WHERE id = $1 AND user_id = $2";

/// Whether there was such a passkey of that person.
pub(crate) async fn rename_passkey(tx: &Tx, id: PasskeyId, user: UserId, name: &str) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, RENAME, [id.to_string().into(), user.to_string().into(), name.into()])).await?.rows_affected() == 1)
}

const DELETE: &str = "DELETE FROM passkeys WHERE id = $1 AND user_id = $2";

/// Whether there was such a passkey of that person.
pub(crate) async fn delete_passkey(tx: &Tx, id: PasskeyId, user: UserId) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, DELETE, [id.to_string().into(), user.to_string().into()])).await?.rows_affected() == 1)
}

const DELETE_ALL: &str = "DELETE FROM passkeys WHERE user_id = $1";

pub(crate) async fn delete_passkeys(tx: &Tx, user: UserId) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, DELETE_ALL, [user.to_string().into()])).await?;
    Ok(())
}

const TAKE: &str = "INSERT INTO used_challenges (hash, expires_at) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING";

/// Whether this is a challenge's first use.
pub(crate) async fn take_challenge(tx: &Tx, hash: &str, expires_at: Timestamp) -> Result<bool, DbError> {
    Ok(tx.execute_raw(sql(tx, TAKE, [hash.into(), expires_at.micros().into()])).await?.rows_affected() == 1)
}

const SWEEP: &str = "DELETE FROM used_challenges WHERE expires_at <= $1";

pub(crate) async fn sweep(tx: &Tx, now: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, SWEEP, [now.micros().into()])).await?;
    Ok(())
}
