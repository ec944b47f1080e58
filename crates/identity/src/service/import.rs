//! Taking people over from another program.

use baluarte_audit::Entry;
use baluarte_kernel::Ctx;

use super::Identity;
use crate::{IdentityError, ImportReport, ImportedUser, actions, store};

impl Identity {
    /// People in one transaction at most.
    pub const IMPORT_BATCH: usize = 1_000;

    /// All of them or none. An account that is there stays as it is; with `update`, what nobody has used yet is made like the file says.
    /// Nobody is told: neither by mail nor by event.
    pub async fn import_users(&self, ctx: &Ctx, users: &[ImportedUser], update: bool) -> Result<ImportReport, IdentityError> {
        ctx.require_admin()?;
        let (now, mut report) = (ctx.now(), ImportReport::default());
        let tx = self.inner.kit.db.begin().await?;
        for user in users {
            if store::import::insert(&tx, user, ctx.locale, now).await? {
                report.created += 1;
            } else if update && store::import::update(&tx, user, now).await? {
                report.updated += 1;
            } else {
                report.unchanged += 1;
            }
        }
        if report.created + report.updated > 0 {
            let entry = Entry::new(&actions::USERS_IMPORTED, "user").detail("created", report.created).detail("updated", report.updated);
            self.inner.kit.audit.record(ctx, &tx, entry);
        }
        tx.commit().await?;
        self.weigh_imported_passwords().await?;
        Ok(report)
    }

    /// How much work hashes of other programs are, so that every wrong password is as much.
    pub(super) async fn weigh_imported_passwords(&self) -> Result<(), IdentityError> {
        let schemes = store::import::list_schemes(self.inner.kit.db.read()).await?;
        self.inner.passwords.bear(schemes.into_iter().collect());
        Ok(())
    }
}
