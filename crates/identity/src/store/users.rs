use baluarte_db::{Db, DbError, Tx, sql};
use baluarte_kernel::{Cursor, Locale, Page, Timestamp, UserId};
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, FromQueryResult, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, LikeExpr, Query, SimpleExpr},
};

use super::{like_literal, links::Link, read, timestamp};
use crate::model::{AccountState, Email, FactorFilter, Name, Person, ProfileChange, Role, User, UserFilter, fold};

#[expect(unreachable_pub, reason = "the derive needs its parts to be as public as what it makes of them")]
mod user {
    use sea_orm::entity::prelude::*;

    /// Table `users`. Private: the store hands out [`Account`](super::Account)s.
    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        #[sea_orm(unique)]
        pub email: String,
        pub email_verified_at: Option<i64>,
        pub name: String,
        pub name_folded: String,
        pub role: String,
        pub locale: String,
        pub password_hash: Option<String>,
        pub password_changed_at: i64,
        pub epoch: i64,
        pub disabled_at: Option<i64>,
        pub reset_required_at: Option<i64>,
        pub last_sign_in_at: Option<i64>,
        pub created_at: i64,
    }
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// A user with what nobody outside the service sees.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) password_hash: Option<String>,
    pub(crate) password_changed_at: Timestamp,
    pub(crate) epoch: u64,
}

/// A row to be.
#[derive(Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) id: UserId,
    pub(crate) email: &'a Email,
    pub(crate) name: &'a Name,
    pub(crate) role: &'a Role,
    pub(crate) locale: Locale,
    pub(crate) password_hash: Option<String>,
    pub(crate) verified: bool,
}

impl TryFrom<user::Model> for Account {
    type Error = DbError;
    fn try_from(row: user::Model) -> Result<Self, DbError> {
        Ok(Self {
            user: User {
                id: read("users.id", &row.id)?,
                email: read("users.email", &row.email)?,
                name: read("users.name", &row.name)?,
                role: read("users.role", &row.role)?,
                locale: Locale::from_tag(&row.locale).ok_or(DbError::Corrupt("users.locale"))?,
                email_verified_at: timestamp(row.email_verified_at),
                disabled_at: timestamp(row.disabled_at),
                reset_required_at: timestamp(row.reset_required_at),
                last_sign_in_at: timestamp(row.last_sign_in_at),
                created_at: Timestamp::from_micros(row.created_at),
            },
            password_hash: row.password_hash,
            password_changed_at: Timestamp::from_micros(row.password_changed_at),
            epoch: row.epoch.cast_unsigned(),
        })
    }
}

/// [`DbError::Unique`] over `users.email` when the address is taken.
pub(crate) async fn insert_user(tx: &Tx, new: NewRow<'_>, at: Timestamp) -> Result<Account, DbError> {
    let row = user::ActiveModel {
        id: Set(new.id.to_string()),
        email: Set(new.email.to_string()),
        email_verified_at: Set(new.verified.then_some(at.micros())),
        name: Set(new.name.to_string()),
        name_folded: Set(new.name.folded()),
        role: Set(new.role.to_string()),
        locale: Set(new.locale.tag().to_owned()),
        password_hash: Set(new.password_hash),
        password_changed_at: Set(at.micros()),
        epoch: Set(0),
        disabled_at: Set(None),
        reset_required_at: Set(None),
        last_sign_in_at: Set(None),
        created_at: Set(at.micros()),
    };
    row.insert(tx).await?.try_into()
}

pub(crate) async fn find_user(conn: &impl ConnectionTrait, id: UserId) -> Result<Option<Account>, DbError> {
    user::Entity::find_by_id(id.to_string()).one(conn).await?.map(Account::try_from).transpose()
}

pub(crate) async fn find_user_by_email(conn: &impl ConnectionTrait, email: &Email) -> Result<Option<Account>, DbError> {
    user::Entity::find().filter(user::Column::Email.eq(email.as_str())).one(conn).await?.map(Account::try_from).transpose()
}

/// `None` when there is no such user.
pub(crate) async fn update_profile(tx: &Tx, id: UserId, change: &ProfileChange) -> Result<Option<Account>, DbError> {
    let Some(found) = user::Entity::find_by_id(id.to_string()).one(tx).await? else { return Ok(None) };
    let mut row = found.clone().into_active_model();
    if let Some(name) = &change.name {
        row.name = Set(name.to_string());
        row.name_folded = Set(name.folded());
    }
    if let Some(locale) = change.locale {
        row.locale = Set(locale.tag().to_owned());
    }
    let stored = if row.is_changed() { row.update(tx).await? } else { found };
    stored.try_into().map(Some)
}

