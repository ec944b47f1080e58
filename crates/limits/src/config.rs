//! `[limits.NAME]`, and the limits that exist without it.

use std::{collections::BTreeMap, fmt, marker::PhantomData, time::Duration};

use baluarte_kernel::{Findings, Rate};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor, value::SeqAccessDeserializer},
};

/// `[limits]`: what the file adds to, or changes in, the built-in limits.
pub type LimitsConfig = BTreeMap<String, LimitConfig>;

/// `[limits.NAME]`. What is absent in the section of a built-in limit stays as it is built in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitConfig {
    /// Whose requests are counted together; a list counts by each of them. Default: "ip".
    pub key: Option<OneOrMany<KeyBy>>,
    /// How many in which span of time; a list must be kept all at once.
    pub rate: Option<OneOrMany<Rate>>,
    /// How many at once before the rate applies; of several rates, before the one with the shortest span. Default: the rate's count.
    pub burst: Option<u32>,
    /// What happens while Redis cannot be reached. Default: "local".
    pub on_store_failure: Option<OnStoreFailure>,
}

/// What a limit counts by. A request that lacks it (no user, no API key) is counted by its address instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyBy {
    /// The client's address; of IPv6 the network of 64 bits that one customer has.
    #[default]
    Ip,
    User,
    ApiKey,
    /// All requests of the route together, whoever makes them.
    Route,
    /// All requests to the upstream together, whoever makes them.
    Upstream,
    /// All people on the same plan together.
    Plan,
}

impl KeyBy {
    pub(crate) const COUNT: usize = 6;

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::User => "user",
            Self::ApiKey => "api-key",
            Self::Route => "route",
            Self::Upstream => "upstream",
            Self::Plan => "plan",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnStoreFailure {
    /// This replica goes on counting by itself.
    #[default]
    Local,
    /// Let everything pass.
    Open,
    /// Refuse with 503.
    Closed,
}

impl OnStoreFailure {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// `"5/min"` or `["5/min", "30/h"]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(item) => std::slice::from_ref(item),
            Self::Many(items) => items,
        }
    }
}

// By hand: a derived untagged enum would say "did not match any variant" instead of what is wrong with the text.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrList<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrList<T> {
            type Value = OneOrMany<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(serde::de::value::StrDeserializer::new(text)).map(OneOrMany::One)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(OneOrMany::Many)
            }
        }
        deserializer.deserialize_any(TextOrList(PhantomData))
    }
}

/// The names of the limits that exist without configuration.
pub const BUILT_IN_LIMITS: [&str; 7] = ["account", "api", "forgot-password", "general", "login", "mfa", "user"];

/// The most buckets one request may be counted in, over all its limits.
pub const MAX_BUCKETS_PER_REQUEST: usize = baluarte_backplane::MAX_WANTS;
/// The most buckets of one limit: its keys times its rates.
const MAX_BUCKETS_PER_LIMIT: usize = 4;
const MAX_NAME: usize = 32;
/// What a bucket may take to fill up, so that its arithmetic stays exact in Redis.
const MAX_FILLING: Duration = Duration::from_secs(365 * 86_400);

/// A limit with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) keys: Vec<KeyBy>,
    /// The shortest span first.
    pub(crate) rates: Vec<Rate>,
    /// Of the first rate.
    pub(crate) burst: Option<u32>,
    pub(crate) on_store_failure: OnStoreFailure,
}

impl Settings {
    fn built_in(name: &str) -> Option<Self> {
        let limit = |keys: &[KeyBy], rates: &[Rate], burst| Self {
            keys: keys.to_vec(),
            rates: rates.to_vec(),
            burst,
            on_store_failure: OnStoreFailure::Local,
        };
        Some(match name {
            "account" => limit(&[KeyBy::Ip], &[Rate::per_minute(20)], Some(10)),
            "api" => limit(&[KeyBy::Ip], &[Rate::per_minute(30)], None),
            "forgot-password" => limit(&[KeyBy::Ip], &[Rate::per_minute(5), Rate::per_hour(30)], None),
            "general" => limit(&[KeyBy::Ip], &[Rate::per_minute(100)], Some(20)),
            "login" => limit(&[KeyBy::Ip], &[Rate::per_minute(5)], Some(3)),
            "mfa" => limit(&[KeyBy::User, KeyBy::Ip], &[Rate::per_minute(6)], None),
            "user" => limit(&[KeyBy::User], &[Rate::per_minute(100)], None),
            _ => return None,
        })
    }

