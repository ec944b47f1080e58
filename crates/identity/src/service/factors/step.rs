//! The second question of a sign-in. Nothing is answered here without the token that follows the right password.

use baluarte_audit::Entry;
use baluarte_db::{DbError, Tx};
use baluarte_kernel::{Ctx, Secret, Timestamp, UserId};

use super::{Identity, codes::Way};
use crate::{
    IdentityError, SessionKind, SignedIn, actions,
    factors::{ATTEMPT, Answer, FactorKind, Method, MfaPolicy, OpenStep, PENDING, RESEND, SecondStep, TotpEnrolment, hint, passkey, phone},
    service::sign_in::{Arrival, Opening},
    store::{
        self,
        factors::challenges::{Challenge, NewChallenge, Purpose},
        users::Account,
    },
};

/// What the password alone gives.
pub(in crate::service) enum Standing {
    /// A session: there is no factor, or this browser is trusted since that moment.
    Enough(Option<Timestamp>),
    Asked(SecondStep),
}

impl Identity {
    /// After the right password: does it suffice, or is there a second question?
    pub(in crate::service) async fn standing(
        &self,
        ctx: &Ctx,
        account: &Account,
        kind: SessionKind,
        device: Option<&Secret>,
    ) -> Result<Standing, IdentityError> {
        let (user, now) = (account.user.id, ctx.now());
        let kinds = self.kinds(user).await?;
        let required = self.policy_of(&account.user.role) == MfaPolicy::Required;
        if kinds.is_empty() && !required {
            return Ok(Standing::Enough(None));
        }
        let tx = self.inner.kit.db.begin().await?;
        if let Some(device) = device
            && !kinds.is_empty()
            && let Some(trusted) = store::factors::trusted::use_trusted(&tx, &self.device_hash(device), user, now).await?
        {
            tx.commit().await?;
            return Ok(Standing::Enough(Some(trusted.proved_at)));
        }
        let token = Secret::new(baluarte_secrets::random_token());
        let purpose = if kinds.is_empty() { Purpose::Enrol } else { Purpose::SignIn };
        let challenge = NewChallenge {
            token_hash: self.step_hash(&token),
            user_id: user,
            purpose,
            session_kind: kind,
            bound_to: account.password_changed_at,
            expires_at: now.plus(ATTEMPT),
        };
        store::factors::challenges::insert_challenge(&tx, challenge, now).await?;
        self.record(ctx, &tx, account, Entry::new(&actions::FACTOR_ASKED, "user").of(user));
        tx.commit().await?;
        tracing::info!(target: "identity", user_id = %user, "the password was right; asked for a second factor");
        let (methods, enrol) = self.ways(purpose, user, &kinds).await?;
        Ok(Standing::Asked(SecondStep { mfa_token: token, methods, enrol, expires_in: ATTEMPT }))
    }

    /// How an attempt that waits can be answered. [`IdentityError::SecondStepOver`] when it cannot any more.
    pub async fn find_second_step(&self, ctx: &Ctx, mfa_token: &Secret) -> Result<OpenStep, IdentityError> {
        let (challenge, account) = self.open_step(ctx, mfa_token).await?;
        let (methods, enrol) = self.ways(challenge.purpose, account.user.id, &self.kinds(account.user.id).await?).await?;
        let phone = match &challenge.phone {
            Some(sealed) => self.open_phone(account.user.id, sealed),
            None => self.phone_of(self.inner.kit.db.read(), account.user.id).await?,
        };
        let (address, phone) = (hint(account.user.email.as_str()), phone.as_ref().map(phone::hint));
        let resend_in = challenge.code_sent_at.plus(RESEND).since(ctx.now());
        Ok(OpenStep { methods, enrol, address, phone, sent: challenge.sent_by, resend_in })
    }

    /// Whose attempt it is, for whoever counts answers by person.
    pub(crate) async fn second_step_user(&self, ctx: &Ctx, mfa_token: &Secret) -> Result<UserId, IdentityError> {
        let (_, account) = self.open_step(ctx, mfa_token).await?;
        self.may_answer(ctx, &account).await?;
        Ok(account.user.id)
    }

