//! The gateway on one core: from a request's head to its answer, deciding from memory.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use baluarte_audit::Lane;
use baluarte_kernel::{AuthError, RequestMeta};
use baluarte_limits::{Fields, Subject};
use baluarte_proxy::{Origin, Pool, RequestBody, ResponseBody, prepare};
use baluarte_telemetry::{AccessNote, Surface};
use baluarte_web::Problem;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};

use crate::{
    Gateway, Parts,
    access::{self, Access, Denied},
    calls::Recorded,
    credentials::{Credentials, Known, Presented},
    guesses::Guesses,
    http as refusals,
    live::Live,
    path::Readings,
    problems, sign_in,
    snapshot::{AuditedRoute, Snapshot},
    table::{Found, Route, Target},
    target::ToUpstream,
};

const REMOTE_USER: HeaderName = HeaderName::from_static("remote-user");
const REMOTE_EMAIL: HeaderName = HeaderName::from_static("remote-email");
const REMOTE_GROUPS: HeaderName = HeaderName::from_static("remote-groups");
const IDENTITY: HeaderName = HeaderName::from_static("x-baluarte-identity");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Many frameworks take the method from these instead of the request line, which would go around routes that name methods.
const METHOD_OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// The gateway on one core. Cheap to clone, not `Send`.
#[derive(Clone)]
pub struct GatewayCore(Rc<Core>);

struct Core {
    gateway: Gateway,
    credentials: Rc<Credentials>,
    guesses: Guesses,
    live: Rc<Live>,
    /// Where this core's calls wait for the audit log.
    lane: Arc<Lane>,
    local: RefCell<Rc<Local>>,
}

/// The snapshot this core works with, and what hangs on it.
struct Local {
    snapshot: Arc<Snapshot>,
    pools: Vec<Pool>,
    /// Copies of the routes' names: their counters are this core's own.
    names: Vec<Arc<str>>,
    /// Who records their calls, in the same order.
    recorded: Vec<Arc<Recorded>>,
}

/// Who a request is from.
#[derive(Default)]
struct Caller {
    known: Option<Rc<Known>>,
    /// Its token was verified: nobody needs to look whether it is one of ours.
    bearer_is_ours: bool,
    /// There is a credential, but nobody can tell whose.
    unavailable: bool,
    /// There is a credential, but this client has guessed too often to have it looked at before this time has passed.
    guessing: Option<Duration>,
    /// The session cookie was not used because another site may have made the request.
    cross_origin: Option<Box<Problem>>,
}

/// Why a credential identifies nobody.
enum Unverified {
    Auth(AuthError),
    /// The client has sent too many that are not valid; how long it has to wait.
    Guessing(Duration),
}

impl GatewayCore {
    pub(crate) fn new(gateway: Gateway, core: usize) -> Self {
        let parts = &gateway.0.parts;
        let credentials =
            Credentials::new(Arc::clone(&parts.authenticator), Arc::clone(&parts.entitlements), parts.tasks.clone(), parts.clock.clone());
        let live = Live::new(Arc::clone(&parts.authenticator), Rc::clone(&credentials), parts.clock.clone());
        let lane = parts.calls.open_lane(core);
        let local = Rc::new(Local::new(gateway.0.snapshot.load_full(), None, &gateway, &lane));
        Self(Rc::new(Core { gateway, credentials, guesses: Guesses::default(), live, lane, local: RefCell::new(local) }))
    }

    /// Answers everything that is not Baluarte's own surface. A refusal carries a `web::Problem` in the extensions.
    pub async fn call(&self, request: Box<Request<RequestBody>>, meta: &RequestMeta, note: &mut AccessNote) -> Response<ResponseBody> {
        note.surface = Surface::Gateway;
        let mut fields = None;
        // On the heap: whoever holds this future moves it about several times before it runs, and its states are large.
        match Box::pin(self.0.answer(request, meta, note, &mut fields)).await {
            Ok(mut response) => {
                if let Some(fields) = fields {
                    fields.move_into(response.headers_mut());
                }
                response
            }
            Err(mut problem) => {
                if let Some(fields) = fields {
                    fields.write(&mut problem.headers);
                }
                refused(*problem)
            }
        }
    }

