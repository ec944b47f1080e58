//! The value types of the configuration file: `"15m"`, `"10MiB"`, `"100/min"`. A value of these types is valid.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a setting's text could not be read; says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}, expected {expected}")]
pub struct BadSetting {
    pub expected: &'static str,
    pub found: String,
}

/// A span of time above zero: `"250ms"`, `"30s"`, `"15m"`, `"24h"`, `"30d"`, `"1y"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(Duration);

impl Period {
    pub const fn from_millis(millis: u64) -> Self {
        assert!(millis > 0, "a period is longer than zero");
        Self(Duration::from_millis(millis))
    }
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_millis(secs * 1_000)
    }
    pub const fn get(self) -> Duration {
        self.0
    }
}

const PERIOD: &str = "a span of time above zero such as \"250ms\", \"30s\", \"15m\", \"24h\", \"30d\" or \"1y\"";

impl FromStr for Period {
    type Err = BadSetting;
    fn from_str(text: &str) -> Result<Self, BadSetting> {
        let bad = || BadSetting { expected: PERIOD, found: text.to_owned() };
        let (number, unit) = split_number(text).ok_or_else(bad)?;
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return Err(bad()),
        };
        match number.checked_mul(unit_ms) {
            Some(millis) if millis > 0 => Ok(Self::from_millis(millis)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
            if millis.is_multiple_of(unit) {
                return write!(f, "{}{name}", millis / unit);
            }
        }
        write!(f, "{millis}ms")
    }
}

/// A number of bytes: `"512"`, `"16KiB"`, `"10MiB"`, `"2GiB"`; `KB`, `MB`, `GB` count in thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }
    pub const fn get(self) -> u64 {
        self.0
    }
}

const BYTE_SIZE: &str = "a number of bytes such as \"512\", \"16KiB\", \"10MiB\" or \"2GiB\"";

impl FromStr for ByteSize {
    type Err = BadSetting;
    fn from_str(text: &str) -> Result<Self, BadSetting> {
        let bad = || BadSetting { expected: BYTE_SIZE, found: text.to_owned() };
        let (number, unit) = split_number(text).ok_or_else(bad)?;
        let factor: u64 = match unit {
            "" | "B" => 1,
            "KB" => 1_000,
            "KiB" => 1 << 10,
            "MB" => 1_000_000,
            "MiB" => 1 << 20,
            "GB" => 1_000_000_000,
            "GiB" => 1 << 30,
            _ => return Err(bad()),
        };
        number.checked_mul(factor).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 > 0 && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// So many in such a span: `"100/min"`, `"5/s"`, `"30/h"`, `"1000/day"`, `"50000/month"` (30 days), `"10/15m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    pub count: NonZeroU32,
    pub per: Duration,
}

impl Rate {
    pub const fn new(count: u32, per: Duration) -> Self {
        match NonZeroU32::new(count) {
            Some(count) if !per.is_zero() => Self { count, per },
            _ => panic!("a rate counts at least one in a span above zero"),
        }
    }
    pub const fn per_minute(count: u32) -> Self {
        Self::new(count, Duration::from_secs(60))
    }
    pub const fn per_hour(count: u32) -> Self {
        Self::new(count, Duration::from_secs(3_600))
    }
}

const RATE: &str = "a rate above zero such as \"5/s\", \"100/min\", \"30/h\", \"1000/day\" or \"10/15m\"";
const SPANS: [(&str, u64); 5] = [("s", 1), ("min", 60), ("h", 3_600), ("day", 86_400), ("month", 30 * 86_400)];

impl FromStr for Rate {
    type Err = BadSetting;
    fn from_str(text: &str) -> Result<Self, BadSetting> {
        let bad = || BadSetting { expected: RATE, found: text.to_owned() };
        let (count, span) = text.split_once('/').ok_or_else(bad)?;
        let count = count.trim().parse().map_err(|_| bad())?;
        let span = span.trim();
        let named = match span {
            "second" | "sec" => "s",
            "m" | "minute" => "min",
            "hour" => "h",
            "d" => "day",
            other => other,
        };
        let per = match SPANS.iter().find(|(name, _)| *name == named) {
            Some((_, secs)) => Duration::from_secs(*secs),
            None => span.parse::<Period>().map_err(|_| bad())?.get(),
        };
        Ok(Self { count, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SPANS.iter().find(|(_, secs)| self.per == Duration::from_secs(*secs)) {
            Some((name, _)) => write!(f, "{}/{name}", self.count),
            None => write!(f, "{}/{}", self.count, Period(self.per)),
        }
    }
}

/// `"15m"` → `(15, "m")`: digits, then a unit, nothing else.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// Text in the file, the same text in the schema and in `config show`.
macro_rules! as_text {
    ($type:ident, $expected:expr, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "description": $expected })
            }
        }
    };
}
as_text!(Period, PERIOD, r"^\s*[0-9]+\s*(ms|s|m|min|h|d|w|y)\s*$");
as_text!(ByteSize, BYTE_SIZE, r"^\s*[0-9]+\s*(B|KB|KiB|MB|MiB|GB|GiB)?\s*$");
as_text!(Rate, RATE, r"^\s*[0-9]+\s*/\s*([0-9]+\s*(ms|s|m|min|h|d|w|y)|s|sec|second|m|min|minute|h|hour|d|day|month)\s*$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_print_what_they_read() {
        for text in ["250ms", "30s", "15m", "36h", "30d"] {
            assert_eq!(text.parse::<Period>().map(|p| p.to_string()).as_deref(), Ok(text));
        }
        for text in ["512", "16KiB", "10MiB", "2GiB"] {
            assert_eq!(text.parse::<ByteSize>().map(|p| p.to_string()).as_deref(), Ok(text));
        }
        for text in ["5/s", "100/min", "30/h", "1000/day", "50000/month", "10/15m"] {
            assert_eq!(text.parse::<Rate>().map(|p| p.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn zero_overflow_and_unknown_units_are_refused() {
        for text in ["0s", "-1s", "1 fortnight", "", "s", "99999999999999999999s", "18446744073709551615y"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
        for text in ["0/min", "1/0s", "5", "/min", "5/lightyear"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert!("1TiBs".parse::<ByteSize>().is_err());
    }
}
