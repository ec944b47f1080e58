//! What a provider publishes, remembered for a while.

use std::{sync::Arc, time::Duration};

use baluarte_kernel::Timestamp;
use tokio::sync::Mutex;

use super::LoginError;

/// After a failure nobody asks again for so long: those who come meanwhile are told at once.
const REST: Duration = Duration::from_secs(5);
/// So long what was read last is better than nothing.
const STALE: Duration = Duration::from_secs(86_400);

/// One value, read when it is needed and too old; by one of those who need it, while the others wait for that.
#[derive(Debug)]
pub(crate) struct Cached<T>(Mutex<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    held: Option<(Arc<T>, Timestamp)>,
    failed: Option<(LoginError, Timestamp)>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(Slot { held: None, failed: None }))
    }
}

impl<T> Cached<T> {
    /// Not older than `age`, unless the provider is away.
    pub(crate) async fn get(
        &self,
        now: Timestamp,
        age: Duration,
        read: impl Future<Output = Result<T, LoginError>>,
    ) -> Result<Arc<T>, LoginError> {
        let mut slot = self.0.lock().await;
        if let Some((held, at)) = &slot.held
            && now.since(*at) < age
        {
            return Ok(Arc::clone(held));
        }
        let usable = |slot: &Slot<T>| slot.held.as_ref().filter(|(_, at)| now.since(*at) < STALE).map(|(held, _)| Arc::clone(held));
        if let Some((err, at)) = &slot.failed
            && now.since(*at) < REST
        {
            let err = err.clone();
            return usable(&slot).ok_or(err);
        }
        match read.await {
            Ok(value) => {
                let value = Arc::new(value);
                *slot = Slot { held: Some((Arc::clone(&value), now)), failed: None };
                Ok(value)
            }
            Err(err) => {
                slot.failed = Some((err.clone(), now));
                usable(&slot).ok_or(err)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000 + seconds)
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    async fn get(cached: &Cached<u32>, now: i64, answer: Result<u32, &str>) -> Result<u32, LoginError> {
        let read = async { answer.map_err(|why| LoginError::Unreachable(why.to_owned())) };
        cached.get(at(now), HOUR, read).await.map(|value| *value)
    }

    #[tokio::test]
    async fn a_value_is_read_again_when_it_is_too_old_and_kept_while_nobody_answers() {
        let cached = Cached::default();
        assert_eq!(get(&cached, 0, Ok(1)).await, Ok(1));
        assert_eq!(get(&cached, 3_599, Ok(2)).await, Ok(1));
        assert_eq!(get(&cached, 3_600, Err("away")).await, Ok(1));
        // Not asked again at once.
        assert_eq!(get(&cached, 3_602, Ok(3)).await, Ok(1));
        assert_eq!(get(&cached, 3_606, Ok(4)).await, Ok(4));
        assert!(get(&cached, 3_606 + 86_400, Err("away")).await.is_err());
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_who_come_in_the_next_moments() {
        let cached = Cached::default();
        assert!(get(&cached, 0, Err("away")).await.is_err());
        assert_eq!(get(&cached, 4, Ok(1)).await, Err(LoginError::Unreachable("away".to_owned())));
        assert_eq!(get(&cached, 5, Ok(1)).await, Ok(1));
    }
}
