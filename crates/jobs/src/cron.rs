//! Timetables: when is the next time, in which zone.

use std::{fmt, sync::Arc};

use baluarte_kernel::Timestamp;
use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use jiff::tz::TimeZone;

/// Occurrences that are counted one by one; more are as good as "very many".
const COUNTED: u32 = 1_000;

/// A cron expression in a time zone. Where clocks are put forward, a fixed time in the gap happens right after it; where they are
/// put back, a fixed time happens once.
#[derive(Clone)]
pub(crate) struct Timetable {
    /// Kilobytes, and every registry has one of each.
    cron: Arc<Cron>,
    zone: TimeZone,
}

/// Says what is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTimetable(String);

impl fmt::Display for BadTimetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for BadTimetable {}

/// Can that be the expression of a timetable? For whoever reads one from a configuration.
pub(crate) fn check_cron(cron: &str) -> Result<(), BadTimetable> {
    Timetable::of(cron, TimeZone::UTC).map(drop)
}

/// Is there such a time zone?
pub(crate) fn check_time_zone(name: &str) -> Result<TimeZone, BadTimetable> {
    TimeZone::get(name).map_err(|_| BadTimetable(format!("found {name:?}, expected a time zone such as \"UTC\" or \"America/Sao_Paulo\"")))
}

impl Timetable {
    pub(crate) fn parse(cron: &str, time_zone: &str) -> Result<Self, BadTimetable> {
        Self::of(cron, check_time_zone(time_zone)?)
    }

    fn of(cron: &str, zone: TimeZone) -> Result<Self, BadTimetable> {
        let bad = |why: &dyn fmt::Display| {
            BadTimetable(format!(
                "found {cron:?} ({why}), expected a timetable such as \"0 3 * * *\" (minute, hour, day, month, day of the week; with seconds in front if there are six)"
            ))
        };
        let cron = CronParser::builder().seconds(Seconds::Optional).build().parse(cron).map_err(|err| bad(&err))?.into();
        let timetable = Self { cron, zone };
        // Such as the 31st of February.
        match timetable.next(Timestamp::from_unix_seconds(1_735_689_600)) {
            Some(_) => Ok(timetable),
            None => Err(bad(&"it never comes")),
        }
    }

    /// The first time after `after`.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&self.zoned(after)?, false).ok()?;
        Some(Timestamp::from_micros(next.timestamp().as_microsecond()))
    }

    /// How many times there are from `first` to `now`, both included, at most a thousand; and the last of them.
    pub(crate) fn times(&self, first: Timestamp, now: Timestamp) -> (u32, Timestamp) {
        let (mut last, mut count) = (first, 1);
        while let Some(time) = self.next(last).filter(|time| *time <= now) {
            if count == COUNTED {
                let latest = self.zoned(now).and_then(|now| self.cron.find_previous_occurrence(&now, true).ok());
                return (count, latest.map_or(time, |at| Timestamp::from_micros(at.timestamp().as_microsecond())));
            }
            (last, count) = (time, count + 1);
        }
        (count, last)
    }

    fn zoned(&self, at: Timestamp) -> Option<jiff::Zoned> {
        Some(jiff::Timestamp::from_microsecond(at.micros()).ok()?.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let timetable = Timetable::parse(cron, zone).expect("it can be read");
        let mut at: Timestamp = after.parse().expect("a time");
        let mut times = Vec::new();
        for _ in 0..count {
            at = timetable.next(at).expect("there is always a next time");
            times.push(at.to_string());
        }
        times
    }

    /// In Berlin 2:30 does not exist on 29 March 2026, and comes twice on 25 October 2026.
    #[test]
    fn a_fixed_time_happens_once_a_day_whatever_the_clocks_do() {
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2), ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn an_interval_goes_on_through_the_hour_that_comes_twice() {
        assert_eq!(
            times("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 4),
            ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"]
        );
    }

    #[test]
    fn seconds_may_stand_in_front() {
        assert_eq!(times("*/20 * * * * *", "UTC", "2026-01-01T00:00:00Z", 2), ["2026-01-01T00:00:20Z", "2026-01-01T00:00:40Z"]);
    }

    #[test]
    fn what_cannot_be_a_timetable_is_refused_with_what_is_expected() {
        for (cron, zone, says) in [
            ("0 3 * *", "UTC", "such as \"0 3 * * *\""),
            ("61 * * * *", "UTC", "such as"),
            ("0 0 31 2 *", "UTC", "such as"),
            ("0 3 * * *", "Mars/Olympus", "expected a time zone"),
        ] {
            let said = Timetable::parse(cron, zone).map(drop).expect_err(cron).to_string();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn missed_times_are_counted_up_to_a_bound() {
        let timetable = Timetable::parse("0 * * * *", "UTC").expect("it can be read");
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert_eq!(timetable.times(at("2026-01-01T00:00:00Z"), at("2026-01-01T02:59:00Z")), (3, at("2026-01-01T02:00:00Z")));
        assert_eq!(timetable.times(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")), (1, at("2026-01-01T00:00:00Z")));
        assert_eq!(timetable.times(at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:01Z")), (COUNTED, at("2026-01-01T00:00:00Z")));
    }
}
