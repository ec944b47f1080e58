//! The limits of this process, and how a request is judged by several of them at once.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use baluarte_backplane::{Backplane, Decision, MAX_WANTS, Quota, Want};
use baluarte_kernel::Rate;

use crate::{
    config::{KeyBy, LimitsConfig, OnStoreFailure, Settings, settings},
    stats::{Counted, Counters, LimitStats},
    subject::{Digester, Subject},
    verdict::{Fields, FieldsWriter, Verdict, whole_seconds},
};

/// A limit by number; resolve once, check often. It means the same limit for as long as the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LimitId(pub u16);

/// All limits of this process. Cheap to clone.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    backplane: Backplane,
    digester: Digester,
    table: ArcSwap<Table>,
}

/// The limits as last configured.
#[derive(Default)]
struct Table {
    /// By number. One that is no longer configured stays as it was: requests on their way, and they alone, still use it.
    limits: Vec<Arc<Limit>>,
    by_name: HashMap<String, LimitId>,
}

struct Limit {
    name: String,
    policies: Vec<Policy>,
    counts_by_ip: bool,
    on_store_failure: OnStoreFailure,
    /// The plan's rate replaces its rates.
    follows_plan: bool,
    /// Outlive a reload.
    counters: Arc<Counters>,
}

/// One bucket a limit counts in: one of its keys, one of its rates.
struct Policy {
    /// As in `violated_policies`: the limit's name, then what distinguishes this bucket from the limit's others.
    name: String,
    quoted: String,
    /// As in Redis keys: the name and the quota. With another quota others are full buckets, or whoever used up `1/h`
    /// would wait for an hour after it has become `60/min`.
    bucket: String,
    key: KeyBy,
    quota: Quota,
    advertised: Advertised,
    /// Of the limit's rates, the one with the shortest span: the one a plan's rate stands for.
    first_rate: bool,
}

/// A rate as the fields tell it.
#[derive(Clone, Copy)]
struct Advertised {
    count: u64,
    window: u64,
}

/// What one request is to be counted in.
struct Plan<'a> {
    wants: [Want<'a>; MAX_WANTS],
    of: [Option<(&'a Limit, &'a Policy, Advertised)>; MAX_WANTS],
    len: usize,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Limits").field(&self.0.table.load().by_name.keys()).finish()
    }
}

impl Limits {
    /// `subject_key`: derived from the installation's secret and the same on every replica; whoever lacks it cannot tell
    /// from the keys in Redis whose they are. `config` has been validated.
    pub fn new(config: &LimitsConfig, backplane: Backplane, subject_key: &[u8; 32]) -> Self {
        let table = ArcSwap::from_pointee(Table::default().changed(config));
        Self(Arc::new(Inner { backplane, digester: Digester::new(subject_key), table }))
    }

    /// Takes over a changed and validated configuration. Numbers stay valid and counts go on; where the rate or the
    /// burst changed, everybody begins with a full bucket.
    pub fn reload(&self, config: &LimitsConfig) {
        self.0.table.rcu(|table| table.changed(config));
    }

    pub fn resolve(&self, name: &str) -> Option<LimitId> {
        self.0.table.load().by_name.get(name).copied()
    }

    /// Debits all of them or none. From memory it answers without yielding.
    ///
    /// More than `MAX_BUCKETS_PER_REQUEST` buckets together are a mistake that `validate_together` finds; here they
    /// are refused as if the store were away.
    pub async fn check(&self, limits: &[LimitId], subject: &Subject<'_>) -> Verdict {
        match &self.0.backplane {
            Backplane::Local(_) => {
                let table = self.0.table.load();
                let mut plan = Plan::empty();
                if self.0.fill(&table, &mut plan, limits, subject).is_none() {
                    return Verdict::StoreAway;
                }
                plan.verdict(&self.0.backplane.take_local(plan.wants()))
            }
            // Boxed: a request on a single replica does not carry this future's size.
            Backplane::Redis(_) => Box::pin(self.0.check_shared(limits, subject)).await,
        }
    }

    /// What was decided so far, for `/metrics`.
    pub fn snapshot(&self) -> Vec<LimitStats> {
        let stats = |limit: &Arc<Limit>| limit.counters.read(&limit.name, limit.on_store_failure);
        self.0.table.load().limits.iter().map(stats).collect()
    }
}