/// Newest first.
pub(crate) async fn list_users(
    conn: &impl ConnectionTrait,
    filter: &UserFilter,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page<User>, DbError> {
    let mut select = user::Entity::find();
    if let Some(query) = &filter.query {
        let part = LikeExpr::new(format!("%{}%", like_literal(&fold(query)))).escape('\\');
        let either = Condition::any().add(user::Column::Email.like(part.clone())).add(user::Column::NameFolded.like(part));
        select = select.filter(either);
    }
    if let Some(role) = &filter.role {
        select = select.filter(user::Column::Role.eq(role.as_str()));
    }
    if let Some(disabled) = filter.disabled {
        select = select.filter(if disabled { user::Column::DisabledAt.is_not_null() } else { user::Column::DisabledAt.is_null() });
    }
    select = match filter.state {
        None => select,
        Some(AccountState::Active) => select.filter(user::Column::DisabledAt.is_null()).filter(user::Column::ResetRequiredAt.is_null()),
        Some(AccountState::Disabled) => select.filter(user::Column::DisabledAt.is_not_null()),
        Some(AccountState::Unverified) => select.filter(user::Column::EmailVerifiedAt.is_null()),
        Some(AccountState::ResetRequired) => select.filter(user::Column::ResetRequiredAt.is_not_null()),
    };
    if let Some(factor) = filter.factor {
        select = select.filter(with_factor(factor));
    }
    if let Some(after) = after {
        select = select.filter(user::Column::Id.lt(after.key()));
    }
    let rows = select.order_by_desc(user::Column::Id).limit(limit as u64 + 1).all(conn).await?;
    let users = rows.into_iter().map(|row| Account::try_from(row).map(|account| account.user)).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_surplus(users, limit, |user| user.id.to_string()))
}

/// People with this factor in force, or with none.
fn with_factor(factor: FactorFilter) -> SimpleExpr {
    use sea_orm::ExprTrait as _;
    let mut held = Query::select();
    held.column("user_id").from("factors").and_where(Expr::col("confirmed_at").is_not_null());
    if let FactorFilter::Kind(kind) = factor {
        held.and_where(Expr::col("kind").eq(kind.as_str()));
    }
    match factor {
        FactorFilter::None => user::Column::Id.not_in_subquery(held),
        FactorFilter::Any | FactorFilter::Kind(_) => user::Column::Id.in_subquery(held),
    }
}

#[derive(FromQueryResult)]
struct PersonRow {
    id: String,
    name: String,
    name_folded: String,
}

/// Between the two halves of a cursor: sorts before every character a name may have.
const CURSOR_SPLIT: char = '\u{1f}';