    /// Sends a code for an attempt; an earlier one is void. `number` is where to, when that is to become the factor that the role
    /// demands; a number that is one already is not asked for.
    pub async fn send_code(&self, ctx: &Ctx, mfa_token: &Secret, method: Method, number: Option<&str>) -> Result<(), IdentityError> {
        let (challenge, account) = self.open_step(ctx, mfa_token).await?;
        let user = account.user.id;
        let (methods, enrol) = self.ways(challenge.purpose, user, &self.kinds(user).await?).await?;
        let enrols = challenge.purpose == Purpose::Enrol;
        let kind = method.kind().filter(|kind| kind.is_sent());
        let kind = kind.filter(|kind| if enrols { enrol.contains(kind) } else { methods.contains(&method) });
        let way = match (kind, enrols) {
            (Some(FactorKind::Email), _) => Way::Email,
            (Some(FactorKind::Sms), true) => Way::NewPhone(self.reachable(number.unwrap_or_default())?),
            (Some(FactorKind::Sms), false) => {
                Way::Sms(self.phone_of(self.inner.kit.db.read(), user).await?.ok_or(IdentityError::FactorUnavailable)?)
            }
            (Some(FactorKind::Totp | FactorKind::Passkey) | None, _) => return Err(IdentityError::FactorUnavailable),
        };
        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        if enrols && matches!(way, Way::Email) {
            store::factors::begin(&tx, user, FactorKind::Email, None, ctx.now()).await?;
        }
        self.put_code(ctx, &tx, &self.step_hash(mfa_token), &challenge, &account, &way).await?;
        Ok(tx.commit().await?)
    }

    /// Begins to set up an authenticator app in an attempt whose role demands a factor.
    pub async fn enrol_in_step(&self, ctx: &Ctx, mfa_token: &Secret) -> Result<TotpEnrolment, IdentityError> {
        let (challenge, account) = self.open_step(ctx, mfa_token).await?;
        if challenge.purpose != Purpose::Enrol {
            return Err(IdentityError::FactorExists);
        }
        self.begin_totp(ctx, &account).await
    }

    /// Takes the answer and opens the session.
    pub async fn answer(&self, ctx: &Ctx, answer: &Answer) -> Result<SignedIn, IdentityError> {
        let (_, account) = self.open_step(ctx, &answer.mfa_token).await?;
        let keys = self.may_answer(ctx, &account).await?;
        let arrival = Arrival::of(self, ctx, &account, self.is_known_place(ctx, account.user.id).await?);
        let (user, now, hash) = (account.user.id, ctx.now(), self.step_hash(&answer.mfa_token));

        let tx = self.inner.kit.db.begin().await?;
        store::factors::lock_user(&tx, user).await?;
        // Spent before it is looked at, so that many answers at once are not more answers.
        let challenge = store::factors::challenges::spend_try(&tx, &hash, now).await?.ok_or(IdentityError::SecondStepOver)?;
        if challenge.purpose == Purpose::Enrol && !store::factors::list_factors(&tx, user).await?.is_empty() {
            // The owner has set one up meanwhile: the password alone adds no other.
            return Err(IdentityError::SecondStepOver);
        }
        if !self.is_right(ctx, &tx, &challenge, &hash, &account, answer).await? {
            self.count_wrong(ctx, &tx, &account, &keys).await?;
            tx.commit().await?;
            return Err(IdentityError::WrongCode);
        }
        if !store::factors::challenges::remove(&tx, &hash).await? {
            return Err(IdentityError::SecondStepOver);
        }
        let mut revoked = Vec::new();
        let mut recovery_codes = Vec::new();
        if challenge.purpose == Purpose::Enrol {
            let kind = answer.method.kind().ok_or(IdentityError::FactorUnavailable)?;
            (recovery_codes, revoked) = self.added(ctx, &tx, &account, kind, None).await?;
        }
        let device = match answer.trust_device && challenge.session_kind == SessionKind::Cookie {
            true => Some(self.trust_device(ctx, &tx, &account).await?),
            false => None,
        };
        // One network is forgiven; what was counted over all of them goes by itself, or an attacker would wait for the owner.
        store::throttles::clear(&tx, std::slice::from_ref(&keys.from_network)).await?;
        let opening = Opening { kind: challenge.session_kind, stronger_hash: None, factor_at: Some(now) };
        let (signed_in, more) = self.open_session(ctx, &tx, &arrival, &account, opening).await.map_err(|err| match err {
            // The password was changed or the account disabled meanwhile.
            IdentityError::WrongCredentials => IdentityError::SecondStepOver,
            other => other,
        })?;
        revoked.extend(more);
        tx.commit().await?;
        self.announce(revoked);
        tracing::info!(target: "identity", user_id = %user, session_id = %signed_in.session_id, method = answer.method.as_str(), "signed in with a second factor");
        Ok(SignedIn { device: device.or(signed_in.device.clone()), recovery_codes, ..signed_in })
    }