    /// `None`: neither built in nor given a rate.
    fn of(name: &str, config: Option<&LimitConfig>) -> Option<Self> {
        let built_in = Self::built_in(name);
        let Some(config) = config else { return built_in };
        let mut rates = match (&config.rate, &built_in) {
            (Some(rates), _) => rates.as_slice().to_vec(),
            (None, Some(built_in)) => built_in.rates.clone(),
            (None, None) => return None,
        };
        rates.sort_by_key(|rate| rate.per);
        let keys = config.key.as_ref().map(|keys| keys.as_slice().to_vec());
        Some(Self {
            keys: keys.or_else(|| built_in.as_ref().map(|limit| limit.keys.clone())).unwrap_or_else(|| vec![KeyBy::Ip]),
            rates,
            burst: config.burst.or(built_in.as_ref().and_then(|limit| limit.burst)),
            on_store_failure: config.on_store_failure.unwrap_or_default(),
        })
    }
}

/// Every limit by name: the built-in ones, changed and joined by the configured ones.
pub(crate) fn settings(config: &LimitsConfig) -> BTreeMap<String, Settings> {
    let names = BUILT_IN_LIMITS.into_iter().chain(config.keys().map(String::as_str));
    names.filter_map(|name| Some((name.to_owned(), Settings::of(name, config.get(name))?))).collect()
}

/// Checks the section; built-in limits are known without configuration.
pub fn validate(config: &LimitsConfig, findings: &mut Findings) {
    for (name, limit) in config {
        let at = |key: &str| format!("limits.{name}{key}");
        let kebab = name.starts_with(|c: char| c.is_ascii_lowercase())
            && !name.ends_with('-')
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !kebab || name.len() > MAX_NAME {
            findings
                .add(at(""), format!("a limit's name is at most {MAX_NAME} lower-case letters, digits and hyphens, such as \"checkout\""));
            continue;
        }
        let Some(settings) = Settings::of(name, Some(limit)) else {
            findings.add(at(".rate"), "found none, expected a rate such as \"100/min\", or a list of rates");
            continue;
        };
        if settings.burst == Some(0) {
            findings.add(at(".burst"), "found 0, which would refuse everything; expected at least 1, or leave it out");
        }
        if settings.keys.is_empty() || repeats(&settings.keys) {
            let found = shown(settings.keys.iter().map(|key| key.as_str()));
            let expected = "expected one of ip, user, api-key, route, upstream, plan, or a list that names each at most once";
            findings.add(at(".key"), format!("found {found}, {expected}"));
        }
        let spans: Vec<Duration> = settings.rates.iter().map(|rate| rate.per).collect();
        if spans.is_empty() || repeats(&spans) {
            let found = shown(settings.rates.iter());
            let expected = "expected a rate such as \"100/min\", or a list of rates over different spans of time";
            findings.add(at(".rate"), format!("found {found}, {expected}"));
        }
        if settings.keys.len() * settings.rates.len() > MAX_BUCKETS_PER_LIMIT {
            findings.add(
                at(""),
                format!(
                    "found {} buckets (keys × rates), allowed are at most {MAX_BUCKETS_PER_LIMIT}",
                    settings.keys.len() * settings.rates.len()
                ),
            );
        }
        if let (Some(burst), Some(rate)) = (settings.burst, settings.rates.first()) {
            let filling = rate.per.as_micros() / u128::from(rate.count.get()) * u128::from(burst);
            if filling > MAX_FILLING.as_micros() {
                findings.add(at(".burst"), format!("{burst} at {rate} would take more than a year to come back"));
            }
        }
    }
}

/// Checks that a request may be counted by all these limits at once; unknown names are somebody else's finding.
pub fn validate_together(config: &LimitsConfig, names: &[String], key: &str, findings: &mut Findings) {
    let buckets: usize =
        names.iter().filter_map(|name| Settings::of(name, config.get(name))).map(|limit| limit.keys.len() * limit.rates.len()).sum();
    if buckets > MAX_BUCKETS_PER_REQUEST {
        findings.add(key, format!("these limits count in {buckets} buckets together; at most {MAX_BUCKETS_PER_REQUEST} for one request"));
    }
}

