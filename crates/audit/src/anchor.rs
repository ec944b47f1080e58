//! Checkpoints leave for places that whoever changes the database cannot reach. A failing place holds up nothing; it is tried again
//! and told of.

use std::{
    fs::OpenOptions,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    sync::atomic::Ordering,
    time::Duration,
};

use baluarte_db::Tx;
use baluarte_kernel::{BoxFuture, Ctx};
use baluarte_outbound::{SigningKey, sign};
use bytes::Bytes;
use http::{HeaderValue, header};

use crate::{
    Audit, AuditError, Checkpoint,
    config::{AnchorConfig, AnchorKind},
    entry::shortened,
    signed::Says,
    store::{self, upkeep::AnchorState},
};

/// Sends mail: the server gives one to the audit log, which knows nobody who does.
pub trait Mailer: Send + Sync {
    /// Writes the message in the transaction; it is sent after the commit.
    fn mail<'a>(&'a self, ctx: &'a Ctx, tx: &'a Tx, mail: AnchorMail) -> BoxFuture<'a, Result<(), String>>;
}

/// A checkpoint as a mail.
#[derive(Debug, Clone)]
pub struct AnchorMail {
    pub to: String,
    pub subject: String,
    pub text: String,
}

/// One delivery takes no longer.
const LEASE: Duration = Duration::from_secs(60);
const FIRST_RETRY: Duration = Duration::from_secs(10);
const LAST_RETRY: Duration = Duration::from_secs(3_600);
/// Checkpoints in one delivery.
const AT_ONCE: usize = 100;

impl Audit {
    /// Sends each place what it does not have yet.
    pub(crate) async fn deliver(&self) -> Result<(), AuditError> {
        let Some(latest) = store::signed::last(self.inner.db.read(), Says::Checkpoint, &self.inner.chain).await? else { return Ok(()) };
        for (name, config) in &self.inner.config.anchors {
            let now = self.inner.clock.now();
            let tx = self.inner.db.begin().await?;
            store::upkeep::add_anchor(&tx, name, latest.seq).await?;
            let claimed = store::upkeep::claim_anchor(&tx, name, latest.seq, LEASE, now).await?;
            tx.commit().await?;
            if let Some(state) = claimed {
                self.deliver_to(config, &state, latest.seq).await?;
            }
        }
        Ok(())
    }

    async fn deliver_to(&self, config: &AnchorConfig, state: &AnchorState, latest: i64) -> Result<(), AuditError> {
        // A mail tells of the latest one only: it covers all before it.
        let mut after = if config.kind == AnchorKind::Email { latest - 1 } else { state.seq };
        loop {
            let page = store::signed::list(self.inner.db.read(), Says::Checkpoint, &self.inner.chain, after, latest, AT_ONCE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.seq;
            let mut lines = String::new();
            for checkpoint in &page {
                if let Some(public_key) = self.public_key(&checkpoint.kid).await? {
                    lines.push_str(&checkpoint.to_line(&public_key));
                    lines.push('\n');
                }
            }
            // The network is not waited for while SQLite's one writer is held.
            let sent = match config.kind {
                AnchorKind::File => append(config.path.clone(), lines.clone()).await,
                AnchorKind::Webhook => self.post(config, last, lines.clone()).await,
                AnchorKind::Email => Ok(()),
            };
            let tx = self.inner.db.begin().await?;
            let sent = match (sent, config.kind) {
                (Ok(()), AnchorKind::Email) => self.mail(config, &tx, last, lines).await,
                (sent, _) => sent,
            };
            match sent {
                Ok(()) => store::upkeep::anchored(&tx, &state.place, last.seq, self.inner.clock.now()).await?,
                Err(why) => {
                    // What the mail began is not kept, so that the failure can be written down.
                    tx.rollback().await?;
                    return self.delivery_failed(state, &why).await;
                }
            }
            tx.commit().await?;
            tracing::debug!(target: "audit", place = state.place, seq = last.seq, "a checkpoint was anchored");
        }
    }

    async fn delivery_failed(&self, state: &AnchorState, why: &str) -> Result<(), AuditError> {
        let wait = FIRST_RETRY.saturating_mul(1 << state.failures.clamp(0, 12)).min(LAST_RETRY);
        let tx = self.inner.db.begin().await?;
        store::upkeep::not_anchored(&tx, &state.place, &shortened(why), self.inner.clock.now().plus(wait)).await?;
        tx.commit().await?;
        self.inner.counts.anchor_failures.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            target: "audit", place = state.place, failures = state.failures + 1, retry_in_s = wait.as_secs(), error = why,
            "checkpoints do not arrive at this anchor"
        );
        Ok(())
    }

    async fn mail(&self, config: &AnchorConfig, tx: &Tx, last: &Checkpoint, lines: String) -> Result<(), String> {
        let Some(mailer) = &self.inner.mailer else { return Err("there is no way to send mail here".to_owned()) };
        let subject = format!("Audit log of Baluarte: entry {}", last.seq);
        let text = format!(
            "A signed checkpoint of the audit log. Keep this mail: if entries are removed or changed later, `baluarte audit verify \
             --anchor FILE` notices by the line below.\n\n{lines}"
        );
        mailer.mail(&Ctx::system(self.inner.clock.clone()), tx, AnchorMail { to: config.to.clone(), subject, text }).await
    }

    /// The lines as they go into a file; the receiver answers 2xx once it has kept them.
    async fn post(&self, config: &AnchorConfig, last: &Checkpoint, lines: String) -> Result<(), String> {
        let Some(outbound) = &self.inner.outbound else { return Err("there is no way out here".to_owned()) };
        let mut request = outbound.post(&config.url);
        request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        if !config.secret.is_empty() {
            let key = config.secret.expose().parse::<SigningKey>().map_err(|err| err.to_string())?;
            let id = format!("anchor_{}", last.seq);
            for (name, value) in sign(&[key], &id, self.inner.clock.now(), lines.as_bytes()).map_err(|err| err.to_string())? {
                request = request.header(name, value);
            }
        }
        let answer = request.body(Bytes::from(lines)).send().await.map_err(|err| err.to_string())?;
        if answer.status.is_success() { Ok(()) } else { Err(format!("answered {}", answer.status.as_u16())) }
    }
}

/// Durable when it returns. A line that a crash cut off is ended first, so that it spoils no other.
async fn append(path: String, lines: String) -> Result<(), String> {
    let write = move || {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut end = [b'\n'];
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut end)?;
        }
        let begin = if end == [b'\n'] { "" } else { "\n" };
        file.write_all(format!("{begin}{lines}").as_bytes())?;
        file.sync_all()
    };
    let written = tokio::task::spawn_blocking(write).await.map_err(|err| err.to_string())?;
    written.map_err(|err| err.to_string())
}
