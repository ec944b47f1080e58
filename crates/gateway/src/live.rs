//! What goes on after an answer's head on one core (upgraded connections, streams), and for whom: it ends when they have
//! signed out, been disabled or otherwise lost their access, and when the time of their credential has come.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use baluarte_kernel::{AuthError, Authenticator, Clock};
use baluarte_proxy::{Hold, ResponseBody, is_event_stream};
use http::{Response, StatusCode};
use http_body::Body as _;

use crate::credentials::{Credentials, Known};

/// How often revocations are looked for while there is anything to end.
const TICK: Duration = Duration::from_millis(250);

/// Bounded by the upstreams' bounds: what is listed has ended within the last tick or has a place there.
pub(crate) struct Live {
    authenticator: Arc<dyn Authenticator>,
    credentials: Rc<Credentials>,
    clock: Clock,
    open: RefCell<Vec<(Rc<Known>, Hold)>>,
    watched: Cell<bool>,
}

impl Live {
    pub(crate) fn new(authenticator: Arc<dyn Authenticator>, credentials: Rc<Credentials>, clock: Clock) -> Rc<Self> {
        Rc::new(Self { authenticator, credentials, clock, open: RefCell::default(), watched: Cell::new(false) })
    }

    /// The answer to somebody's request. `tunnel` holds the connection if it became an upgraded one.
    pub(crate) fn follow(
        self: &Rc<Self>,
        answer: Response<ResponseBody>,
        known: &Rc<Known>,
        tunnel: Option<Hold>,
    ) -> Response<ResponseBody> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            if let Some(tunnel) = tunnel {
                self.keep(known, tunnel);
            }
            return answer;
        }
        // What says how long it is comes to an end; what does not (events, lines of JSON, a log that is followed) may go on for hours.
        let body = answer.body();
        if body.is_end_stream() || (body.size_hint().exact().is_some() && !is_event_stream(answer.headers())) {
            return answer;
        }
        let (head, body) = answer.into_parts();
        let (body, stream) = body.hold();
        self.keep(known, stream);
        Response::from_parts(head, body)
    }

    fn keep(self: &Rc<Self>, known: &Rc<Known>, hold: Hold) {
        self.open.borrow_mut().push((Rc::clone(known), hold));
        if !self.watched.replace(true) {
            tokio::task::spawn_local(watch(Rc::downgrade(self)));
        }
    }

    /// Lets go of what has ended and of what has to. False: nothing is left.
    fn sweep(&self) -> bool {
        let now = self.clock.now();
        let mut open = self.open.borrow_mut();
        open.retain_mut(|(known, hold)| {
            if hold.is_over() || known.is_revoked(&*self.authenticator) {
                return false;
            }
            if !known.is_over(now) {
                return true;
            }
            match self.credentials.renew(known) {
                Some(Ok(renewed)) => {
                    *known = renewed;
                    true
                }
                Some(Err(AuthError::Invalid | AuthError::Revoked)) => false,
                // While the database is away nobody can sign out, either.
                Some(Err(AuthError::Unavailable)) | None => true,
            }
        });
        if open.is_empty() {
            // A busy hour's room is not kept for ever.
            *open = Vec::new();
        }
        !open.is_empty()
    }
}

async fn watch(live: Weak<Live>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(live) = live.upgrade() else { return };
        if !live.sweep() {
            live.watched.set(false);
            return;
        }
    }
}