/// Enabled accounts with a word of their name that begins with `query`, by name. SQL because of the row comparison.
const LIST_PEOPLE: &str = r"SELECT id, name, name_folded FROM users
    WHERE disabled_at IS NULL AND (email_verified_at IS NOT NULL OR NOT $1)
    AND (name_folded LIKE $2 ESCAPE '\' OR name_folded LIKE $3 ESCAPE '\')
    AND (name_folded > $4 OR (name_folded = $4 AND id > $5))
    ORDER BY name_folded, id LIMIT $6";

/// `verified_only`: leave out those who have not proven their address. An unknown cursor begins at the start.
pub(crate) async fn list_people(
    conn: &impl ConnectionTrait,
    query: &str,
    verified_only: bool,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page<Person>, DbError> {
    let literal = like_literal(&fold(query.trim()));
    let (name, id) = after.and_then(|cursor| cursor.key().split_once(CURSOR_SPLIT)).unwrap_or_default();
    let surplus = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    let values =
        [verified_only.into(), format!("{literal}%").into(), format!("% {literal}%").into(), name.into(), id.into(), surplus.into()];
    let rows = PersonRow::find_by_statement(sql(conn, LIST_PEOPLE, values)).all(conn).await?;
    let page = Page::from_surplus(rows, limit, |row| format!("{}{CURSOR_SPLIT}{}", row.name_folded, row.id));
    let items = page
        .items
        .iter()
        .map(|row| Ok(Person { id: read("users.id", &row.id)?, name: read("users.name", &row.name)? }))
        .collect::<Result<_, DbError>>()?;
    Ok(Page { items, next_cursor: page.next_cursor })
}

/// Takes the row for the rest of the transaction and confirms that nothing about its password has changed since it was
/// read: signing in and changing a password then happen one after the other.
const SIGN_IN: &str = "UPDATE users SET last_sign_in_at = $1 WHERE id = $2 AND password_changed_at = $3 AND disabled_at IS NULL";

/// Whether the account is still as `account` says.
pub(crate) async fn mark_sign_in(tx: &Tx, account: &Account, at: Timestamp) -> Result<bool, DbError> {
    let values = [at.micros().into(), account.user.id.to_string().into(), account.password_changed_at.micros().into()];
    Ok(tx.execute_raw(sql(tx, SIGN_IN, values)).await?.rows_affected() == 1)
}

/// The second of two changes that began from the same password finds nothing to change. A link in a mail or the
/// confirmation of an address also proves the address ($5).
const SET_PASSWORD: &str =
    "UPDATE users SET password_hash = $1, password_scheme = NULL, password_changed_at = $2, reset_required_at = NULL,
    email_verified_at = CASE WHEN $5 THEN COALESCE(email_verified_at, $2) ELSE email_verified_at END
    WHERE id = $3 AND password_changed_at = $4 AND disabled_at IS NULL";

/// `changed_at`: as read before. Whether it was changed. The new time is always later than the old one.
pub(crate) async fn set_password(
    tx: &Tx,
    id: UserId,
    changed_at: Timestamp,
    hash: &str,
    proves_address: bool,
    at: Timestamp,
) -> Result<bool, DbError> {
    let at = at.micros().max(changed_at.micros() + 1);
    let values = [hash.into(), at.into(), id.to_string().into(), changed_at.micros().into(), proves_address.into()];
    Ok(tx.execute_raw(sql(tx, SET_PASSWORD, values)).await?.rows_affected() == 1)
}

/// The second address proves itself by the link that was sent there. What was given out under the first one is of an earlier epoch.
const CHANGE_EMAIL: &str = "UPDATE users SET email = $1, email_verified_at = $2, epoch = epoch + 1
    WHERE id = $3 AND email = $4 AND password_changed_at = $5 AND disabled_at IS NULL RETURNING epoch";

/// The epoch from now on; `None` when the account is not as `before` says any more. [`DbError::Unique`] when the address is taken.
pub(crate) async fn change_email(tx: &Tx, before: &Account, new: &Email, at: Timestamp) -> Result<Option<u64>, DbError> {
    let values = [
        new.as_str().into(),
        at.micros().into(),
        before.user.id.to_string().into(),
        before.user.email.as_str().into(),
        before.password_changed_at.micros().into(),
    ];
    epoch(tx, CHANGE_EMAIL, values).await
}

/// Whoever registered with this address may be somebody else: their password and what they hold do not outlive the proof.
const PROVE_WITHOUT_PASSWORD: &str =
    "UPDATE users SET email_verified_at = $1, password_hash = NULL, password_changed_at = $2, epoch = epoch + 1
    WHERE id = $3 AND email_verified_at IS NULL AND password_changed_at = $4 RETURNING epoch";

/// The epoch from now on; `None` when the address was proven meanwhile.
pub(crate) async fn prove_without_password(tx: &Tx, account: &Account, at: Timestamp) -> Result<Option<u64>, DbError> {
    let changed_at = account.password_changed_at.micros();
    let values = [at.micros().into(), at.micros().max(changed_at + 1).into(), account.user.id.to_string().into(), changed_at.into()];
    epoch(tx, PROVE_WITHOUT_PASSWORD, values).await
}

async fn epoch(tx: &Tx, text: &str, values: impl IntoIterator<Item = sea_orm::Value>) -> Result<Option<u64>, DbError> {
    let row = tx.query_one_raw(sql(tx, text, values)).await?;
    row.map(|row| row.try_get::<i64>("", "epoch").map(i64::cast_unsigned)).transpose().map_err(DbError::from)
}

/// The same password under stronger parameters; lost when somebody changed it meanwhile.
const REHASH: &str = "UPDATE users SET password_hash = $1, password_scheme = NULL WHERE id = $2 AND password_hash = $3";

pub(crate) async fn rehash(tx: &Tx, id: UserId, old: &str, new: &str) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, REHASH, [new.into(), id.to_string().into(), old.into()])).await?;
    Ok(())
}