    /// The limit of the route's own for the body of this request.
    pub fn body_limit<B>(&self, request: &Request<B>, meta: &RequestMeta) -> Option<u64> {
        find(&self.0.local().snapshot, request, meta).ok()?.body_limit
    }
}

fn refused(problem: Problem) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = problem.status;
    response.extensions_mut().insert(problem);
    response
}

impl Local {
    fn new(snapshot: Arc<Snapshot>, before: Option<&Self>, gateway: &Gateway, lane: &Arc<Lane>) -> Self {
        let pool = |upstream: &Arc<baluarte_proxy::Upstream>| {
            let kept = before.and_then(|before| before.pools.iter().find(|pool| Arc::ptr_eq(pool.upstream(), upstream)));
            kept.cloned().unwrap_or_else(|| Pool::new(Arc::clone(upstream), gateway.0.parts.tasks.stopping()))
        };
        let pools = snapshot.upstreams.iter().map(|member| pool(&member.upstream)).collect();
        let names = snapshot.names.iter().map(|name| Arc::from(&**name)).collect();
        let recorded = |route: &AuditedRoute| {
            let AuditedRoute { audited, route, upstream } = route;
            Arc::new(Recorded { audited: *audited, lane: Arc::clone(lane), route: Box::from(&**route), upstream: upstream.clone() })
        };
        let recorded = snapshot.audited.iter().map(recorded).collect();
        Self { snapshot, pools, names, recorded }
    }
}

impl Core {
    fn local(&self) -> Rc<Local> {
        let current = self.gateway.0.snapshot.load();
        let mut local = self.local.borrow_mut();
        if !Arc::ptr_eq(&local.snapshot, &current) {
            *local = Rc::new(Local::new(Arc::clone(&current), Some(&local), &self.gateway, &self.lane));
        }
        Rc::clone(&local)
    }

    async fn answer(
        &self,
        mut request: Box<Request<RequestBody>>,
        meta: &RequestMeta,
        note: &mut AccessNote,
        fields: &mut Option<Fields>,
    ) -> Result<Response<ResponseBody>, Box<Problem>> {
        let parts = &self.gateway.0.parts;
        let local = self.local();
        let route = find(&local.snapshot, &request, meta)?;
        note.route = local.names.get(route.index).cloned();
        if let Some(recorded) = local.recorded.get(route.index) {
            recorded.watch(&request, note);
        }

        let caller = self.identify(&request, meta, route).await;
        if let Some(principal) = caller.known.as_ref().map(|known| &known.principal) {
            (note.user_id, note.session_id) = (Some(principal.user_id), principal.session_id);
            note.credential = Some(principal.credential);
        }
        let key = caller.known.as_ref().and_then(|known| known.principal.key_id).map(|id| id.to_string());
        let standing = caller.known.as_ref().map(|known| known.standing(&*parts.entitlements));
        if !route.limits.is_empty() {
            let subject = Subject {
                user: note.user_id,
                api_key: key.as_deref(),
                route: &route.name,
                upstream: route.target.upstream(),
                plan: standing.as_ref().map_or("", |standing| &*standing.plan.name),
                user_rate: standing.as_ref().and_then(|standing| standing.plan.rate),
                ..Subject::anonymous(meta.client_ip)
            };
            *fields = Some(parts.limits.check(&route.limits, &subject).await.into_result()?);
        }
        let who = caller.known.as_ref().zip(standing.as_ref()).map(|(known, standing)| (&*known.principal, &standing.plan));
        if let Err(denied) = route.access.allows(who, &*parts.entitlements) {
            return self.deny(denied, caller, &request, meta);
        }
        if let (Some(max_age), Some((principal, _))) = (route.max_age, who)
            && let Err(denied) = access::is_fresh(principal, Some(max_age), parts.clock.now())
        {
            return self.deny(denied, caller, &request, meta);
        }

        let mut answer = match &route.target {
            Target::Directory(directory) => Box::pin(directory.answer(&request)).await?,
            Target::Redirect(redirect) => redirect.answer(request.uri(), &meta.host, meta.scheme),
            Target::Fixed(fixed) => fixed.answer(),
            Target::Upstream(to) => {
                let began = Instant::now();
                let pool = &local.pools[to.index];
                if let Some(bytes) = route.body_limit {
                    request.body_mut().limit(bytes);
                }
                let mut prepared = self.dress(&mut request, meta, route, to, &caller);
                let tunnel = caller.known.as_ref().and_then(|_| prepared.hold());
                let answer = pool.forward(request, prepared, to.timeout).await;
                note.upstream = Some(began.elapsed());
                let answer = answer.map_err(|err| Box::new(refusals::problem(&err, &to.name, meta)))?;
                match &caller.known {
                    Some(known) => self.live.follow(answer, known, tunnel),
                    None => answer,
                }
            }
        };
        if let Some(headers) = &route.headers {
            answer.extensions_mut().insert(Arc::clone(headers));
        }
        Ok(answer)
    }

