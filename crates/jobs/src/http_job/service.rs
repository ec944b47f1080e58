//! What people do with HTTP jobs.

use baluarte_audit::{Entry, Shown};
use baluarte_kernel::{Actor, Ctx, Page, PageQuery, Principal, UserId};

use super::{
    HttpJobs, MAX_BODY, actions,
    job::CallHttp,
    model::{CallMade, HttpJob, HttpJobError, NewHttpJob},
    request::{HttpRequest, Target, Wrong},
    store,
};
use crate::{JobId, MAX_PAYLOAD, Options};

/// Who may have addresses called.
pub const SCOPE: &str = baluarte_kernel::scope::JOBS;
const MOST_ATTEMPTS: u32 = 100;
const LONGEST_KEY: usize = 200;
/// How far ahead a job may lie.
const LONGEST_DELAY: std::time::Duration = std::time::Duration::from_secs(366 * 86_400);
/// Of each job, as shown.
const CALLS: i64 = 20;

impl HttpJobs {
    /// Writes the job down; it is called after the commit. Under a unique key that is in use, the job that uses it.
    pub async fn enqueue_http_job(&self, ctx: &Ctx, new: NewHttpJob) -> Result<HttpJob, HttpJobError> {
        ctx.require_scope(SCOPE)?;
        let owner = owner(ctx);
        let (request, options) = self.read(ctx, owner, new)?;
        let (method, target) = (request.method.clone(), self.shown_target(&request));
        let tx = self.inner.db.begin().await?;
        let id = self.inner.jobs.enqueue(ctx, &tx, &CallHttp { request }, options).await?;
        store::insert_http_job(&tx, id, owner, &method, &target).await?;
        let job = store::find_http_job(&tx, id).await?.ok_or(HttpJobError::NotFound)?;
        self.inner.audit.record(ctx, &tx, Entry::new(&actions::ENQUEUED, "job").of(id).detail("target", Shown(&target)));
        tx.commit().await?;
        Ok(job)
    }

    /// One's own; administrators see everybody's.
    pub async fn find_http_job(&self, ctx: &Ctx, id: JobId) -> Result<(HttpJob, Vec<CallMade>), HttpJobError> {
        ctx.require_scope(SCOPE)?;
        let read = self.inner.db.read();
        let job = store::find_http_job(read, id).await?.filter(|job| may_see(ctx, job)).ok_or(HttpJobError::NotFound)?;
        Ok((job, store::list_calls(read, id, CALLS).await?))
    }

    /// One's own, the newest first.
    pub async fn list_http_jobs(&self, ctx: &Ctx, page: &PageQuery) -> Result<Page<HttpJob>, HttpJobError> {
        ctx.require_scope(SCOPE)?;
        let owner = ctx.user_with(SCOPE)?.user_id;
        let before = page.cursor.as_ref().map(|cursor| cursor.key());
        let found = store::list_http_jobs(self.inner.db.read(), owner, before, page.limit() + 1).await?;
        Ok(Page::from_surplus(found, page.limit(), |job| job.id.to_string()))
    }

    /// Takes a job back that has not ended. A call under way is not undone.
    pub async fn cancel_http_job(&self, ctx: &Ctx, id: JobId) -> Result<(), HttpJobError> {
        ctx.require_scope(SCOPE)?;
        let tx = self.inner.db.begin().await?;
        store::find_http_job(&tx, id).await?.filter(|job| may_see(ctx, job)).ok_or(HttpJobError::NotFound)?;
        if self.inner.jobs.cancel(&tx, id, ctx.now()).await?.is_none() {
            return Err(HttpJobError::Ended);
        }
        self.inner.audit.record(ctx, &tx, Entry::new(&actions::CANCELED, "job").of(id));
        tx.commit().await?;
        Ok(())
    }

    /// Everything that is wrong with it, at once.
    fn read(&self, ctx: &Ctx, owner: Option<UserId>, new: NewHttpJob) -> Result<(HttpRequest, Options), HttpJobError> {
        let mut wrong: Vec<Wrong> = Vec::new();
        let mut say = |pointer: &str, problem: String| wrong.push((pointer.to_owned(), problem));
        let target = match (new.url, new.endpoint) {
            (Some(url), None) if new.path.is_none() => Some(Target::Url { url }),
            (None, Some(endpoint)) => Some(Target::Endpoint { endpoint, path: new.path.unwrap_or_default() }),
            _ => None,
        };
        if target.is_none() {
            say("/url", "give either url, or endpoint and path".to_owned());
        }
        if new.max_attempts.is_some_and(|count| !(1..=MOST_ATTEMPTS).contains(&count)) {
            say("/max_attempts", format!("is 1 to {MOST_ATTEMPTS}"));
        }
        if new.run_at.is_some_and(|at| at > ctx.now().plus(LONGEST_DELAY)) {
            say("/run_at", "is at most a year ahead".to_owned());
        }
        if new.unique_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
            say("/unique_key", format!("has 1 to {LONGEST_KEY} bytes"));
        }
        let Some(target) = target else { return Err(HttpJobError::Invalid(wrong)) };
        let method = new.method.unwrap_or_else(|| "POST".to_owned());
        let request = HttpRequest { target, method, headers: new.headers, body: new.body };
        if let Err(more) = request.prepare(MAX_BODY) {
            wrong.extend(more);
        } else if let Err((pointer, problem)) = self.reachable(&request.target) {
            wrong.push((pointer.to_owned(), problem));
        } else if serde_json::to_string(&request).map_or(0, |text| text.len()) > MAX_PAYLOAD - 1024 {
            wrong.push(("/body".to_owned(), "is too long when it is written as JSON".to_owned()));
        }
        if !wrong.is_empty() {
            return Err(HttpJobError::Invalid(wrong));
        }
        let mut tags = Vec::new();
        tags.extend(owner.map(crate::forget::by));
        let options = Options {
            run_at: new.run_at,
            // Two customers may have the same idea of a good key.
            unique_key: new.unique_key.map(|key| format!("{}:{key}", owner.map(|owner| owner.to_string()).unwrap_or_default())),
            tags,
            max_attempts: new.max_attempts,
            ..Options::default()
        };
        Ok((request, options))
    }

    /// As far as the address alone tells; what its name leads to is asked when connecting.
    fn reachable(&self, target: &Target) -> Result<(), (&'static str, String)> {
        let pointer = match target {
            Target::Url { .. } => "/url",
            Target::Endpoint { .. } => "/endpoint",
        };
        let destination = self.inner.endpoints.resolve(target, 1).map_err(|err| (pointer, err.to_string()))?;
        self.inner.courier.permits(&destination).map_err(|err| (pointer, err.to_string()))
    }
}

fn owner(ctx: &Ctx) -> Option<UserId> {
    match &ctx.actor {
        Actor::User(principal) => Some(principal.user_id),
        Actor::Anonymous | Actor::Operator | Actor::System => None,
    }
}

fn may_see(ctx: &Ctx, job: &HttpJob) -> bool {
    match &ctx.actor {
        Actor::Operator | Actor::System => true,
        Actor::Anonymous => false,
        Actor::User(principal) => principal.has_role(Principal::ADMIN) || job.owner == Some(principal.user_id),
    }
}
