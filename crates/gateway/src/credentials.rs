//! One core's memory of verified credentials: a repeated token costs a look-up instead of a signature check or a query.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use ahash::AHashMap;
use baluarte_component::Tasks;
use baluarte_kernel::{AuthError, Authenticator, Clock, Credential, EntitledPlan, Entitlements, Principal, Timestamp};
use futures::{
    FutureExt as _,
    future::{LocalBoxFuture, Shared},
};
use http::HeaderValue;

/// Entries of one generation; two generations live at a time.
const GENERATION: usize = 4_096;
/// Credentials being checked at a time on one core; more are told to come back.
const CHECKS: usize = 512;
/// Bytes of the credentials of one generation.
const GENERATION_BYTES: usize = 4 << 20;
/// In bytes. What is longer is none of ours, and is neither checked nor remembered.
const LONGEST: usize = 4_096;
/// How long "not valid" is remembered.
const REFUSAL: Duration = Duration::from_secs(5);
/// How long "nobody can tell" is remembered: requests fail fast while the database is away, and soon notice its return.
const OUTAGE: Duration = Duration::from_secs(1);
/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which credential a request presented, verbatim. A bearer token and a cookie of the same text are different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    Bearer(&'a str),
    Cookie(&'a str),
}

impl Presented<'_> {
    fn to_owned(self) -> Credential {
        match self {
            Self::Bearer(token) => Credential::Bearer(token.to_owned()),
            Self::Cookie(value) => Credential::SessionCookie(value.to_owned()),
        }
    }
}

/// Somebody whose credential was verified, and what every request of theirs needs.
pub(crate) struct Known {
    pub(crate) principal: Arc<Principal>,
    /// What they presented, and whether it was a cookie.
    text: Rc<str>,
    is_cookie: bool,
    /// Counter of revocations up to which this was still valid.
    revocations: Cell<u64>,
    standing: RefCell<Rc<Standing>>,
    pub(crate) user: HeaderValue,
    pub(crate) email: HeaderValue,
    identities: RefCell<Vec<Identity>>,
}

/// The plan, as of a count of changes.
pub(crate) struct Standing {
    changes: u64,
    pub(crate) plan: EntitledPlan,
    /// The value of `Remote-Groups`.
    pub(crate) groups: HeaderValue,
}

struct Identity {
    audience: Arc<str>,
    plan: Arc<str>,
    token: HeaderValue,
    renew_at: Timestamp,
}

impl Known {
    fn new(principal: Arc<Principal>, asked: &Credential, revocations: u64, entitlements: &dyn Entitlements) -> Self {
        let (Credential::Bearer(text) | Credential::SessionCookie(text)) = asked;
        let (text, is_cookie) = (Rc::from(text.as_str()), matches!(asked, Credential::SessionCookie(_)));
        let user = value(&principal.user_id.to_string());
        let email = value(&principal.email);
        let changes = entitlements.changes();
        let standing = RefCell::new(Rc::new(Standing::new(&principal, changes, entitlements)));
        Self { principal, text, is_cookie, revocations: Cell::new(revocations), standing, user, email, identities: RefCell::default() }
    }

