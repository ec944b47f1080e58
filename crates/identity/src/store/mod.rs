//! Every statement identity runs. Functions borrow a connection or a transaction; none begins or commits one.

pub(crate) mod api_keys;
pub(crate) mod devices;
pub(crate) mod email_changes;
pub(crate) mod factors;
pub(crate) mod import;
pub(crate) mod invitations;
pub(crate) mod keys;
pub(crate) mod links;
pub(crate) mod logins;
pub(crate) mod magic_links;
pub(crate) mod places;
pub(crate) mod registrations;
pub(crate) mod revocations;
pub(crate) mod sessions;
pub(crate) mod throttles;
pub(crate) mod users;

use baluarte_db::DbError;
use baluarte_kernel::Timestamp;

/// A stored text as its noun; what the product wrote it can read, so anything else is damage.
fn read<T: std::str::FromStr>(column: &'static str, text: &str) -> Result<T, DbError> {
    text.parse().map_err(|_| DbError::Corrupt(column))
}

fn timestamp(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

/// What a `LIKE` pattern takes literally, with `\` as the escape character.
fn like_literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_search_for_wildcards_finds_wildcards() {
        assert_eq!(super::like_literal(r"50%_a\b"), r"50\%\_a\\b");
    }
}
