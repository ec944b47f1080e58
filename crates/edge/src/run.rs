//! The threads: one per core, each with a runtime, a listener and a door of its own.

use std::{
    cell::Cell,
    io,
    net::IpAddr,
    rc::Rc,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use baluarte_kernel::Clock;
use baluarte_telemetry::Telemetry;
use bytes::BytesMut;
use http::HeaderValue;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::Instant,
};

use crate::{
    EdgeConfig, EdgeError, Options, connection,
    core::{Buffers, Core, Peer},
    door::{Door, Doors},
    http1::HeadLimits,
    listener::{Admission, Place},
    proxy_protocol::{self, Beginning, Complaints, ProxyProtocol, Refusal},
    request_id::RequestIds,
    service,
    stats::Stats,
    tls,
    wire::{Order, Patience, Phase, Wire, Wires},
};

/// After accepting failed, usually for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two complaints about that.
const SILENCE: Duration = Duration::from_secs(5);
/// How often a stopping core looks whether its connections are gone.
const STOP_LOOK: Duration = Duration::from_millis(20);
/// For connections that are no longer HTTP: whoever serves them says goodbye.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long sent bytes may stay unacknowledged. Longer than a phone's way through a tunnel.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// So many clients that are turned away are heard out at a time, for so long, and so many bytes each.
const TURNED_AWAY: usize = 64;
const LAST_WORDS: Duration = Duration::from_millis(500);
const UNHEARD: usize = 16 * 1_024;
const OVERLOADED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 5\r\nconnection: close\r\n\r\n";

/// What every core is made from.
pub(crate) struct Plan<D> {
    pub(crate) options: Arc<Options>,
    pub(crate) config: EdgeConfig,
    pub(crate) doors: Arc<D>,
    pub(crate) telemetry: Telemetry,
    pub(crate) admission: Arc<Admission>,
}

/// Starts a thread that serves `listener` until `stop` turns true, or is dropped (then at once).
pub(crate) fn start<D: Doors>(
    plan: Arc<Plan<D>>,
    number: usize,
    listener: std::net::TcpListener,
    stop: watch::Receiver<bool>,
) -> Result<(), EdgeError> {
    let (up, is_up) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name(format!("edge-{number}"))
        .spawn(move || run(&plan, number, listener, stop, &up))
        .map_err(EdgeError::Thread)?;
    is_up.recv().unwrap_or_else(|_| Err(io::Error::other("its thread ended"))).map_err(EdgeError::Thread)
}

/// A `LocalRuntime` cannot move between threads, so it is built where it runs.
fn run<D: Doors>(
    plan: &Plan<D>,
    number: usize,
    listener: std::net::TcpListener,
    mut stop: watch::Receiver<bool>,
    up: &mpsc::SyncSender<io::Result<()>>,
) {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build_local(tokio::runtime::LocalOptions::default());
    let runtime = match built {
        Ok(runtime) => runtime,
        Err(err) => return drop(up.send(Err(err))),
    };
    // Whoever started this thread waits for it.
    drop(up.send(Ok(())));
    if let Err(err) = runtime.block_on(core(plan, number, listener, &mut stop)) {
        tracing::error!(target: "edge", error = %err, core = number, "a core cannot serve");
    }
    // Whatever still runs ends here, before dropping `stop` tells that this core has ended.
    drop(runtime);
}

