//! Text messages cost money, and strangers can make us send them: where they may go and what may be spent.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use baluarte_db::{DbError, Tx};
use baluarte_kernel::{Rate, Timestamp};
use baluarte_secrets::Secrets;

use crate::{
    Country, Phone, SmsGuardConfig,
    store::spendings::{self, Window},
};

/// Why a text message is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SmsRefused {
    #[error("not a telephone number in the international form, such as +351912345678")]
    BadNumber,
    #[error("text messages do not go to that country; notify.sms_guard.countries lists where they go")]
    Country,
    #[error("a premium-rate number")]
    Premium,
    #[error("too many text messages to this number")]
    NumberBudget,
    #[error("too many text messages to numbers like this one")]
    BlockBudget,
    #[error("the budget for text messages to that country is used up")]
    CountryBudget,
    #[error("the budget for text messages is used up")]
    TotalBudget,
}

impl SmsRefused {
    /// One word, for metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::BadNumber => "bad_number",
            Self::Country => "country",
            Self::Premium => "premium",
            Self::NumberBudget => "number_budget",
            Self::BlockBudget => "block_budget",
            Self::CountryBudget => "country_budget",
            Self::TotalBudget => "total_budget",
        }
    }

    /// Nobody else gets a text message either: somebody should look.
    pub(crate) const fn is_alarming(self) -> bool {
        matches!(self, Self::CountryBudget | Self::TotalBudget)
    }
}

pub(crate) struct Guard {
    config: SmsGuardConfig,
    countries: Vec<Country>,
    prices: BTreeMap<Country, i64>,
    secrets: Secrets,
    /// Until when a budget of all messages is used up, as far as this process knows; zero: it is not.
    stopped_until: AtomicI64,
}

const MILLIONTHS: f64 = 1_000_000.0;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Guard {
    pub(crate) fn new(config: &SmsGuardConfig, sender: Option<&Phone>, secrets: Secrets) -> Self {
        let prices = config.prices.iter().filter_map(|(country, price)| Some((country.parse().ok()?, millionths(*price))));
        Self {
            countries: config.allowed(sender),
            prices: prices.collect(),
            config: config.clone(),
            secrets,
            stopped_until: AtomicI64::new(0),
        }
    }

    /// May a text message go there at all? Says so at once, without a look at budgets.
    pub(crate) fn check(&self, to: &str) -> Result<(Phone, Country), SmsRefused> {
        let phone: Phone = to.parse().map_err(|_| SmsRefused::BadNumber)?;
        let country = phone.country().filter(|country| self.countries.contains(country)).ok_or(SmsRefused::Country)?;
        if phone.is_premium() { Err(SmsRefused::Premium) } else { Ok((phone, country)) }
    }

    /// Takes one message from every budget. After a refusal the transaction has to be rolled back, or the budgets that
    /// were asked before would lose a message that nobody sends.
    ///
    /// From the narrowest to the widest, and always in this order: transactions that wait for each other's rows do so in one direction.
    pub(crate) async fn spend(&self, tx: &Tx, to: &str, now: Timestamp) -> Result<Result<(), SmsRefused>, DbError> {
        let (phone, country) = match self.check(to) {
            Ok(found) => found,
            Err(refused) => return Ok(Err(refused)),
        };
        let cost = self.prices.get(&country).copied().unwrap_or_else(|| millionths(self.config.price));
        let (number, block) = (self.bucket("number", phone.as_str()), self.bucket("block", phone.block()));
        let place = format!("country:{country}");
        let counted: [(&str, &[Rate], SmsRefused); 4] = [
            (&number, &self.config.per_number, SmsRefused::NumberBudget),
            (&block, &self.config.per_block, SmsRefused::BlockBudget),
            (&place, &self.config.per_country, SmsRefused::CountryBudget),
            ("total", &self.config.total, SmsRefused::TotalBudget),
        ];
        for (bucket, rates, refused) in counted {
            for rate in rates {
                let window = window(bucket, rate.per, now, i64::from(rate.count.get()), i64::MAX / 2);
                if !spendings::spend(tx, &window, cost).await? {
                    return Ok(Err(self.refuse(refused, &window)));
                }
            }
        }
        for (span, budget) in [(HOUR, self.config.hourly_budget), (DAY, self.config.daily_budget)] {
            if budget > 0.0 {
                let window = window("cost", span, now, i64::MAX / 2, millionths(budget));
                if !spendings::spend(tx, &window, cost).await? {
                    return Ok(Err(self.refuse(SmsRefused::TotalBudget, &window)));
                }
            }
        }
        if self.stopped_until.swap(0, Ordering::Relaxed) > 0 {
            tracing::info!(target: "notify", "text messages go out again");
        }
        Ok(Ok(()))
    }

    fn refuse(&self, refused: SmsRefused, window: &Window<'_>) -> SmsRefused {
        let until = window.began_at.micros().saturating_add(window.span_us);
        if refused.is_alarming() && self.stopped_until.fetch_max(until, Ordering::Relaxed) < until {
            tracing::error!(
                target: "notify", budget = window.bucket, until = %Timestamp::from_micros(until),
                "ALARM: a budget of text messages is used up; no more go out until its window ends. Is somebody pumping?"
            );
        }
        refused
    }

    /// Are text messages held back because a budget for all, or for a whole country, is used up?
    pub(crate) fn is_stopped(&self, now: Timestamp) -> bool {
        self.stopped_until.load(Ordering::Relaxed) > now.micros()
    }

    /// The table of budgets does not say whom we wrote to.
    fn bucket(&self, what: &str, number: &str) -> String {
        let hash = self.secrets.keyed_hash("notify.sms_bucket", number.as_bytes());
        let hash: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{what}:{hash}")
    }
}

