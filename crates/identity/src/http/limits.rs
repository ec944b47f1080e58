use std::net::{IpAddr, Ipv4Addr};

use axum::{
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use baluarte_kernel::Ctx;
use baluarte_limits::{LimitId, Limits, Subject};

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
}

impl NamedLimit {
    const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::ForgotPassword => "forgot-password",
            Self::Account => "account",
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

async fn count(limits: Limits, ids: Vec<LimitId>, request: Request, next: Next) -> Response {
    // Without an address, which only a request that did not come through the edge lacks, all share one bucket.
    let ip = request.extensions().get::<Ctx>().and_then(Ctx::client_ip).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    match limits.check(&ids, &Subject::anonymous(ip)).await.into_result() {
        Ok(fields) => {
            let mut response = next.run(request).await;
            fields.write(response.headers_mut());
            response
        }
        Err(problem) => problem.into_response(),
    }
}
