//! Who may do what with other people's accounts: the whole of it, as data.

use baluarte_kernel::Principal;

use crate::Role;

/// What somebody may do with other people's accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// See accounts, their devices and factors, what was recorded of them.
    Look,
    /// Sign people out everywhere.
    EndSessions,
    /// Clear the count of failed attempts that keeps somebody out.
    Unblock,
    /// Make a password void, so that its owner has to choose another one by mail.
    RequireReset,
    /// Take away a second factor that its owner has lost.
    RemoveFactors,
    /// Keep somebody from signing in, or let them again.
    Disable,
    GiveRoles,
    Create,
    Delete,
}

/// Somebody who helps to run the place.
#[derive(Debug)]
pub struct Post {
    pub role: &'static str,
    pub may: &'static [Permission],
}

use Permission::{Create, Delete, Disable, EndSessions, GiveRoles, Look, RemoveFactors, RequireReset, Unblock};

/// Every post, the highest first. Nobody acts on somebody who ranks higher, or gives a role that does.
pub const POSTS: [Post; 4] = [
    Post { role: Principal::OWNER, may: &[Look, EndSessions, Unblock, RequireReset, RemoveFactors, Disable, GiveRoles, Create, Delete] },
    Post { role: Principal::ADMIN, may: &[Look, EndSessions, Unblock, RequireReset, RemoveFactors, Disable, GiveRoles, Create, Delete] },
    Post { role: "support", may: &[Look, EndSessions, Unblock, RequireReset] },
    Post { role: "read-only", may: &[Look] },
];

/// How high a role stands; everybody who has no post: 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(usize);

impl Rank {
    /// The operator at the command line, and Baluarte itself.
    pub(crate) const HIGHEST: Self = Self(usize::MAX);

    pub fn of(role: &str) -> Self {
        Self(POSTS.iter().position(|post| post.role == role).map_or(0, |place| POSTS.len() - place))
    }
}

impl Permission {
    pub fn is_held_by(self, role: &str) -> bool {
        POSTS.iter().any(|post| post.role == role && post.may.contains(&self))
    }

    /// The lowest role that has it: what a refusal names.
    pub(crate) fn lowest(self) -> &'static str {
        POSTS.iter().rev().find(|post| post.may.contains(&self)).map_or(Principal::OWNER, |post| post.role)
    }
}

impl Role {
    pub fn rank(&self) -> Rank {
        Rank::of(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_ranks_higher_may_all_that_the_lower_ones_may() {
        for pair in POSTS.windows(2) {
            let [higher, lower] = pair else { unreachable!() };
            assert!(lower.may.iter().all(|permission| higher.may.contains(permission)), "{} and {}", higher.role, lower.role);
            assert!(Rank::of(higher.role) > Rank::of(lower.role));
        }
        assert!(Rank::of("read-only") > Rank::of("user") && Rank::of("user") == Rank::of("staff"));
    }

    #[test]
    fn support_gives_no_roles_and_read_only_looks() {
        for (role, may) in [("support", 4), ("read-only", 1), ("user", 0), ("staff", 0)] {
            let held = POSTS[0].may.iter().filter(|permission| permission.is_held_by(role)).count();
            assert_eq!(held, may, "{role}");
        }
        assert!(!GiveRoles.is_held_by("support") && !RemoveFactors.is_held_by("support"));
        assert_eq!((Look.lowest(), RequireReset.lowest(), GiveRoles.lowest()), ("read-only", "support", "admin"));
    }
}