fn millionths(amount: f64) -> i64 {
    (amount * MILLIONTHS).round() as i64
}

fn window(bucket: &str, span: Duration, now: Timestamp, most_messages: i64, most_cost: i64) -> Window<'_> {
    let span_us = i64::try_from(span.as_micros()).unwrap_or(i64::MAX).max(1);
    let began_at = Timestamp::from_micros(now.micros().div_euclid(span_us) * span_us);
    Window { bucket, span_us, began_at, most_messages, most_cost }
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::Secret;

    use super::*;

    fn guard(config: &SmsGuardConfig, sender: &str) -> Guard {
        Guard::new(config, sender.parse().ok().as_ref(), Secrets::new(&Secret::new("k"), &Secret::new("s")))
    }

    #[test]
    fn without_a_list_text_messages_go_only_to_the_senders_country() {
        let guard = guard(&SmsGuardConfig::default(), "+351910000000");
        assert!(guard.check("+351 912 345 678").is_ok());
        assert_eq!(guard.check("+34612345678").err(), Some(SmsRefused::Country));
        assert_eq!(guard.check("912345678").err(), Some(SmsRefused::BadNumber));
        assert_eq!(guard.check("+351760123456").err(), Some(SmsRefused::Premium));
        assert_eq!(guard.check("+881612345678").err(), Some(SmsRefused::Country));
    }

    #[test]
    fn a_list_replaces_the_senders_country() {
        let config = SmsGuardConfig { countries: vec!["br".into(), "US".into()], ..SmsGuardConfig::default() };
        let guard = guard(&config, "+351910000000");
        assert!(guard.check("+5511961234567").is_ok() && guard.check("+12015550123").is_ok());
        assert_eq!(guard.check("+351912345678").err(), Some(SmsRefused::Country));
        // Canada and Jamaica share the calling code of the United States, and nothing else.
        assert_eq!(guard.check("+15062345678").err(), Some(SmsRefused::Country));
        assert_eq!(guard.check("+18762101234").err(), Some(SmsRefused::Country));
    }

    #[test]
    fn windows_begin_at_whole_spans() {
        let at = Timestamp::from_unix_seconds(1_800_003_661);
        assert_eq!(window("x", HOUR, at, 1, 1).began_at.unix_seconds(), 1_800_003_600);
    }
}
