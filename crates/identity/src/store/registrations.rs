use baluarte_db::{DbError, Tx, sql};
use baluarte_kernel::{Id, Kind, Locale, Timestamp};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::read;
use crate::model::{Email, Name, Role};

/// Marks the identifiers of registrations.
pub(crate) enum RegistrationKind {}
impl Kind for RegistrationKind {
    const PREFIX: &'static str = "reg";
}
pub(crate) type RegistrationId = Id<RegistrationKind>;

/// Somebody who was told to look into their mailbox.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) email: Email,
    pub(crate) name: Name,
    pub(crate) password_hash: String,
    pub(crate) locale: Locale,
    /// Of whoever was invited.
    pub(crate) role: Role,
}

const INSERT: &str = "INSERT INTO registrations (id, email, name, password_hash, locale, created_at, role)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

pub(crate) async fn insert_registration(tx: &Tx, id: RegistrationId, new: &Waiting, at: Timestamp) -> Result<(), DbError> {
    let values = [
        id.to_string().into(),
        new.email.as_str().into(),
        new.name.as_str().into(),
        new.password_hash.as_str().into(),
        new.locale.tag().into(),
        at.micros().into(),
        new.role.as_str().into(),
    ];
    tx.execute_raw(sql(tx, INSERT, values)).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct Row {
    email: String,
    name: String,
    password_hash: String,
    locale: String,
    role: Option<String>,
}

/// Found and gone in one statement: of two that look after the same one, one gets it.
const TAKE: &str = "DELETE FROM registrations WHERE id = $1 RETURNING email, name, password_hash, locale, role";

pub(crate) async fn take_registration(tx: &Tx, id: RegistrationId) -> Result<Option<Waiting>, DbError> {
    let Some(row) = Row::find_by_statement(sql(tx, TAKE, [id.to_string().into()])).one(tx).await? else { return Ok(None) };
    Ok(Some(Waiting {
        email: read("registrations.email", &row.email)?,
        name: read("registrations.name", &row.name)?,
        password_hash: row.password_hash,
        locale: Locale::from_tag(&row.locale).ok_or(DbError::Corrupt("registrations.locale"))?,
        role: row.role.map_or_else(|| Ok(Role::user()), |role| read("registrations.role", &role))?,
    }))
}

#[derive(FromQueryResult)]
struct IdRow {
    id: String,
}

const LIST: &str = "SELECT id FROM registrations ORDER BY created_at LIMIT 100";

/// Some of those that wait, the oldest first.
pub(crate) async fn list_registrations(conn: &impl ConnectionTrait) -> Result<Vec<RegistrationId>, DbError> {
    let rows = IdRow::find_by_statement(sql(conn, LIST, [])).all(conn).await?;
    rows.iter().map(|row| read("registrations.id", &row.id)).collect()
}
