//! Threads of their own, at the lowest priority, that hash passwords: a storm of sign-ins waits here and nobody else does.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use argon2::Block;
use baluarte_kernel::Secret;
use tokio::sync::oneshot;

use super::{
    hash::{Cost, Stored},
    imported::{self, Burden},
    normalised,
};
use crate::IdentityConfig;

/// Passwords that may wait; beyond, nobody would be served before giving up.
const QUEUE: usize = 256;
/// Longer than this nobody waits for a page; whoever does is told to come back instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The lowest. Whoever is interrupted by a hash waits for a tick of the scheduler, four milliseconds: on a core that traffic
/// wants whole, the lower the priority the seldomer that happens (`bench/README.md`). `SCHED_IDLE` would starve sign-ins there;
/// where cores have any time to spare it makes no difference to whoever signs in.
#[cfg(target_os = "linux")]
const NICE: i32 = 19;
/// A thread without work for so long gives its memory back.
const KEEP_MEMORY: Duration = Duration::from_secs(5);

/// More passwords are waiting than is healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

/// Is it the right password?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verified {
    Wrong,
    Right,
    /// Right, and the stored hash is weaker than what is configured today: hash it again.
    RightButWeak,
}

/// Hashes passwords. Memory: one hash's (19 MiB by default) for each busy thread, none at rest.
pub(crate) struct PasswordPool {
    shared: Arc<Shared>,
    threads: usize,
}

struct Shared {
    cost: Cost,
    pepper: Secret,
    /// Stands in for the hash of an account that does not exist, so that its absence takes as long.
    nobody: Stored,
    /// What hashes of other programs cost, so that every wrong password costs as much.
    burden: Mutex<Arc<Burden>>,
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

enum Job {
    Hash { password: Secret, answer: oneshot::Sender<String> },
    Verify { password: Secret, stored: Option<String>, answer: oneshot::Sender<Verified> },
}

impl Job {
    /// Whoever asked has gone away.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Hash { answer, .. } => answer.is_closed(),
            Self::Verify { answer, .. } => answer.is_closed(),
        }
    }
}

impl PasswordPool {
    pub(crate) fn start(config: &IdentityConfig) -> std::io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = if config.password_threads == 0 { (cores / 2).max(1) } else { config.password_threads as usize };
        let cost =
            Cost { memory_kib: u32::try_from(config.password_memory.get() >> 10).unwrap_or(u32::MAX), passes: config.password_passes };
        let pepper = config.password_pepper.clone();
        let nobody = Stored::new(cost, !pepper.is_empty());
        let shared = Arc::new(Shared { cost, pepper, nobody, burden: Mutex::default(), queue: Mutex::default(), work: Condvar::new() });
        // Made first, so that it is closed, and the threads that did start end, when one cannot be started.
        let pool = Self { shared, threads };
        for number in 0..threads {
            let shared = pool.shared.clone();
            thread::Builder::new().name(format!("password-{number}")).stack_size(256 << 10).spawn(move || shared.work())?;
        }
        Ok(pool)
    }

    /// How many passwords are hashed at once.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// From now on a wrong password is as much work as this, whoever's it is.
    pub(crate) fn bear(&self, burden: Burden) {
        *self.shared.burden.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(burden);
    }

    /// A PHC string.
    pub(crate) async fn hash(&self, password: &Secret) -> Result<String, Busy> {
        let (answer, hashed) = oneshot::channel();
        self.shared.submit(Job::Hash { password: normalised(password), answer })?;
        patiently(hashed).await
    }

    /// Compares with a PHC string; without one it does the same work and says `Wrong`.
    pub(crate) async fn verify(&self, password: &Secret, stored: Option<String>) -> Result<Verified, Busy> {
        let (answer, verified) = oneshot::channel();
        self.shared.submit(Job::Verify { password: normalised(password), stored, answer })?;
        patiently(verified).await
    }
}

/// Giving up drops the receiver, so that the job is passed over when its turn comes.
async fn patiently<T>(answer: oneshot::Receiver<T>) -> Result<T, Busy> {
    tokio::time::timeout(PATIENCE, answer).await.ok().and_then(Result::ok).ok_or(Busy)
}

impl Drop for PasswordPool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn submit(&self, job: Job) -> Result<(), Busy> {
        let mut queue = self.lock();
        if queue.jobs.len() >= QUEUE {
            queue.jobs.retain(|job| !job.is_abandoned());
        }
        if queue.jobs.len() >= QUEUE {
            return Err(Busy);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.work.notify_one();
        Ok(())
    }

    fn work(&self) {
        // On Linux a priority belongs to the thread that asks. Without the right to lower it we go on as we are.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, NICE);
        let mut memory = Vec::new();
        while let Some(job) = self.next(&mut memory) {
            self.run(job, &mut memory);
        }
    }