impl Table {
    fn changed(&self, config: &LimitsConfig) -> Self {
        let mut limits = self.limits.clone();
        let mut by_name = HashMap::new();
        for (name, settings) in settings(config) {
            let known = limits.iter().position(|limit| limit.name == name);
            let counters = known.map(|at| Arc::clone(&limits[at].counters)).unwrap_or_default();
            let limit = Arc::new(Limit::new(name.clone(), &settings, counters));
            let at = known.unwrap_or(limits.len());
            // A process that has seen so many names has been reloaded for years with new ones each time.
            let Ok(id) = u16::try_from(at) else { continue };
            if known.is_some() {
                limits[at] = limit
            } else {
                limits.push(limit)
            }
            by_name.insert(name, LimitId(id));
        }
        Self { limits, by_name }
    }
}

impl Inner {
    async fn check_shared(&self, limits: &[LimitId], subject: &Subject<'_>) -> Verdict {
        let table = self.table.load_full();
        let mut plan = Plan::empty();
        if self.fill(&table, &mut plan, limits, subject).is_none() {
            return Verdict::StoreAway;
        }
        if plan.len == 0 {
            return Verdict::Allowed(Fields::default());
        }
        match self.backplane.take(plan.wants()).await {
            Ok(decision) => plan.verdict(&decision),
            // The backplane has logged why and counts it.
            Err(_) => self.without_store(&plan),
        }
    }

    /// Redis is away: each limit's own policy decides.
    fn without_store(&self, plan: &Plan<'_>) -> Verdict {
        plan.count(Counted::StoreFailure, |_, _| true);
        if plan.items().any(|(_, limit, ..)| limit.on_store_failure == OnStoreFailure::Closed) {
            return Verdict::StoreAway;
        }
        let ours = plan.only(|limit| limit.on_store_failure == OnStoreFailure::Local);
        let verdict = ours.verdict(&self.backplane.take_local(ours.wants()));
        if matches!(verdict, Verdict::Allowed(_)) {
            plan.only(|limit| limit.on_store_failure == OnStoreFailure::Open).count(Counted::Allowed, |_, _| true);
        }
        verdict
    }

    /// `None`: there is no room for all buckets. Filled in place: a plan is large, and this is done for every request.
    fn fill<'a>(&self, table: &'a Table, plan: &mut Plan<'a>, limits: &[LimitId], subject: &Subject<'_>) -> Option<()> {
        // A digest is needed once for each kind of key, however many buckets use it.
        let mut digests = [None; KeyBy::COUNT];
        for id in limits {
            let limit = table.limits.get(usize::from(id.0))?;
            let plan_rate = subject.user_rate.filter(|_| limit.follows_plan && subject.user.is_some());
            for policy in &limit.policies {
                let key = subject.resolve(policy.key);
                // By user and by address, and nobody has signed in: once by address is enough.
                let doubled = key != policy.key && limit.counts_by_ip;
                if doubled || (plan_rate.is_some() && !policy.first_rate) {
                    continue;
                }
                let digest = *digests[key as usize].get_or_insert_with(|| self.digester.digest(key, subject));
                let (quota, advertised) = match plan_rate {
                    Some(rate) => (Quota::new(rate.count.get(), rate.per, rate.count.get()), Advertised::of(rate)),
                    None => (policy.quota, policy.advertised),
                };
                plan.push(limit, policy, advertised, Want { limit: &policy.bucket, subject: digest, quota, cost: 1 })?;
            }
        }
        Some(())
    }
}

impl Limit {
    fn new(name: String, settings: &Settings, counters: Arc<Counters>) -> Self {
        let mut policies = Vec::with_capacity(settings.keys.len() * settings.rates.len());
        for key in &settings.keys {
            for (index, rate) in settings.rates.iter().enumerate() {
                let mut policy_name = name.clone();
                if settings.keys.len() > 1 {
                    policy_name = format!("{policy_name}/{}", key.as_str());
                }
                if settings.rates.len() > 1 {
                    let rate = rate.to_string();
                    policy_name = format!("{policy_name}/{}", rate.split_once('/').map_or("", |(_, span)| span));
                }
                let burst = settings.burst.filter(|_| index == 0).unwrap_or(rate.count.get());
                policies.push(Policy {
                    quoted: format!("\"{policy_name}\""),
                    bucket: format!("{policy_name}@{rate}+{burst}"),
                    name: policy_name,
                    key: *key,
                    quota: Quota::new(rate.count.get(), rate.per, burst),
                    advertised: Advertised::of(*rate),
                    first_rate: index == 0,
                });
            }
        }
        Self {
            counts_by_ip: settings.keys.contains(&KeyBy::Ip),
            on_store_failure: settings.on_store_failure,
            follows_plan: name == "user",
            counters,
            name,
            policies,
        }
    }
}

