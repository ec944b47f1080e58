use std::collections::BTreeMap;

use baluarte_kernel::{Findings, Rate};
use serde::{Deserialize, Serialize};

use crate::{Country, Phone};

/// `[notify.sms_guard]`: a stranger who makes us send text messages spends our money. Each budget is a count in a fixed window
/// (an hour begins at the full hour, UTC), shared by all replicas.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SmsGuardConfig {
    /// Where text messages may go: `["PT", "BR"]`. Empty: only to the country of `notify.twilio.phone_number`.
    pub countries: Vec<String>,
    /// To one number.
    pub per_number: Vec<Rate>,
    /// To numbers that are the same but for the last four digits.
    pub per_block: Vec<Rate>,
    /// To one country.
    pub per_country: Vec<Rate>,
    /// To everybody.
    pub total: Vec<Rate>,
    /// What a text message costs, in any currency, where `prices` says nothing.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub price: f64,
    /// What it costs by country: `{ PT = 0.04 }`.
    pub prices: BTreeMap<String, f64>,
    /// What all text messages of an hour may cost, in the same currency; zero: no such budget.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub hourly_budget: f64,
    /// What all text messages of a day may cost; zero: no such budget.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub daily_budget: f64,
}

impl Default for SmsGuardConfig {
    fn default() -> Self {
        const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);
        Self {
            countries: Vec::new(),
            per_number: vec![Rate::per_hour(5), Rate::new(10, DAY)],
            per_block: vec![Rate::per_hour(20)],
            per_country: vec![Rate::per_hour(200)],
            total: vec![Rate::per_hour(300), Rate::new(2_000, DAY)],
            price: 0.0,
            prices: BTreeMap::new(),
            hourly_budget: 0.0,
            daily_budget: 0.0,
        }
    }
}

impl SmsGuardConfig {
    pub(super) fn validate(&self, needed: bool, sender: Option<Phone>, findings: &mut Findings) {
        for text in &self.countries {
            if let Err(expected) = text.parse::<Country>() {
                findings.add("notify.sms_guard.countries", format!("found {text:?}, {expected}"));
            }
        }
        for text in self.prices.keys() {
            if let Err(expected) = text.parse::<Country>() {
                findings.add(format!("notify.sms_guard.prices.{text}"), expected);
            }
        }
        let sane = |price: &f64| price.is_finite() && (0.0..=1_000_000.0).contains(price);
        for (key, price) in [("price", &self.price), ("hourly_budget", &self.hourly_budget), ("daily_budget", &self.daily_budget)] {
            if !sane(price) {
                findings.add(format!("notify.sms_guard.{key}"), "expected an amount of money, zero or more");
            }
        }
        if !self.prices.values().all(sane) {
            findings.add("notify.sms_guard.prices", "expected amounts of money, zero or more");
        }
        let budget = self.hourly_budget > 0.0 || self.daily_budget > 0.0;
        if budget && self.price == 0.0 {
            findings.add("notify.sms_guard.price", "is needed with a budget: what a message costs in a country without a price of its own");
        }
        if needed && self.countries.is_empty() && sender.and_then(|number| number.country()).is_none() {
            findings.add(
                "notify.sms_guard.countries",
                "is missing: text messages go to the countries listed here, and the sender's number names none",
            );
        }
    }

    /// Where text messages may go.
    pub(crate) fn allowed(&self, sender: Option<&Phone>) -> Vec<Country> {
        if self.countries.is_empty() {
            return sender.and_then(Phone::country).into_iter().collect();
        }
        self.countries.iter().filter_map(|text| text.parse().ok()).collect()
    }
}