    pub(crate) fn presented(&self) -> Presented<'_> {
        if self.is_cookie { Presented::Cookie(&self.text) } else { Presented::Bearer(&self.text) }
    }

    /// The plan as it is now.
    pub(crate) fn standing(&self, entitlements: &dyn Entitlements) -> Rc<Standing> {
        let changes = entitlements.changes();
        let mut standing = self.standing.borrow_mut();
        if standing.changes != changes {
            *standing = Rc::new(Standing::new(&self.principal, changes, entitlements));
        }
        Rc::clone(&standing)
    }

    /// The value of `X-Baluarte-Identity` for an upstream; signed anew when it is about to expire.
    pub(crate) fn identity(
        &self,
        audience: &Arc<str>,
        plan: &EntitledPlan,
        authenticator: &dyn Authenticator,
        now: Timestamp,
    ) -> HeaderValue {
        let mut identities = self.identities.borrow_mut();
        if let Some(known) =
            identities.iter().find(|known| *known.audience == **audience && known.plan == plan.name && now < known.renew_at)
        {
            return known.token.clone();
        }
        let fresh = authenticator.upstream_identity(&self.principal, audience, &plan.name);
        let token = value(&fresh.token);
        identities.retain(|known| *known.audience != **audience && now < known.renew_at);
        identities.push(Identity {
            audience: Arc::clone(audience),
            plan: Arc::clone(&plan.name),
            token: token.clone(),
            renew_at: fresh.renew_at,
        });
        token
    }

    fn is_valid(&self, authenticator: &dyn Authenticator, now: Timestamp) -> bool {
        !self.is_over(now) && !self.is_revoked(authenticator)
    }

    /// The time until which it was verified has come: it may be good for longer, but has to be checked again.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.principal.expires_at
    }

    /// Has a revocation come since the last look, and does it concern this one?
    pub(crate) fn is_revoked(&self, authenticator: &dyn Authenticator) -> bool {
        let revocations = authenticator.revocations();
        if revocations != self.revocations.get() {
            if authenticator.is_revoked(&self.principal) {
                return true;
            }
            self.revocations.set(revocations);
        }
        false
    }
}

impl Standing {
    fn new(principal: &Principal, changes: u64, entitlements: &dyn Entitlements) -> Self {
        let plan = entitlements.plan_of(principal.user_id);
        let groups = value(&format!("{},{}", principal.role, plan.name));
        Self { changes, plan, groups }
    }
}

/// Text of ours as a header's value; an address with control characters cannot have got here, and would become empty.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or(HeaderValue::from_static(""))
}

type Outcome = Result<Rc<Known>, AuthError>;

#[derive(Clone)]
enum Answer {
    Known(Rc<Known>),
    Refused(AuthError, Timestamp),
}

/// One kind of credential in two generations: when the young one is full, the old one goes.
#[derive(Default)]
struct Generations {
    young: AHashMap<Rc<str>, Answer>,
    old: AHashMap<Rc<str>, Answer>,
    /// Of the young ones' texts: invented credentials can be as long as their author likes.
    bytes: usize,
}

impl Generations {
    fn get(&mut self, text: &str) -> Option<Answer> {
        if let Some(answer) = self.young.get(text) {
            return Some(answer.clone());
        }
        let (text, answer) = self.old.remove_entry(text)?;
        self.insert(text, answer.clone());
        Some(answer)
    }

    fn insert(&mut self, text: Rc<str>, answer: Answer) {
        if self.young.len() >= GENERATION || self.bytes >= GENERATION_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += text.len();
        self.young.insert(text, answer);
    }

    fn remove(&mut self, text: &str) {
        self.young.remove(text);
        self.old.remove(text);
    }
}

/// Not `Send`: belongs to one core.
pub(crate) struct Credentials {
    authenticator: Arc<dyn Authenticator>,
    entitlements: Arc<dyn Entitlements>,
    tasks: Tasks,
    clock: Clock,
    bearers: RefCell<Generations>,
    cookies: RefCell<Generations>,
    checks: RefCell<AHashMap<Credential, Shared<LocalBoxFuture<'static, Outcome>>>>,
}

