//! Finding entries. Every question is answered from an index that has the entries in their order, and looks at a bounded number of
//! them: a rare answer among millions comes in several pages, some of them short, and never blocks the database.

use baluarte_db::{
    Db, DbError,
    sea_orm::{ConnectionTrait as _, Value},
    sql,
};

use crate::{Severity, Status, search::EntryFilter};

/// Entries that one question looks at.
const WINDOW: usize = 20_000;
/// More actions than this are looked for among all entries.
const ACTIONS: usize = 24;

/// Numbers of entries that match, the newest first, and where to go on.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    pub(crate) seqs: Vec<i64>,
    /// Entries before this one have not been looked at.
    pub(crate) next: Option<i64>,
}

/// All actions that occur, by walking the index from one to the next.
const LIST_ACTIONS: &str = "WITH RECURSIVE names (action) AS (
        SELECT min(action) FROM audit_entries
        UNION ALL SELECT (SELECT min(action) FROM audit_entries WHERE action > names.action) FROM names WHERE names.action IS NOT NULL)
    SELECT action FROM names WHERE action IS NOT NULL LIMIT 1000";

pub(crate) async fn list_actions(db: &Db) -> Result<Vec<String>, DbError> {
    let rows = db.read().query_all_raw(sql(db.read(), LIST_ACTIONS, [])).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

/// Where in the chain a moment is: from the entries of about that time, since a clock may have been put back.
pub(crate) async fn seq_at(db: &Db, at: i64, latest: bool) -> Result<Option<i64>, DbError> {
    let text = if latest {
        "SELECT max(seq) FROM (SELECT seq FROM audit_entries WHERE at <= $1 ORDER BY at DESC LIMIT 5000) AS about"
    } else {
        "SELECT min(seq) FROM (SELECT seq FROM audit_entries WHERE at >= $1 ORDER BY at LIMIT 5000) AS about"
    };
    let row = db.read().query_one_raw(sql(db.read(), text, [at.into()])).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.flatten())
}

/// Conditions and their values: `?` in a condition is where its value goes.
#[derive(Default)]
struct Conditions(Vec<(String, Vec<Value>)>);

impl Conditions {
    fn add(&mut self, condition: impl Into<String>, value: impl Into<Value>) {
        self.0.push((condition.into(), vec![value.into()]));
    }

    /// `column IN (…)`.
    fn any(&mut self, column: &str, values: &[String]) {
        let places = vec!["?"; values.len()].join(", ");
        let list = if values.is_empty() { "NULL".to_owned() } else { places };
        self.0.push((format!("{column} IN ({list})"), values.iter().map(|value| value.clone().into()).collect()));
    }

    /// All of them; the values go behind those that are there.
    fn joined(&self, values: &mut Vec<Value>) -> String {
        let each = self.0.iter().map(|(condition, own)| numbered(condition, own, values)).collect::<Vec<_>>();
        if each.is_empty() { "TRUE".to_owned() } else { each.join(" AND ") }
    }
}

fn numbered(condition: &str, own: &[Value], values: &mut Vec<Value>) -> String {
    let mut pieces = condition.split('?');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for (piece, value) in pieces.zip(own) {
        values.push(value.clone());
        text.push_str(&format!("${}{piece}", values.len()));
    }
    text
}