    /// The next job, or `None` when the pool is closed. Gives the memory back while nobody wants it.
    fn next(&self, memory: &mut Vec<Block>) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if memory.is_empty() {
                queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            } else {
                let (woken, waited) = self.work.wait_timeout(queue, KEEP_MEMORY).unwrap_or_else(PoisonError::into_inner);
                queue = woken;
                if waited.timed_out() && queue.jobs.is_empty() {
                    *memory = Vec::new();
                }
            }
        }
    }

    /// An answer that nobody waits for any more is dropped.
    fn run(&self, job: Job, memory: &mut Vec<Block>) {
        if job.is_abandoned() {
            return;
        }
        match job {
            Job::Hash { password, answer } => match Stored::new(self.cost, !self.pepper.is_empty()).seal(&password, &self.pepper, memory) {
                Ok(stored) => drop(answer.send(stored.to_string())),
                Err(err) => tracing::error!(target: "identity", error = %err, "a password could not be hashed"),
            },
            Job::Verify { password, stored, answer } => drop(answer.send(self.verify(&password, stored.as_deref(), memory))),
        }
    }

    fn verify(&self, password: &Secret, stored: Option<&str>, memory: &mut Vec<Block>) -> Verified {
        let burden = Arc::clone(&self.burden.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(imported) = stored.and_then(imported::stored) {
            if imported.matches(password.expose()) {
                return Verified::RightButWeak;
            }
            // As much as for everybody else: a hash of ours, and the dearest of each kind.
            let _ = self.nobody.matches(password, &self.pepper, memory);
            burden.bear(Some(imported.work()));
            return Verified::Wrong;
        }
        let verified = self.verify_own(password, stored, memory);
        if verified == Verified::Wrong {
            burden.bear(None);
        }
        verified
    }

    fn verify_own(&self, password: &Secret, stored: Option<&str>, memory: &mut Vec<Block>) -> Verified {
        let known = stored.and_then(|text| match text.parse::<Stored>() {
            Ok(known) => Some(known),
            Err(_) => {
                tracing::error!(target: "identity", "a stored password hash cannot be read");
                None
            }
        });
        let target = known.as_ref().unwrap_or(&self.nobody);
        let matches = target.matches(password, &self.pepper, memory).unwrap_or_else(|err| {
            tracing::error!(target: "identity", error = %err, "a password could not be verified");
            false
        });
        match known {
            Some(known) if matches => {
                let weak = known.cost.memory_kib < self.cost.memory_kib
                    || known.cost.passes < self.cost.passes
                    || known.peppered == self.pepper.is_empty();
                if weak { Verified::RightButWeak } else { Verified::Right }
            }
            Some(_) | None => Verified::Wrong,
        }
    }

    /// A panic while the lock was held leaves a queue that is still a queue.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: u32, pepper: &str, passes: u32) -> PasswordPool {
        let config = IdentityConfig {
            password_threads: threads,
            password_pepper: Secret::new(pepper),
            password_passes: passes,
            ..IdentityConfig::default()
        };
        PasswordPool::start(&config).unwrap()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn hashing_runs_at_the_lowest_priority() {
        let pool = pool(1, "", 2);
        pool.hash(&Secret::new("correct horse")).await.unwrap();
        let nice = |task: &std::path::Path| -> Option<String> {
            let comm = std::fs::read_to_string(task.join("comm")).ok()?;
            let stat = std::fs::read_to_string(task.join("stat")).ok()?;
            // The 19th field; the second one, the name, ends with the last parenthesis.
            comm.starts_with("password-")
                .then(|| stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').nth(16).unwrap_or("").to_owned())
        };
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let found: Vec<_> = tasks.filter_map(|task| nice(&task.ok()?.path())).collect();
        assert!(found.iter().any(|nice| *nice == NICE.to_string()), "{found:?}");
    }

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let pool = pool(1, "", 2);
        let stored = pool.hash(&Secret::new("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(pool.verify(&Secret::new("correct horse"), Some(stored.clone())).await, Ok(Verified::Right));
        assert_eq!(pool.verify(&Secret::new("wrong horse"), Some(stored)).await, Ok(Verified::Wrong));
        assert_eq!(pool.verify(&Secret::new("correct horse"), None).await, Ok(Verified::Wrong));
        assert_eq!(pool.verify(&Secret::new("correct horse"), Some("damaged".to_owned())).await, Ok(Verified::Wrong));
    }

    #[tokio::test]
    async fn the_same_password_typed_on_another_system_verifies() {
        let pool = pool(1, "", 2);
        let stored = pool.hash(&Secret::new("contraseña")).await.unwrap();
        assert_eq!(pool.verify(&Secret::new("contrasen\u{303}a"), Some(stored)).await, Ok(Verified::Right));
    }

    #[tokio::test]
    async fn a_hash_weaker_than_the_configuration_is_known_as_weak() {
        let stored = pool(1, "", 2).hash(&Secret::new("correct horse")).await.unwrap();
        for stronger in [pool(1, "", 3), pool(1, "pepper", 2)] {
            assert_eq!(stronger.verify(&Secret::new("correct horse"), Some(stored.clone())).await, Ok(Verified::RightButWeak));
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_work_nobody_waits_for_is_dropped() {
        let pool = pool(1, "", 2);
        let password = Secret::new("correct horse");
        let mut waiting = Vec::new();
        let refused = loop {
            let mut attempt = Box::pin(pool.verify(&password, None));
            match futures::poll!(&mut attempt) {
                std::task::Poll::Pending => waiting.push(attempt),
                std::task::Poll::Ready(result) => break result,
            }
        };
        assert_eq!(refused, Err(Busy));
        assert!(waiting.len() >= QUEUE);
        drop(waiting);
        assert_eq!(pool.verify(&password, None).await, Ok(Verified::Wrong), "the abandoned ones cost nothing");
    }
}