impl Credentials {
    pub(crate) fn new(authenticator: Arc<dyn Authenticator>, entitlements: Arc<dyn Entitlements>, tasks: Tasks, clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            authenticator,
            entitlements,
            tasks,
            clock,
            bearers: RefCell::default(),
            cookies: RefCell::default(),
            checks: RefCell::default(),
        })
    }

    /// From memory; `None`: it has to be checked.
    pub(crate) fn recall(&self, presented: Presented<'_>, now: Timestamp) -> Option<Outcome> {
        let (generations, text) = self.generations(presented);
        if text.len() > LONGEST {
            return Some(Err(AuthError::Invalid));
        }
        let mut generations = generations.borrow_mut();
        let outcome = match generations.get(text)? {
            Answer::Known(known) if known.is_valid(&*self.authenticator, now) => return Some(Ok(known)),
            Answer::Known(_) => None,
            Answer::Refused(err, until) if now < until => return Some(Err(err)),
            Answer::Refused(..) => None,
        };
        generations.remove(text);
        outcome
    }

    /// Asks the authenticator on the control runtime; requests with the same credential wait for one answer.
    pub(crate) async fn check(self: &Rc<Self>, presented: Presented<'_>) -> Outcome {
        let credential = presented.to_owned();
        let running = self.checks.borrow().get(&credential).cloned();
        let check = match running {
            Some(check) => check,
            None if self.checks.borrow().len() >= CHECKS => return Err(AuthError::Unavailable),
            None => self.begin(credential),
        };
        check.await
    }

    fn begin(self: &Rc<Self>, credential: Credential) -> Shared<LocalBoxFuture<'static, Outcome>> {
        let this = Rc::clone(self);
        let asked = credential.clone();
        let check = async move {
            // Read before asking: a revocation that comes meanwhile makes us look again.
            let revocations = this.authenticator.revocations();
            let authenticator = Arc::clone(&this.authenticator);
            let question = asked.clone();
            let work = this.tasks.spawn(async move { tokio::time::timeout(PATIENCE, authenticator.authenticate(question)).await });
            let outcome = match work.await {
                Ok(Ok(Ok(principal))) => Ok(Rc::new(Known::new(principal, &asked, revocations, &*this.entitlements))),
                Ok(Ok(Err(err))) => Err(err),
                // Too slow, or the control runtime is going away.
                Ok(Err(_)) | Err(_) => Err(AuthError::Unavailable),
            };
            this.remember(&asked, &outcome);
            this.checks.borrow_mut().remove(&asked);
            outcome
        };
        let check = check.boxed_local().shared();
        self.checks.borrow_mut().insert(credential, check.clone());
        // Goes on when the request that asked goes away: others may have joined.
        tokio::task::spawn_local(check.clone().map(drop));
        check
    }

    fn remember(&self, credential: &Credential, outcome: &Outcome) {
        let answer = match outcome {
            Ok(known) => Answer::Known(Rc::clone(known)),
            Err(err @ AuthError::Unavailable) => Answer::Refused(err.clone(), self.clock.now().plus(OUTAGE)),
            Err(err @ (AuthError::Invalid | AuthError::Revoked)) => Answer::Refused(err.clone(), self.clock.now().plus(REFUSAL)),
        };
        let (generations, text) = match credential {
            Credential::Bearer(token) => (&self.bearers, token),
            Credential::SessionCookie(value) => (&self.cookies, value),
        };
        let text = match &answer {
            Answer::Known(known) => Rc::clone(&known.text),
            Answer::Refused(..) => text.as_str().into(),
        };
        generations.borrow_mut().insert(text, answer);
    }

    /// For what goes on in somebody's name after their credential's time: is it good for longer? `None`: that is being found out.
    pub(crate) fn renew(self: &Rc<Self>, known: &Known) -> Option<Outcome> {
        let presented = known.presented();
        let outcome = self.recall(presented, self.clock.now());
        if outcome.is_none() {
            let credential = presented.to_owned();
            let may_ask = {
                let checks = self.checks.borrow();
                !checks.contains_key(&credential) && checks.len() < CHECKS
            };
            if may_ask {
                // It runs by itself, and the answer is remembered.
                drop(self.begin(credential));
            }
        }
        outcome
    }

    fn generations<'a>(&self, presented: Presented<'a>) -> (&RefCell<Generations>, &'a str) {
        match presented {
            Presented::Bearer(token) => (&self.bearers, token),
            Presented::Cookie(value) => (&self.cookies, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_credentials_fill_no_memory_however_many_and_long() {
        let mut generations = Generations::default();
        for n in 0..3 * GENERATION {
            generations.insert(format!("{n:0LONGEST$}").into(), Answer::Refused(AuthError::Invalid, Timestamp::default()));
            let bytes: usize = generations.young.keys().chain(generations.old.keys()).map(|text| text.len()).sum();
            assert!(bytes <= 2 * (GENERATION_BYTES + LONGEST), "{bytes}");
        }
        for n in 0..3 * GENERATION {
            generations.insert(format!("{n}").into(), Answer::Refused(AuthError::Invalid, Timestamp::default()));
        }
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }
}
