//! People who come from another program, with the password hashes that it made. No input or output.

use baluarte_kernel::Timestamp;

use crate::{BadEmail, BadName, BadRole, Email, Name, Role, password::Imported};

/// One line of a file, not yet judged. Empty means absent.
#[derive(Debug, Clone, Default)]
pub struct ImportLine {
    pub email: String,
    pub name: String,
    pub role: String,
    pub plan: String,
    pub email_verified: String,
    pub password_hash: String,
    pub created_at: String,
}

/// Somebody who can be taken over.
#[derive(Debug, Clone)]
pub struct ImportedUser {
    pub(crate) email: Email,
    pub(crate) name: Name,
    pub(crate) role: Role,
    pub(crate) verified: bool,
    pub(crate) password: Option<Imported>,
    pub(crate) created_at: Option<Timestamp>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportReport {
    pub created: usize,
    pub updated: usize,
    /// Accounts that were there and stay as they are.
    pub unchanged: usize,
}

impl ImportLine {
    /// The names of the fields, as a file spells them.
    pub const FIELDS: [&'static str; 7] = ["email", "name", "role", "plan", "email_verified", "password_hash", "created_at"];

    pub fn set(&mut self, field: &str, value: String) -> bool {
        let place = match field {
            "email" => &mut self.email,
            "name" => &mut self.name,
            "role" => &mut self.role,
            "plan" => &mut self.plan,
            "email_verified" => &mut self.email_verified,
            "password_hash" => &mut self.password_hash,
            "created_at" => &mut self.created_at,
            _ => return false,
        };
        *place = value;
        true
    }

    /// Everything that is wrong with it, at once.
    pub fn judge(self, now: Timestamp) -> Result<ImportedUser, Vec<String>> {
        let mut wrong = Vec::new();
        let mut note = |field: &str, problem: String| wrong.push(format!("{field}: {problem}"));
        let email = self.email.parse::<Email>().map_err(|bad: BadEmail| note("email", bad.to_string())).ok();
        let name = match self.name.trim() {
            "" => self.email.split('@').next().unwrap_or_default(),
            name => name,
        };
        let name = name.parse::<Name>().map_err(|bad: BadName| note("name", bad.to_string())).ok();
        let role = match self.role.trim() {
            "" => Some(Role::user()),
            role => role.parse::<Role>().map_err(|bad: BadRole| note("role", bad.to_string())).ok(),
        };
        if !["", "free"].contains(&self.plan.trim()) {
            note("plan", "plans come with billing; until then everybody is on \"free\"".to_owned());
        }
        let verified = match self.email_verified.trim().to_ascii_lowercase().as_str() {
            "" | "false" | "f" | "0" | "no" => false,
            "true" | "t" | "1" | "yes" => true,
            _ => {
                note("email_verified", "expected true or false".to_owned());
                false
            }
        };
        let password = match self.password_hash.trim() {
            "" => None,
            hash => hash.parse::<Imported>().map_err(|bad| note("password_hash", bad.to_string())).ok(),
        };
        let created_at = match self.created_at.trim() {
            "" => None,
            text => match text.parse::<Timestamp>() {
                Ok(at) if at <= now => Some(at),
                Ok(_) => {
                    note("created_at", "lies in the future".to_owned());
                    None
                }
                Err(_) => {
                    note("created_at", "expected a time such as 2024-05-31T12:00:00Z".to_owned());
                    None
                }
            },
        };
        match (email, name, role, wrong.is_empty()) {
            (Some(email), Some(name), Some(role), true) => Ok(ImportedUser { email, name, role, verified, password, created_at }),
            _ => Err(wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_305_600_000_000);

    #[test]
    fn everything_that_is_wrong_with_a_line_is_told_at_once_and_no_hash_with_it() {
        let line = ImportLine {
            email: "zoe".to_owned(),
            role: "Root".to_owned(),
            plan: "gold".to_owned(),
            email_verified: "maybe".to_owned(),
            password_hash: "md5$salt$0123456789abcdef".to_owned(),
            created_at: "31/05/2024".to_owned(),
            ..ImportLine::default()
        };
        let wrong = line.judge(NOW).unwrap_err();
        let fields: Vec<_> = wrong.iter().filter_map(|text| text.split(':').next()).collect();
        assert_eq!(fields, ["email", "role", "plan", "email_verified", "password_hash", "created_at"]);
        assert!(!wrong.join(" ").contains("0123456789abcdef"));
    }

    #[test]
    fn an_address_is_enough() {
        let user = ImportLine { email: " Zoe@Example.com".to_owned(), ..ImportLine::default() }.judge(NOW).unwrap();
        assert_eq!((user.email.as_str(), user.name.as_str(), user.role.as_str()), ("zoe@example.com", "Zoe", "user"));
        assert!(!user.verified && user.password.is_none() && user.created_at.is_none());
    }
}