    async fn is_right(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        challenge: &Challenge,
        hash: &str,
        account: &Account,
        answer: &Answer,
    ) -> Result<bool, IdentityError> {
        let (user, now, code) = (account.user.id, ctx.now(), &answer.code);
        match (challenge.purpose, answer.method) {
            (Purpose::SignIn, Method::Totp) => self.takes_totp(tx, user, code, now).await,
            (Purpose::SignIn, Method::Recovery) => self.takes_recovery(ctx, tx, account, code).await,
            (Purpose::SignIn, Method::Passkey) => match &answer.assertion {
                Some(assertion) => self.takes_passkey(ctx, tx, account, assertion, passkey::Purpose::SecondStep(hash)).await,
                None => Ok(false),
            },
            (Purpose::SignIn, Method::Email | Method::Sms) => {
                let Some(kind) = answer.method.kind() else { return Ok(false) };
                let right = self.is_sent_code(challenge, hash, kind, code);
                Ok(right && store::factors::mark_used(tx, user, kind, now).await?)
            }
            (Purpose::Enrol, Method::Totp) => self.confirms_totp(tx, user, code, now).await,
            (Purpose::Enrol, Method::Email) => {
                let right = self.is_sent_code(challenge, hash, FactorKind::Email, code);
                Ok(right && store::factors::confirm(tx, user, FactorKind::Email, None, 0, now).await?)
            }
            (Purpose::Enrol, Method::Sms) => match &challenge.phone {
                Some(sealed) if self.is_sent_code(challenge, hash, FactorKind::Sms, code) => {
                    store::factors::put(tx, user, FactorKind::Sms, Some(sealed), now).await?;
                    Ok(true)
                }
                _ => Ok(false),
            },
            (Purpose::Enrol, Method::Recovery | Method::Passkey) | (Purpose::Email | Purpose::Sms | Purpose::Confirm, _) => Ok(false),
        }
    }

    /// Whether it is a code of the app that is being set up, which is in force afterwards.
    pub(super) async fn confirms_totp(&self, tx: &Tx, user: UserId, code: &Secret, now: Timestamp) -> Result<bool, IdentityError> {
        let Some(sealed) = store::factors::find_pending(tx, user, FactorKind::Totp, now.minus(PENDING)).await? else { return Ok(false) };
        match self.open_seed(user, &sealed).and_then(|seed| seed.step_of(code.expose(), now)) {
            Some(step) => Ok(store::factors::confirm(tx, user, FactorKind::Totp, Some(&sealed), step, now).await?),
            None => Ok(false),
        }
    }

    /// The attempt and its owner, if both are still as they were when the password was right.
    pub(super) async fn open_step(&self, ctx: &Ctx, mfa_token: &Secret) -> Result<(Challenge, Account), IdentityError> {
        let read = self.inner.kit.db.read();
        let found = store::factors::challenges::find_challenge(read, &self.step_hash(mfa_token), ctx.now()).await?;
        let challenge =
            found.filter(|found| matches!(found.purpose, Purpose::SignIn | Purpose::Enrol)).ok_or(IdentityError::SecondStepOver)?;
        let account = store::users::find_user(read, challenge.user_id).await?.ok_or(IdentityError::SecondStepOver)?;
        if account.password_changed_at != challenge.bound_to || account.user.disabled_at.is_some() {
            return Err(IdentityError::SecondStepOver);
        }
        Ok((challenge, account))
    }

    pub(super) async fn kinds(&self, user: UserId) -> Result<Vec<FactorKind>, DbError> {
        let factors = store::factors::list_factors(self.inner.kit.db.read(), user).await?;
        Ok(factors.into_iter().map(|factor| factor.kind).collect())
    }

    /// `(methods that answer, factors to be set up)`: the strongest first.
    pub(super) async fn ways(
        &self,
        purpose: Purpose,
        user: UserId,
        kinds: &[FactorKind],
    ) -> Result<(Vec<Method>, Vec<FactorKind>), DbError> {
        let possible = |kind: &FactorKind| self.can_ask_for(*kind);
        if purpose == Purpose::Enrol {
            // Passkeys are set up by whoever is signed in.
            let here = |kind: &FactorKind| *kind != FactorKind::Passkey && possible(kind);
            return Ok((Vec::new(), FactorKind::ALL.into_iter().filter(here).collect()));
        }
        let mut methods: Vec<Method> =
            FactorKind::ALL.into_iter().filter(|kind| kinds.contains(kind)).filter(possible).map(Method::from).collect();
        if store::factors::recovery::count(self.inner.kit.db.read(), user).await? > 0 {
            methods.push(Method::Recovery);
        }
        Ok((methods, Vec::new()))
    }
}
