use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Locale, Timestamp, UserId};
use sea_orm::{ConnectionTrait, Value};

use crate::{import::ImportedUser, password::Work};

/// Kinds of work that are told apart at most.
const MOST_SCHEMES: usize = 64;

/// SQL because one statement looks whether there is such an account and makes it.
const INSERT: &str = "INSERT INTO users (id, email, email_verified_at, name, name_folded, role, locale, password_hash, password_scheme,
    password_changed_at, epoch, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11) ON CONFLICT (email) DO NOTHING";

/// Whether there was no account with this address.
pub(crate) async fn insert(tx: &Tx, user: &ImportedUser, locale: Locale, at: Timestamp) -> Result<bool, DbError> {
    let created_at = user.created_at.unwrap_or(at);
    let values: [Value; 11] = [
        UserId::generate().to_string().into(),
        user.email.as_str().into(),
        user.verified.then_some(created_at.micros()).into(),
        user.name.as_str().into(),
        user.name.folded().into(),
        user.role.as_str().into(),
        locale.tag().into(),
        user.password.as_ref().map(|hash| hash.stored()).into(),
        user.password.as_ref().map(|hash| hash.work().to_string()).into(),
        at.micros().into(),
        created_at.micros().into(),
    ];
    Ok(tx.execute_raw(sql(tx, INSERT, values)).await?.rows_affected() == 1)
}

/// Only what nobody has used yet: whoever has signed in or chosen a password here knows better than the file.
const UPDATE: &str = "UPDATE users SET name = $2, name_folded = $3, role = $4, email_verified_at = COALESCE(email_verified_at, $5),
    password_hash = COALESCE($6, password_hash), password_scheme = COALESCE($7, password_scheme)
    WHERE email = $1 AND last_sign_in_at IS NULL AND disabled_at IS NULL AND (password_hash IS NULL OR password_scheme IS NOT NULL)";

pub(crate) async fn update(tx: &Tx, user: &ImportedUser, at: Timestamp) -> Result<bool, DbError> {
    let values: [Value; 7] = [
        user.email.as_str().into(),
        user.name.as_str().into(),
        user.name.folded().into(),
        user.role.as_str().into(),
        user.verified.then_some(user.created_at.unwrap_or(at).micros()).into(),
        user.password.as_ref().map(|hash| hash.stored()).into(),
        user.password.as_ref().map(|hash| hash.work().to_string()).into(),
    ];
    Ok(tx.execute_raw(sql(tx, UPDATE, values)).await?.rows_affected() == 1)
}

/// SQL because each look takes one step down an index, however many people have the same.
const NEXT_SCHEME: &str = "SELECT MIN(password_scheme) FROM users WHERE password_scheme IS NOT NULL AND password_scheme > $1";

/// Each kind of work that some account's hash is.
pub(crate) async fn list_schemes(conn: &impl ConnectionTrait) -> Result<Vec<Work>, DbError> {
    let (mut found, mut last) = (Vec::new(), String::new());
    while found.len() < MOST_SCHEMES {
        let row = conn.query_one_raw(sql(conn, NEXT_SCHEME, [last.as_str().into()])).await?;
        let Some(next) = row.map(|row| row.try_get_by_index::<Option<String>>(0)).transpose()?.flatten() else { break };
        found.push(next.parse().map_err(|_| DbError::Corrupt("users.password_scheme"))?);
        last = next;
    }
    Ok(found)
}
