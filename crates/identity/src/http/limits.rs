use std::net::{IpAddr, Ipv4Addr};

use axum::{
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use baluarte_kernel::{Ctx, Secret};
use baluarte_limits::{Fields, LimitId, Limits, Subject};
use baluarte_web::Problem;

use crate::Identity;

/// The built-in limits that identity debits before it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedLimit {
    /// Signing in.
    Login,
    /// Mails that anybody can ask for.
    ForgotPassword,
    /// What people do with an account now and then, and mistype: wider than `Login`, because the tries at a password that
    /// some of it takes are also counted by account.
    Account,
    /// Second factors, by person and by address.
    Mfa,
}

impl NamedLimit {
    const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::ForgotPassword => "forgot-password",
            Self::Account => "account",
            Self::Mfa => "mfa",
        }
    }

    /// Counts every request of these methods by its client's address; over the limit they get 429 `limits.exceeded`.
    /// Pages and API put the same layer on what they share, so that nobody gets twice as many tries.
    pub fn on<S: Clone + Send + Sync + 'static>(self, identity: &Identity, methods: MethodRouter<S>) -> MethodRouter<S> {
        let limits = identity.kit().limits.clone();
        let ids: Vec<LimitId> = limits.resolve(self.name()).into_iter().collect();
        methods.route_layer(middleware::from_fn(move |request: Request, next: Next| count(limits.clone(), ids.clone(), request, next)))
    }
}

/// Counts an answer to a second question by whose it is, which takes a look at the attempt, and by the client's address.
/// Whoever is slowed down already uses nothing of the owner's share up.
pub(crate) async fn count_answer(identity: &Identity, ctx: &Ctx, mfa_token: &Secret) -> Result<Fields, Problem> {
    let limits = &identity.kit().limits;
    let ids: Vec<LimitId> = limits.resolve(NamedLimit::Mfa.name()).into_iter().collect();
    let ip = ctx.client_ip().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let found = identity.second_step_user(ctx, mfa_token).await;
    let subject = Subject { user: found.as_ref().ok().copied(), ..Subject::anonymous(ip) };
    let fields = limits.check(&ids, &subject).await.into_result()?;
    found.map_err(Problem::from)?;
    Ok(fields)
}

async fn count(limits: Limits, ids: Vec<LimitId>, request: Request, next: Next) -> Response {
    // Without an address, which only a request that did not come through the edge lacks, all share one bucket.
    let ip = request.extensions().get::<Ctx>().and_then(Ctx::client_ip).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let user = request.extensions().get::<Ctx>().and_then(|ctx| ctx.user().ok().map(|principal| principal.user_id));
    match limits.check(&ids, &Subject { user, ..Subject::anonymous(ip) }).await.into_result() {
        Ok(fields) => {
            let mut response = next.run(request).await;
            fields.write(response.headers_mut());
            response
        }
        Err(problem) => problem.into_response(),
    }
}
