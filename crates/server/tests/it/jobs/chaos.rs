//! The short version; the long one is `cargo xtask bench chaos`.

use std::time::Duration;

use baluarte_testkit::{Chaos, each_process_backend};

use crate::bin;

each_process_backend! {
    async fn no_job_is_lost_or_repeated_without_a_reason_when_processes_are_killed(backend) {
        let chaos = Chaos {
            bin: bin().to_owned(),
            backend,
            jobs: 800,
            length: Duration::from_secs(8),
            pause: Duration::from_millis(700),
            heartbeat: Duration::from_secs(4),
        };
        let outcome = chaos.run().await;
        assert!(outcome.violations.is_empty(), "{outcome}");
        assert!(outcome.jobs >= 800 && outcome.kills > 0, "{outcome}");
    }
}