/// As a list in the file.
fn shown(items: impl Iterator<Item = impl fmt::Display>) -> String {
    format!("[{}]", items.map(|item| format!("\"{item}\"")).collect::<Vec<_>>().join(", "))
}

fn repeats<T: PartialEq>(items: &[T]) -> bool {
    items.iter().enumerate().any(|(i, item)| items[..i].contains(item))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> LimitsConfig {
        toml::from_str(text).expect("well formed")
    }

    fn findings(text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        validate(&parse(text), &mut findings);
        findings.into_vec().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn built_in_limits_exist_without_configuration() {
        let names: Vec<String> = settings(&LimitsConfig::default()).into_keys().collect();
        assert_eq!(names, BUILT_IN_LIMITS);
    }

    #[test]
    fn a_section_changes_only_what_it_names() {
        let limits = settings(&parse("[login]\nrate = \"10/min\"\n[user]\nburst = 7\n[shop]\nrate = [\"30/h\", \"5/s\"]"));
        let login = &limits["login"];
        assert_eq!((login.rates[0], login.burst, &login.keys[..]), (Rate::per_minute(10), Some(3), &[KeyBy::Ip][..]));
        assert_eq!((limits["user"].keys[0], limits["user"].burst), (KeyBy::User, Some(7)));
        assert_eq!(limits["shop"].rates[0].to_string(), "5/s", "the shortest span comes first");
    }

    #[test]
    fn every_mistake_is_named_with_its_key() {
        for (text, expected) in [
            ("[Login]\nrate = \"5/min\"", "limits.Login: a limit's name"),
            ("[a_b]\nrate = \"5/min\"", "limits.a_b: a limit's name"),
            ("[shop]", "limits.shop.rate: found none, expected a rate"),
            ("[shop]\nrate = []", "limits.shop.rate: found [], expected"),
            ("[shop]\nrate = [\"5/min\", \"6/min\"]", "limits.shop.rate: found [\"5/min\", \"6/min\"], expected"),
            ("[shop]\nrate = \"5/min\"\nburst = 0", "limits.shop.burst: found 0, which would refuse everything"),
            ("[shop]\nrate = \"1/month\"\nburst = 100", "limits.shop.burst: 100 at 1/month"),
            ("[shop]\nrate = \"5/min\"\nkey = []", "limits.shop.key: found [], expected"),
            ("[shop]\nrate = \"5/min\"\nkey = [\"ip\", \"ip\"]", "limits.shop.key: found [\"ip\", \"ip\"], expected"),
            ("[shop]\nrate = [\"5/s\", \"9/min\", \"9/h\"]\nkey = [\"ip\", \"user\"]", "limits.shop: found 6 buckets"),
        ] {
            let found = findings(text);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:?}");
        }
        assert_eq!(findings("[login]\nburst = 5\n[shop]\nrate = \"5/min\""), Vec::<String>::new());
    }

    #[test]
    fn a_wrong_rate_says_what_a_rate_is() {
        let err = toml::from_str::<LimitsConfig>("[shop]\nrate = \"often\"").expect_err("not a rate").to_string();
        assert!(err.contains("expected a rate above zero such as"), "{err}");
        let err = toml::from_str::<LimitsConfig>("[shop]\nrate = [\"5/min\", \"often\"]").expect_err("not a rate").to_string();
        assert!(err.contains("expected a rate above zero such as"), "{err}");
        let err = toml::from_str::<LimitsConfig>("[shop]\nrates = \"5/min\"").expect_err("unknown").to_string();
        assert!(err.contains("unknown field `rates`"), "{err}");
    }

    #[test]
    fn limits_of_a_route_have_room_together() {
        let config = parse("[shop]\nrate = [\"5/s\", \"9/min\", \"9/h\", \"9/day\"]");
        let found = |names: &[&str]| {
            let mut findings = Findings::default();
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            validate_together(&config, &names, "gateway.routes[0].limits", &mut findings);
            findings.into_vec().len()
        };
        assert_eq!((found(&["shop", "mfa", "forgot-password"]), found(&["shop", "mfa", "forgot-password", "general"])), (0, 1));
    }
}