    async fn identify(&self, request: &Request<RequestBody>, meta: &RequestMeta, route: &Route) -> Caller {
        let mut caller = Caller::default();
        let headers = request.headers();
        if let Some(token) = sign_in::bearer(headers) {
            let outcome = self.verify(Presented::Bearer(token), meta).await;
            caller.bearer_is_ours = outcome.is_ok();
            caller.take(outcome);
        }
        if caller.known.is_none()
            && let Some(session) = sign_in::session(headers, self.gateway.0.parts.session_cookie)
        {
            let (scheme, host) = sign_in::own_origin(meta);
            match sign_in::cookie_may_act(headers, request.method(), scheme, host) {
                Ok(()) => caller.take(self.verify(Presented::Cookie(session), meta).await),
                Err(problem) if route.access != Access::Public => caller.cross_origin = Some(Box::new(problem)),
                Err(_) => {}
            }
        }
        caller
    }

    async fn verify(&self, presented: Presented<'_>, meta: &RequestMeta) -> Result<Rc<Known>, Unverified> {
        let now = self.gateway.0.parts.clock.now();
        if let Some(outcome) = self.credentials.recall(presented, now) {
            return outcome.map_err(Unverified::Auth);
        }
        self.guesses.check(meta.client_ip, now).map_err(Unverified::Guessing)?;
        // Rare, and apart on the heap, so that it does not make every request's future larger.
        let outcome = Box::pin(self.credentials.check(presented)).await;
        if matches!(outcome, Err(AuthError::Invalid)) {
            self.guesses.failed(meta.client_ip, now);
        }
        outcome.map_err(Unverified::Auth)
    }