/// Only where nobody has proven the address.
const FORGET_PASSWORD: &str = "UPDATE users SET password_hash = NULL, password_scheme = NULL WHERE id = $1 AND email_verified_at IS NULL";

/// Leaves an account that is still to be confirmed without a password.
pub(crate) async fn forget_password(tx: &Tx, id: UserId) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, FORGET_PASSWORD, [id.to_string().into()])).await?;
    Ok(())
}

/// Takes effect once: the account may have been confirmed by another link meanwhile, or its password changed.
const VERIFY: &str = "UPDATE users SET email_verified_at = $1, name = $2, name_folded = $3, password_hash = $4
    WHERE id = $5 AND email_verified_at IS NULL AND password_changed_at = $6";

/// Proves the address, with name and password of the registration that the link was sent for.
pub(crate) async fn verify_email(tx: &Tx, link: &Link, name: &Name, hash: &str, at: Timestamp) -> Result<bool, DbError> {
    let (id, bound_to) = (link.user_id.to_string(), link.bound_to.micros());
    let values = [at.micros().into(), name.as_str().into(), name.folded().into(), hash.into(), id.into(), bound_to.into()];
    Ok(tx.execute_raw(sql(tx, VERIFY, values)).await?.rows_affected() == 1)
}

/// A change by an administrator; each counts the epoch up, which voids every credential given out before.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<'a> {
    Disable,
    Enable,
    Role(&'a Role),
}

/// `None` when there is no such user.
pub(crate) async fn change_user(tx: &Tx, id: UserId, change: Change<'_>, at: Timestamp) -> Result<Option<Account>, DbError> {
    use sea_orm::ExprTrait as _;
    let (column, value) = match change {
        Change::Disable => (user::Column::DisabledAt, Expr::value(Some(at.micros()))),
        Change::Enable => (user::Column::DisabledAt, Expr::value(None::<i64>)),
        Change::Role(role) => (user::Column::Role, Expr::value(role.as_str())),
    };
    let rows = user::Entity::update_many()
        .col_expr(column, value)
        .col_expr(user::Column::Epoch, Expr::col(user::Column::Epoch).add(1_i64))
        .filter(user::Column::Id.eq(id.to_string()))
        .exec_with_returning(tx)
        .await?;
    rows.into_iter().next().map(Account::try_from).transpose()
}

pub(crate) async fn delete_user(tx: &Tx, id: UserId) -> Result<(), DbError> {
    user::Entity::delete_by_id(id.to_string()).exec(tx).await?;
    Ok(())
}

/// What was bound to the password is void with it: links, open questions, sign-ins that are under way.
const REQUIRE_RESET: &str = "UPDATE users SET reset_required_at = $1,
    password_changed_at = CASE WHEN password_changed_at < $1 THEN $1 ELSE password_changed_at + 1 END WHERE id = $2";

/// The password does not sign in any more until another one is chosen.
pub(crate) async fn require_reset(tx: &Tx, id: UserId, at: Timestamp) -> Result<(), DbError> {
    tx.execute_raw(sql(tx, REQUIRE_RESET, [at.micros().into(), id.to_string().into()])).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct LeaderRow {
    id: String,
    role: String,
}

/// Somebody who may sign in and administer.
#[derive(Debug, Clone)]
pub(crate) struct Leader {
    pub(crate) id: UserId,
    pub(crate) role: Role,
}

const LEADERS: &str = "SELECT id, role FROM users WHERE role IN ($1, $2) AND disabled_at IS NULL";
const LEADERS_LOCKED: &str = "SELECT id, role FROM users WHERE role IN ($1, $2) AND disabled_at IS NULL ORDER BY id FOR UPDATE";

/// The administrators and owners who can sign in. Held true until the transaction ends: PostgreSQL would let two of them
/// remove each other at the same time unless both took the rows; SQLite has one writer. Taken before any other row.
pub(crate) async fn lock_leaders(db: &Db, tx: &Tx) -> Result<Vec<Leader>, DbError> {
    use baluarte_kernel::Principal;
    let text = db.per_dialect(LEADERS, LEADERS_LOCKED);
    let rows = LeaderRow::find_by_statement(sql(tx, text, [Principal::ADMIN.into(), Principal::OWNER.into()])).all(tx).await?;
    rows.iter().map(|row| Ok(Leader { id: read("users.id", &row.id)?, role: read("users.role", &row.role)? })).collect()
}