/// `actions`: those that the filter's action stands for. `from`, `to`: the part of the chain that is looked at.
pub(crate) async fn find(
    db: &Db,
    filter: &EntryFilter,
    actions: Option<&[String]>,
    (from, to): (i64, i64),
    limit: usize,
) -> Result<Matches, DbError> {
    let (leads, rest) = split(filter, actions);
    let mut values: Vec<Value> = vec![from.into(), to.into()];
    let window = if rest.0.is_empty() { limit + 1 } else { WINDOW };
    let each = (window / leads.len()).max(limit + 1);
    let pieces: Vec<_> = leads
        .iter()
        .map(|lead| {
            let lead = numbered(&lead.0, &lead.1, &mut values);
            format!(
                "SELECT * FROM (SELECT * FROM audit_entries WHERE {lead} AND seq >= $1 AND seq <= $2 ORDER BY seq DESC LIMIT {each}) AS it"
            )
        })
        .collect();
    let leading = values.clone();
    let text = format!(
        "SELECT seq FROM ({}) AS candidates WHERE {} ORDER BY seq DESC LIMIT {}",
        pieces.join(" UNION ALL "),
        rest.joined(&mut values),
        limit + 1
    );
    let rows = db.read().query_all_raw(sql(db.read(), &text, values)).await?;
    let mut seqs = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<Vec<i64>, _>>()?;
    if seqs.len() > limit {
        seqs.truncate(limit);
        return Ok(Matches { next: seqs.last().copied(), seqs });
    }
    // How far down every piece has been looked at: below, one of them may have more.
    let lows: Vec<_> =
        pieces.iter().map(|piece| format!("SELECT CASE WHEN count(*) >= {each} THEN min(seq) END AS low FROM ({piece}) AS it")).collect();
    let text = format!("SELECT max(low) FROM ({}) AS lows", lows.join(" UNION ALL "));
    let row = db.read().query_one_raw(sql(db.read(), &text, leading)).await?;
    let next: Option<i64> = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
    seqs.retain(|seq| next.is_none_or(|next| *seq >= next));
    Ok(Matches { seqs, next })
}

/// What leads has an index with the entries in their order: several leads are united. The rest is asked of what they bring.
fn split(filter: &EntryFilter, actions: Option<&[String]>) -> (Vec<(String, Vec<Value>)>, Conditions) {
    let mut equal = Conditions::default();
    for (condition, value) in [
        ("request_id = ?", &filter.request_id),
        ("actor_id = ?", &filter.actor_id),
        ("resource_id = ?", &filter.resource_id),
        ("ip = ?", &filter.ip),
    ] {
        if let Some(value) = value {
            equal.add(condition, value.as_str());
        }
    }
    let mut rest = Conditions::default();
    let mut leads: Vec<_> = equal.0.drain(..equal.0.len().min(1)).collect();
    rest.0.append(&mut equal.0);
    match actions {
        Some(actions) if leads.is_empty() && (1..=ACTIONS).contains(&actions.len()) => {
            leads.extend(actions.iter().map(|action| ("action = ?".to_owned(), vec![action.clone().into()])));
        }
        Some(actions) => rest.any("action", actions),
        None => {}
    }
    let unusual = filter.status == Some(Status::Failure) || filter.severity.is_some_and(|least| least >= Severity::Warning);
    if unusual && leads.is_empty() {
        // Word for word the condition of the index.
        leads.push(("(status <> 'success' OR severity IN ('warning', 'alert'))".to_owned(), Vec::new()));
    }
    if leads.is_empty() {
        leads.push(("TRUE".to_owned(), Vec::new()));
    }
    if let Some(least) = filter.severity {
        let names: Vec<_> = Severity::ALL.iter().filter(|it| **it >= least).map(|it| it.as_str().to_owned()).collect();
        rest.any("severity", &names);
    }
    for (condition, value) in [
        ("status = ?", filter.status.map(Status::as_str)),
        ("actor_kind = ?", filter.actor_kind.as_deref()),
        ("resource_kind = ?", filter.resource_kind.as_deref()),
    ] {
        if let Some(value) = value {
            rest.add(condition, value);
        }
    }
    for (condition, at) in [("at >= ?", filter.from), ("at <= ?", filter.to)] {
        if let Some(at) = at {
            rest.add(condition, at.micros());
        }
    }
    if let Some(text) = &filter.text {
        let pattern = format!("%{}%", text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        let searched = ["details", "personal_details", "actor_name", "user_agent", "resource_id"];
        let each = searched.map(|column| format!("lower({column}) LIKE ? ESCAPE '\\'")).join(" OR ");
        rest.0.push((format!("({each})"), vec![pattern.into(); searched.len()]));
    }
    (leads, rest)
}