impl Advertised {
    /// Windows are told in whole seconds: `"5/500ms"` as ten in one second.
    fn of(rate: Rate) -> Self {
        let count = u64::from(rate.count.get());
        if rate.per < Duration::from_secs(1) {
            let per_us = u64::try_from(rate.per.as_micros()).unwrap_or(u64::MAX).max(1);
            return Self { count: count * 1_000_000 / per_us, window: 1 };
        }
        Self { count, window: whole_seconds(rate.per) }
    }
}

impl<'a> Plan<'a> {
    fn empty() -> Self {
        let none = Want { limit: "", subject: 0, quota: Quota { interval_us: 1, burst: 1 }, cost: 0 };
        Self { wants: [none; MAX_WANTS], of: [None; MAX_WANTS], len: 0 }
    }

    /// `None`: there is no room for another bucket.
    fn push(&mut self, limit: &'a Limit, policy: &'a Policy, advertised: Advertised, want: Want<'a>) -> Option<()> {
        *self.wants.get_mut(self.len)? = want;
        *self.of.get_mut(self.len)? = Some((limit, policy, advertised));
        self.len += 1;
        Some(())
    }

    fn wants(&self) -> &[Want<'a>] {
        &self.wants[..self.len]
    }

    fn items(&self) -> impl Iterator<Item = (&Want<'a>, &'a Limit, &'a Policy, Advertised)> {
        let items = self.wants.iter().zip(&self.of).take(self.len);
        items.filter_map(|(want, of)| of.map(|(limit, policy, advertised)| (want, limit, policy, advertised)))
    }

    fn only(&self, keep: impl Fn(&Limit) -> bool) -> Self {
        let mut plan = Self::empty();
        for (want, limit, policy, advertised) in self.items().filter(|(_, limit, ..)| keep(limit)) {
            // There is room: it is no more than fitted here.
            let _ = plan.push(limit, policy, advertised, *want);
        }
        plan
    }

    /// Counts once for each limit with a bucket that `which` names by its number.
    fn count(&self, what: Counted, which: impl Fn(usize, &Want<'a>) -> bool) {
        let mut last: Option<*const Limit> = None;
        for (index, (want, limit, ..)) in self.items().enumerate() {
            // The buckets of a limit follow each other.
            if which(index, want) && last != Some(std::ptr::from_ref(limit)) {
                last = Some(std::ptr::from_ref(limit));
                limit.counters.add(what, want.subject);
            }
        }
    }

    fn verdict(&self, decision: &Decision) -> Verdict {
        let refused = |index: usize| decision.taken.get(index).is_some_and(|taken| !taken.retry_after.is_zero());
        let wait = decision.taken.iter().map(|taken| whole_seconds(taken.retry_after)).max().unwrap_or(0).max(1);
        let mut fields = FieldsWriter::new();
        for ((_, _, policy, advertised), taken) in self.items().zip(decision.taken.iter()) {
            // `t`: until the bucket is full again; in a refusal no later than `Retry-After`, which must not be sooner than any `t`.
            let seconds = match (decision.granted, taken.retry_after.is_zero()) {
                (true, _) => whole_seconds(taken.reset),
                (false, true) => whole_seconds(taken.reset).min(wait),
                (false, false) => whole_seconds(taken.retry_after),
            };
            fields.push(&policy.quoted, advertised.count, advertised.window, u64::from(taken.remaining), seconds);
        }
        let fields = fields.finish();
        if decision.granted {
            self.count(Counted::Allowed, |_, _| true);
            return Verdict::Allowed(fields);
        }
        self.count(Counted::Limited, |index, _| refused(index));
        let violated = self.items().enumerate().filter(|(index, _)| refused(*index)).map(|(_, (_, _, policy, _))| policy.name.clone());
        Verdict::Limited { retry_after: Duration::from_secs(wait), violated: violated.collect(), fields }
    }
}