    fn deny(
        &self,
        denied: Denied,
        caller: Caller,
        request: &Request<RequestBody>,
        meta: &RequestMeta,
    ) -> Result<Response<ResponseBody>, Box<Problem>> {
        let place = match &denied {
            Denied::NotSignedIn => sign_in::LOGIN,
            Denied::Stale(_) => sign_in::CONFIRM,
            _ => "",
        };
        if place.is_empty() {
            return Err(Box::new(sign_in::refusal(denied)));
        }
        if let Some(problem) = caller.cross_origin {
            return Err(problem);
        }
        if caller.unavailable {
            return Err(Box::new(sign_in::unavailable()));
        }
        if let Some(wait) = caller.guessing {
            return Err(Box::new(Problem::of(&baluarte_limits::EXCEEDED).retry_after(wait)));
        }
        if !sign_in::is_navigation(request.headers(), request.method()) {
            return Err(Box::new(sign_in::refusal(denied)));
        }
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let mut response = Response::new(ResponseBody::Empty);
        *response.status_mut() = StatusCode::FOUND;
        if let Ok(location) = HeaderValue::from_str(&sign_in::address(place, &self.gateway.0.parts, &meta.host, target)) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// The request as the upstream is to see it.
    fn dress(
        &self,
        request: &mut Request<RequestBody>,
        meta: &RequestMeta,
        route: &Route,
        to: &ToUpstream,
        caller: &Caller,
    ) -> baluarte_proxy::Prepared {
        let parts = &self.gateway.0.parts;
        let origin = Origin { client_ip: meta.client_ip, trusted_peer: meta.trusted_peer, scheme: meta.scheme, host: &meta.host };
        let mut prepared = prepare(request, &origin, |name| name.starts_with("remote-") || name.starts_with("x-baluarte-"));
        if let Some(target) = to.target(request.uri()) {
            *request.uri_mut() = target.into();
        }
        let headers = request.headers_mut();
        if route.names_methods {
            for name in &METHOD_OVERRIDES {
                headers.remove(name);
            }
        }
        if !route.forward_credentials {
            remove_credentials(headers, caller.bearer_is_ours, parts);
        }
        if headers.get(REQUEST_ID).is_none_or(|known| known.as_bytes() != meta.request_id.as_bytes())
            && let Ok(id) = HeaderValue::from_str(&meta.request_id)
        {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(known) = caller.known.as_ref().filter(|known| route.access.names(&known.principal)) {
            let standing = known.standing(&*parts.entitlements);
            prepared.say(&REMOTE_USER, &known.user);
            prepared.say(&REMOTE_EMAIL, &known.email);
            prepared.say(&REMOTE_GROUPS, &standing.groups);
            prepared.say(&IDENTITY, &known.identity(&to.name, &standing.plan, &*parts.authenticator, parts.clock.now()));
        }
        prepared
    }
}

impl Caller {
    fn take(&mut self, outcome: Result<Rc<Known>, Unverified>) {
        match outcome {
            Ok(known) => self.known = Some(known),
            Err(Unverified::Auth(AuthError::Unavailable)) => self.unavailable = true,
            Err(Unverified::Auth(AuthError::Invalid | AuthError::Revoked)) => {}
            Err(Unverified::Guessing(wait)) => self.guessing = Some(wait),
        }
    }
}

/// What the app has no use for: somebody's power over their account. What only looks like it goes, too, so that it does not matter
/// whether it has been checked.
fn remove_credentials(headers: &mut http::HeaderMap, bearer_is_ours: bool, parts: &Parts) {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    match (lines.next(), lines.next()) {
        (None, _) => {}
        (Some(_), None) if bearer_is_ours => drop(headers.remove(header::AUTHORIZATION)),
        (Some(_), _) => sign_in::remove_tokens(headers, |token| parts.authenticator.is_own(token)),
    }
    sign_in::remove_cookie(headers, parts.session_cookie);
}

fn find<'a, B>(snapshot: &'a Snapshot, request: &Request<B>, meta: &RequestMeta) -> Result<&'a Route, Box<Problem>> {
    let readings = Readings::of(request.uri().path()).map_err(|err| Problem::of(&problems::AMBIGUOUS_PATH).detail(err.to_string()))?;
    match snapshot.table.find(&meta.host, meta.scheme, request.method(), &readings) {
        Found::Route(route) => Ok(route),
        Found::WrongMethod(allow) => Err(Box::new(Problem::of(&problems::METHOD_NOT_ALLOWED).header(header::ALLOW, allow))),
        Found::Nothing => Err(Box::new(Problem::of(&problems::NO_ROUTE))),
        Found::Ambiguous => Err(Box::new(Problem::of(&problems::AMBIGUOUS_PATH))),
    }
}
