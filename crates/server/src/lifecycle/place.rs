//! Which process this is, and whether another one still lives.

use std::path::Path;

/// Where a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) scope: String,
    pub(super) pid: i64,
    pub(super) roles: String,
}

impl Place {
    pub(super) fn ours(roles: String) -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let namespace = std::fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            scope: format!("{} {namespace}", boot.trim()),
            pid: std::process::id().into(),
            roles,
        }
    }

    /// That process cannot be running any more, seen from this one, which has just begun: it had our number, or its number belongs to
    /// nobody, or the same part of the same host was started anew.
    pub(super) fn has_replaced(&self, other: &Self) -> bool {
        if self.host != other.host {
            return false;
        }
        if self.scope == other.scope {
            return self.pid == other.pid || !Path::new(&format!("/proc/{}", other.pid)).exists();
        }
        self.roles == other.roles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_cannot_be_running_counts_as_gone() {
        let ours = Place::ours("web".to_owned());
        let other = |change: fn(&mut Place)| {
            let mut other = Place { pid: std::os::unix::process::parent_id().into(), ..ours.clone() };
            change(&mut other);
            other
        };
        assert!(!ours.has_replaced(&other(|_| {})), "it is there");
        assert!(ours.has_replaced(&other(|it| it.pid = 0x7fff_ffff)), "nobody has that number");
        assert!(ours.has_replaced(&ours), "ours was somebody else's before");
        assert!(!ours.has_replaced(&other(|it| it.host = "elsewhere".to_owned())), "another machine is none of our business");
        assert!(ours.has_replaced(&other(|it| it.scope = "an earlier boot".to_owned())), "a machine that was started anew");
        assert!(!ours.has_replaced(&other(|it| {
            it.scope = "another container".to_owned();
            it.roles = "worker".to_owned()
        })));
    }
}
