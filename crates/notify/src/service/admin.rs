//! What an operator sees and does.

use baluarte_audit::{Entry, Shown};
use baluarte_db::{DbError, Tx};
use baluarte_jobs::Options;
use baluarte_kernel::{Ctx, Page, PageQuery};

use super::deliver::Deliver;
use crate::{
    Channel, Message, Notify, NotifyError, ProviderCheck,
    actions::{MESSAGE_RESENT, MESSAGE_REVEALED, SUPPRESSION_ADDED, SUPPRESSION_REMOVED},
    message::{Content, MessageFilter, MessageId, Stored, Suppression, SuppressionId, normal, redacted},
    provider::{Parcel, Provider},
    store::{
        self,
        spendings::{self, Spent},
        suppressions,
    },
};

/// How a provider has been doing, as this process sees it.
#[derive(Debug, Clone)]
pub struct ProviderState {
    pub channel: Channel,
    pub name: String,
    /// It fails, and is left alone for a while.
    pub open: bool,
}

impl Notify {
    /// Newest first.
    pub async fn list_messages(&self, ctx: &Ctx, filter: &MessageFilter, page: &PageQuery) -> Result<Page<Stored>, NotifyError> {
        ctx.require_admin()?;
        Ok(store::list(&self.inner.db, filter, page).await?)
    }

    /// With `reveal` the audit log says that somebody looked up whom it was for.
    pub async fn find_message(&self, ctx: &Ctx, id: MessageId, reveal: bool) -> Result<Stored, NotifyError> {
        ctx.require_admin()?;
        let message = store::find(self.inner.db.read(), id).await?.ok_or(NotifyError::NotFound)?;
        if reveal {
            let tx = self.inner.db.begin().await?;
            self.inner.audit.record(ctx, &tx, Entry::new(&MESSAGE_REVEALED, "message").of(Shown(&id.to_string())));
            tx.commit().await?;
        }
        Ok(message)
    }

    /// Puts a message that nobody took into the queue again, while it is useful.
    pub async fn resend_message(&self, ctx: &Ctx, id: MessageId) -> Result<Stored, NotifyError> {
        ctx.require_admin()?;
        let tx = self.inner.db.begin().await?;
        let Some(message) = store::find(&tx, id).await? else { return Err(NotifyError::NotFound) };
        if !store::resend(&tx, id, ctx.now()).await? {
            return Err(NotifyError::CannotResend(message.state));
        }
        self.inner.jobs.enqueue(ctx, &tx, &Deliver { message: id }, Options::default()).await?;
        let entry = Entry::new(&MESSAGE_RESENT, "message").of(Shown(&id.to_string())).detail("was", message.state.as_str());
        self.inner.audit.record(ctx, &tx, entry);
        let message = store::find(&tx, id).await?.ok_or(NotifyError::NotFound)?;
        tx.commit().await?;
        Ok(message)
    }

    /// Newest first.
    pub async fn list_suppressions(
        &self,
        ctx: &Ctx,
        channel: Option<Channel>,
        address: Option<&str>,
        page: &PageQuery,
    ) -> Result<Page<Suppression>, NotifyError> {
        ctx.require_admin()?;
        let guessed = if address.is_some_and(|text| text.contains('@')) { Channel::Email } else { Channel::Sms };
        let meant = channel.unwrap_or(guessed);
        let sought = address.map(|text| self.sought(meant, normal(meant, text)));
        Ok(suppressions::list(&self.inner.db, channel, sought, page).await?)
    }

    /// From now on nothing is sent there. An address that is on the list for longer stays as it is.
    pub async fn add_suppression(
        &self,
        ctx: &Ctx,
        channel: Channel,
        address: &str,
        detail: Option<String>,
    ) -> Result<Suppression, NotifyError> {
        ctx.require_admin()?;
        let now = ctx.now();
        let address = normal(channel, address);
        let new = Suppression {
            id: SuppressionId::generate(),
            channel,
            key: self.suppression_key(channel, &address),
            address: redacted(channel, &address),
            about: None,
            reason: "operator".to_owned(),
            detail,
            created_at: now,
            expires_at: now.plus(self.inner.suppress_complained),
        };
        let tx = self.inner.db.begin().await?;
        self.suppress(ctx, &tx, &new).await?;
        let held = suppressions::find(&tx, channel, &self.sought(channel, address), now).await?.ok_or(NotifyError::NotFound)?;
        tx.commit().await?;
        Ok(held)
    }