async fn core<D: Doors>(
    plan: &Plan<D>,
    number: usize,
    listener: std::net::TcpListener,
    stop: &mut watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let config = &plan.config;
    let patience = Patience::new(config, plan.options.request_timeout);
    let wires = Wires::new(patience, Arc::clone(&plan.admission));
    let core = Rc::new(Core {
        options: Arc::clone(&plan.options),
        limits: HeadLimits {
            target: usize::try_from(config.max_target.get()).unwrap_or(usize::MAX),
            head: usize::try_from(config.max_head.get()).unwrap_or(usize::MAX),
            headers: config.max_headers,
        },
        patience,
        keep_underscores: config.underscore_headers,
        transport_security: HeaderValue::from_str(&config.strict_transport_security).ok().filter(|value| !value.is_empty()),
        max_streams: config.max_streams,
        body_pause: config.body_timeout.get(),
        header_timeout: config.header_timeout.get(),
        wires: Rc::clone(&wires),
        ids: RequestIds::new(),
        stats: Stats::new(&plan.telemetry.metrics),
        access: plan.telemetry.access_log(),
        complaints: Complaints::default(),
        buffers: Buffers::new(),
        turned_away: Cell::new(0),
        clock: Clock::System,
    });
    let door = Rc::new(plan.doors.open(number));
    let sweeping = Rc::clone(&wires);
    tokio::task::spawn_local(async move { sweeping.sweep().await });

    let mut said = None;
    let graceful = loop {
        tokio::select! {
            biased;
            changed = stop.changed() => break changed.is_ok(),
            accepted = listener.accept() => match accepted {
                Ok((socket, address)) => admit(&core, &door, &plan.admission, socket, address.ip()),
                Err(err) if is_about_one_connection(&err) => {}
                Err(err) => {
                    if said.is_none_or(|said: Instant| said.elapsed() > SILENCE) {
                        tracing::error!(target: "edge", error = %err, "cannot accept connections; trying again");
                        said = Some(Instant::now());
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    };
    drop(listener);
    if graceful {
        finish(&wires, plan.options.shutdown_grace).await;
    } else {
        wires.command_all(Order::Cut);
    }
    Ok(())
}

fn admit<D: Door>(core: &Rc<Core>, door: &Rc<D>, admission: &Arc<Admission>, socket: TcpStream, ip: IpAddr) {
    core.stats.connections.add(1);
    let peer = service::peer(ip, &core.options.trusted_proxies);
    let mode = core.options.proxy_protocol;
    if mode == ProxyProtocol::Required && !peer.trusted && !is_this_machine(&socket, peer.ip) {
        core.complaints.about(&core.stats, proxy_protocol::UNTRUSTED, peer.ip);
        return;
    }
    let Some(place) = enter(core, admission, peer) else { return turn_away(core, socket) };
    // Answers are written whole: waiting for more would only delay them.
    let _ = socket.set_nodelay(true);
    // Clients that vanished, or whose window stays shut, are given up by the kernel even when nothing is being written.
    let _ = SockRef::from(&socket).set_keepalive(true);
    let _ = SockRef::from(&socket).set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let (core, door) = (Rc::clone(core), Rc::clone(door));
    if mode == ProxyProtocol::Off || !peer.trusted {
        let seat = Seat::take(&core.wires, place);
        tokio::task::spawn_local(async move {
            let wire = Arc::clone(&seat.wire);
            connection::serve(core, door, tls::accept(socket), BytesMut::new(), wire, peer).await;
            drop(seat);
        });
    } else {
        let admission = Arc::clone(admission);
        tokio::task::spawn_local(async move {
            let Some((first, place, peer, socket)) = introduce(&core, &admission, socket, place, peer).await else { return };
            let seat = Seat::take(&core.wires, place);
            let wire = Arc::clone(&seat.wire);
            // Boxed, like the requests: a task is as large as the largest of its steps.
            Box::pin(connection::serve(core, door, tls::accept(socket), first, wire, peer)).await;
            drop(seat);
        });
    }
}

/// A connection among those of its core, until its task ends, however it ends.
struct Seat {
    wires: Rc<Wires>,
    slot: usize,
    wire: Arc<Wire>,
}

impl Seat {
    fn take(wires: &Rc<Wires>, place: Place) -> Self {
        let (slot, wire) = wires.add(place);
        Self { wires: Rc::clone(wires), slot, wire }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Whatever panicked took the socket with it, unless another task has it, which closes the wire itself.
        if thread::panicking() && self.wire.phase() != Phase::Open {
            self.wire.close();
        }
        self.wires.remove(self.slot);
    }
}

fn enter(core: &Core, admission: &Admission, peer: Peer) -> Option<Place> {
    let entered = admission.enter(peer.ip, peer.trusted);
    if let Err(limit) = entered {
        core.stats.refused_by(limit);
    }
    entered.ok()
}

/// Tells a client for which there is no place to come back.
fn turn_away(core: &Rc<Core>, mut socket: TcpStream) {
    let told = core.turned_away.get();
    if told >= TURNED_AWAY {
        // If the socket takes it at once, and the client has said nothing yet.
        drop(SockRef::from(&socket).send(OVERLOADED));
        return;
    }
    core.turned_away.set(told + 1);
    let core = Rc::clone(core);
    tokio::task::spawn_local(async move {
        let telling = async {
            socket.write_all(OVERLOADED).await?;
            socket.shutdown().await?;
            // Closing with something unread would throw the answer away.
            let (mut unheard, mut chunk) = (UNHEARD, [0; 1_024]);
            while unheard > 0 {
                match socket.read(&mut chunk).await? {
                    0 => break,
                    count => unheard = unheard.saturating_sub(count),
                }
            }
            io::Result::Ok(())
        };
        drop(tokio::time::timeout(LAST_WORDS, telling).await);
        core.turned_away.set(core.turned_away.get() - 1);
    });
}

/// Lets a trusted `peer` say for whom it speaks; whoever that is needs a place of its own.
async fn introduce(
    core: &Rc<Core>,
    admission: &Admission,
    mut socket: TcpStream,
    place: Place,
    peer: Peer,
) -> Option<(BytesMut, Place, Peer, TcpStream)> {
    let required = core.options.proxy_protocol == ProxyProtocol::Required;
    let received = proxy_protocol::receive(&mut socket, required, core.header_timeout).await;
    let refusal = match received {
        Ok(Beginning { told: None, rest }) => return Some((rest, place, peer, socket)),
        Ok(Beginning { told: Some(told), rest }) => {
            admission.leave(place);
            let client = service::told(told, peer, &core.options.trusted_proxies);
            return match enter(core, admission, client) {
                Some(place) => Some((rest, place, client, socket)),
                None => {
                    turn_away(core, socket);
                    None
                }
            };
        }
        Err(refusal) => refusal,
    };
    admission.leave(place);
    if let Refusal::Rule(rule) = refusal {
        core.complaints.about(&core.stats, rule, peer.ip);
    }
    None
}

/// Who connects from the very address it connects to: health checks come from here, without a load balancer.
fn is_this_machine(socket: &TcpStream, peer: IpAddr) -> bool {
    socket.local_addr().is_ok_and(|local| local.ip().to_canonical() == peer)
}

fn is_about_one_connection(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused)
}

/// Lets requests end within `grace`, and what is no longer HTTP for a moment longer than those.
async fn finish(wires: &Wires, grace: Duration) {
    let deadline = Instant::now() + grace;
    wires.command_all(Order::Finish);
    let mut farewell = None;
    loop {
        let (http, open) = wires.count();
        let now = Instant::now();
        let farewell = (http == 0).then(|| *farewell.get_or_insert(now + FAREWELL));
        if (http == 0 && open == 0) || now >= deadline || farewell.is_some_and(|farewell| now >= farewell) {
            break;
        }
        tokio::time::sleep(STOP_LOOK).await;
    }
    wires.command_all(Order::Cut);
    // One turn for the connections to see it.
    tokio::task::yield_now().await;
}
