//! `[billing]`: the plans, so that routes may ask for one. Paying for them comes with billing itself.

use std::collections::BTreeMap;

use baluarte_kernel::{Findings, FreeForAll, Rate};
use serde::{Deserialize, Serialize};

/// `[billing]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BillingConfig {
    /// Plans by name. Everybody is on `free`, which need not be listed.
    pub plans: BTreeMap<String, PlanConfig>,
}

/// `[billing.plans.NAME]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanConfig {
    /// A route that asks for a plan is open to this rank and every higher one.
    pub rank: u32,
    /// Replaces the limit `user` for people on this plan.
    pub rate: Option<Rate>,
    /// How many calls in such a span: `"50000/month"`.
    pub quota: Option<Rate>,
    /// The plan's name for people.
    pub title: String,
    /// The price as people read it.
    pub price: String,
    /// The price's id at Stripe.
    pub stripe_price: String,
}

impl BillingConfig {
    pub fn validate(&self, findings: &mut Findings) {
        for (name, plan) in &self.plans {
            if name != FreeForAll::PLAN && plan.rank == 0 {
                findings.add(
                    format!("billing.plans.{name}.rank"),
                    "found 0, expected at least 1: rank 0 is the plan \"free\", which everybody has",
                );
            }
            if name == FreeForAll::PLAN && plan.rank != 0 {
                findings.add("billing.plans.free.rank", format!("found {}, expected 0: everybody has this plan", plan.rank));
            }
        }
    }

    pub fn ranks(&self) -> Vec<(String, u32)> {
        self.plans.iter().map(|(name, plan)| (name.clone(), plan.rank)).collect()
    }
}