    /// Puts an address on the list, and into the audit log where that changes anything.
    pub(crate) async fn suppress(&self, ctx: &Ctx, tx: &Tx, new: &Suppression) -> Result<(), DbError> {
        if suppressions::insert(tx, new).await? {
            let entry = Entry::new(&SUPPRESSION_ADDED, "suppression").of(Shown(&new.id.to_string()));
            let entry = entry.detail("channel", new.channel.as_str()).detail("reason", Shown(&new.reason));
            self.inner.audit.record(ctx, tx, entry.personal("address", Shown(&new.address)));
        }
        Ok(())
    }

    /// Something may be sent there again.
    pub async fn remove_suppression(&self, ctx: &Ctx, id: SuppressionId) -> Result<(), NotifyError> {
        ctx.require_admin()?;
        let tx = self.inner.db.begin().await?;
        let Some(held) = suppressions::find_by_id(&tx, id).await? else { return Err(NotifyError::NotFound) };
        if !suppressions::delete(&tx, id).await? {
            return Err(NotifyError::NotFound);
        }
        let entry = Entry::new(&SUPPRESSION_REMOVED, "suppression").of(Shown(&id.to_string())).detail("channel", held.channel.as_str());
        self.inner.audit.record(ctx, &tx, entry.personal("address", Shown(&held.address)));
        tx.commit().await?;
        Ok(())
    }

    /// In the order in which they are tried.
    pub fn provider_states(&self) -> Vec<ProviderState> {
        let of = |channel: Channel| {
            let state =
                move |provider: &Provider| ProviderState { channel, name: provider.name.to_string(), open: provider.breaker.is_open() };
            self.inner.providers.of(channel).iter().map(state)
        };
        Channel::ALL.into_iter().flat_map(of).collect()
    }

    /// What is spent of the budgets of text messages in the windows of this moment.
    pub(crate) async fn spent(&self, ctx: &Ctx) -> Result<Vec<Spent>, DbError> {
        spendings::spent(self.inner.db.read(), ctx.now()).await
    }

    /// Asks every provider whether it would take a message, without sending one.
    pub async fn check_providers(&self) -> Vec<ProviderCheck> {
        self.inner.providers.check().await
    }

    /// Hands this message over at once, to one provider or to the first that takes it: for the operator's own address.
    /// Returns a line for each provider asked.
    pub async fn send_now(&self, message: &Message, provider: Option<&str>, ctx: &Ctx) -> Result<Vec<String>, Vec<String>> {
        let content = Content { subject: message.subject.clone(), text: message.text.clone(), html: message.html.clone() };
        let mut said = Vec::new();
        let to = normal(message.channel, &message.to);
        let asked = self.inner.providers.of(message.channel).iter().filter(|held| provider.is_none_or(|name| name == &*held.name));
        for provider in asked {
            let now = ctx.now();
            let id = MessageId::generate();
            let parcel = Parcel { id, kind: message.kind, to: &to, content: &content, now, useful_until: message.useful_until };
            match provider.send(parcel).await {
                Ok(accepted) => {
                    let reference = accepted.reference.map(|name| format!(", and calls it {name}")).unwrap_or_default();
                    said.push(format!("{} has taken it{reference}", provider.name));
                    return Ok(said);
                }
                Err(refused) => said.push(format!("{}: {}", provider.name, refused.why())),
            }
        }
        if said.is_empty() {
            said.push(match provider {
                Some(name) => format!("{name:?} is not a configured provider of this channel"),
                None => "no provider of this channel is configured".to_owned(),
            });
        }
        Err(said)
    }
}
