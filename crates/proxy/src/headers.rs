//! Header hygiene in both directions: what concerns one connection only, what a client may not claim, and what we add.

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
};

use baluarte_kernel::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header, uri::PathAndQuery};
use http_body::Body;
use hyper::upgrade::OnUpgrade;

use crate::{
    RequestBody,
    hold::{Hold, LetGo},
    recycle::blank_lines,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Where a request came from, for `X-Forwarded-*` and `Forwarded`.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    pub client_ip: IpAddr,
    /// The connected peer, if its own `X-Forwarded-For` and `Forwarded` may be believed.
    pub trusted_peer: Option<IpAddr>,
    pub scheme: Scheme,
    pub host: &'a str,
}

/// A request that is fit to be forwarded: what [`prepare`] found out and took off.
pub struct Prepared {
    pub(crate) upgrade: Option<Upgrade>,
    /// Header lines that are sent besides the request's own: writing them costs a fraction of putting them into its map first.
    pub(crate) lines: Vec<u8>,
}

pub(crate) struct Upgrade {
    pub(crate) client: OnUpgrade,
    pub(crate) let_go: Option<LetGo>,
}

impl Prepared {
    /// Sends this header, too. Only for names that [`prepare`] took off the request.
    pub fn say(&mut self, name: &HeaderName, value: &HeaderValue) {
        push_line(&mut self.lines, name, value.as_bytes());
    }

    /// If the client asks for another protocol: what ends the upgraded connection when dropped.
    pub fn hold(&mut self) -> Option<Hold> {
        let upgrade = self.upgrade.as_mut()?;
        let (hold, let_go) = Hold::new();
        upgrade.let_go = Some(let_go);
        Some(hold)
    }
}

/// Server-sent events: an answer that goes on as long as both sides like.
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    const KIND: &[u8] = b"text/event-stream";
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.as_bytes().get(..KIND.len()));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(KIND))
}

/// Takes off what concerns the client's connection only, what `is_private` names (in any spelling that an app's gateway
/// interface may fold into the same variable: `Remote_User`, `Remote.User`), and what a client may not claim about the way it
/// came; then says where it came from. What the caller sets afterwards goes to the upstream as it is.
pub fn prepare(request: &mut Request<RequestBody>, origin: &Origin<'_>, is_private: impl Fn(&str) -> bool) -> Prepared {
    let switches = request.version() == Version::HTTP_11 && request.body().is_end_stream() && asks_for_upgrade(request.headers());
    let upgrade = switches.then(|| Upgrade { client: hyper::upgrade::on(&mut *request), let_go: None });
    let protocol = if switches { request.headers().get(header::UPGRADE).cloned() } else { None };
    let chain = origin.trusted_peer.map(|peer| chain(request.headers(), origin.client_ip, peer));
    let is_unwanted = |name: &str| is_claim(name, origin.trusted_peer.is_some()) || is_private(name);
    let wants_trailers = clean(request.headers_mut(), |name| is_unwanted(&folded(name)));
    if request.headers().contains_key(header::TRAILER) {
        announce_trailers(request.headers_mut(), is_unwanted);
    }

    let headers = request.headers_mut();
    if wants_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    if let Some(protocol) = protocol {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
    join_cookies(headers);
    let lines = say_origin(headers, origin, chain.as_deref());

    *request.version_mut() = Version::HTTP_11;
    if request.uri().scheme().is_some() || request.uri().authority().is_some() {
        let target = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = target.into();
    }
    Prepared { upgrade, lines }
}

pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE)
}

/// Whatever claims to know the way a request came, or which address it had before.
fn is_claim(name: &str, from_trusted_peer: bool) -> bool {
    match name {
        "forwarded" | "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" => true,
        // Some frameworks route by these instead of the request line, which would go around the route's access rule.
        "x-original-url" | "x-rewrite-url" | "x-original-uri" => true,
        // CGI programs take it for the variable that names their own proxy.
        "proxy" => true,
        "x-real-ip" | "x-client-ip" | "x-cluster-client-ip" | "true-client-ip" | "client-ip" => !from_trusted_peer,
        "cf-connecting-ip" | "cf-connecting-ipv6" | "cf-pseudo-ipv4" | "fastly-client-ip" | "fly-client-ip" => !from_trusted_peer,
        "x-envoy-external-address" | "x-proxyuser-ip" | "x-original-forwarded-for" | "x-forwarded" => !from_trusted_peer,
        _ => !from_trusted_peer && name.starts_with("x-forwarded-"),
    }
}

pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            // hyper asks the client for its body as soon as we read it, which is when the upstream gets it.
            | "expect"
    )
}

/// One walk over the names; removals only where there is something to remove. True: the client can take trailers.
fn clean(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) -> bool {
    let mut unwanted: Vec<HeaderName> = Vec::new();
    let mut connection = false;
    let mut te = false;
    let mut length = false;
    for name in headers.keys() {
        let text = name.as_str();
        connection |= text == "connection";
        te |= text == "te";
        length |= text == "content-length";
        if is_hop_by_hop(text) || is_unwanted(text) {
            unwanted.push(name.clone());
        }
    }
    if length {
        without_leading_zeros(headers);
    }
    let wants_trailers = te && has_token(headers, &header::TE, "trailers");
    if connection {
        // Nearly every connection says one of these two, and neither names a header.
        for value in headers.get_all(header::CONNECTION).iter().filter(|value| *value != "keep-alive" && *value != "close") {
            unwanted.extend(tokens(value).filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok()));
        }
    }
    for name in unwanted {
        headers.remove(name);
    }
    wants_trailers
}

/// `007` is a length as good as `7`, but some apps read the former as octal.
fn without_leading_zeros(headers: &mut HeaderMap) {
    let Some(stated) = headers.get(header::CONTENT_LENGTH).filter(|stated| matches!(stated.as_bytes(), [b'0', _, ..])) else { return };
    let zeros = stated.as_bytes()[..stated.len() - 1].iter().take_while(|digit| **digit == b'0').count();
    if let Ok(plain) = HeaderValue::from_bytes(&stated.as_bytes()[zeros..]) {
        headers.insert(header::CONTENT_LENGTH, plain);
    }
}

/// What may not come as a header may not come as a trailer either, since some apps make no difference. Only trailers that
/// were announced are sent on.
fn announce_trailers(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) {
    let announced = headers.get_all(header::TRAILER).iter();
    let allowed: Vec<&str> = announced
        .flat_map(tokens)
        .filter(|token| {
            let name = folded(&token.to_ascii_lowercase()).into_owned();
            !is_hop_by_hop(&name) && !is_unwanted(&name)
        })
        .collect();
    let allowed = HeaderValue::from_str(&allowed.join(", ")).ok().filter(|value| !value.is_empty());
    match allowed {
        Some(allowed) => drop(headers.insert(header::TRAILER, allowed)),
        None => drop(headers.remove(header::TRAILER)),
    }
}

/// The name as a CGI-like interface would see it: `Remote_User` and `Remote.User` become the variable of `Remote-User`.
fn folded(name: &str) -> std::borrow::Cow<'_, str> {
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return name.into();
    }
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>().into()
}

fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|protocol| {
        // HTTP/2 inside an upgraded connection would pass every rule by.
        let protocol = protocol.as_bytes();
        !protocol.is_empty() && !protocol.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"h2c")) && !protocol.contains(&b',')
    }) && has_token(headers, &header::CONNECTION, "upgrade")
}

fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    headers.get_all(name).iter().flat_map(tokens).any(|token| {
        let token = token.split(';').next().unwrap_or_default().trim();
        token.eq_ignore_ascii_case(wanted)
    })
}

pub(crate) fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

/// HTTP/2 clients may send one `Cookie` field per cookie (RFC 9113, 8.2.3); HTTP/1.1 knows one field only.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let all: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// `X-Forwarded-For` as it goes on from a trusted peer: what that peer vouches for (from the client's address on), and the peer.
fn chain(headers: &HeaderMap, client: IpAddr, peer: IpAddr) -> Vec<IpAddr> {
    let came: Vec<IpAddr> = headers.get_all(&X_FORWARDED_FOR).iter().flat_map(tokens).filter_map(address).collect();
    let known = came.iter().rposition(|ip| *ip == client).map_or(&[][..], |at| &came[at..]);
    let mut chain = if known.is_empty() { vec![client] } else { known.to_vec() };
    if chain != [peer] {
        chain.push(peer);
    }
    chain
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`
fn address(text: &str) -> Option<IpAddr> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| text.trim_matches(['[', ']']).parse().ok())
}

/// The lines of `X-Forwarded-*` and `Forwarded`. Every request comes through here, and formatting macros cost a dozen times what
/// this does.
fn say_origin(headers: &mut HeaderMap, origin: &Origin<'_>, chain: Option<&[IpAddr]>) -> Vec<u8> {
    let same = headers.get(header::HOST).is_some_and(|host| host.as_bytes() == origin.host.as_bytes());
    // In a line of its own, or in quotes, nothing can come of what is left.
    let host = Some(origin.host).filter(|host| !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic()));
    if !same && let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
        headers.insert(header::HOST, host);
    }
    let client = [origin.client_ip];
    let chain = chain.unwrap_or(&client);

    let mut lines = blank_lines();
    lines.extend_from_slice(b"x-forwarded-for: ");
    for (n, ip) in chain.iter().enumerate() {
        lines.extend_from_slice(if n == 0 { b"" } else { b", " });
        push_ip(&mut lines, *ip);
    }
    lines.extend_from_slice(b"\r\nforwarded: ");
    for (n, ip) in chain.iter().enumerate() {
        lines.extend_from_slice(if n == 0 { b"for=" } else { b", for=" });
        lines.extend_from_slice(if ip.is_ipv6() { b"\"[" } else { b"" });
        push_ip(&mut lines, *ip);
        lines.extend_from_slice(if ip.is_ipv6() { b"]\"" } else { b"" });
        if n == 0 {
            if let Some(host) = host.filter(|host| !host.contains(['"', '\\'])) {
                lines.extend_from_slice(b";host=\"");
                lines.extend_from_slice(host.as_bytes());
                lines.push(b'"');
            }
            lines.extend_from_slice(b";proto=");
            lines.extend_from_slice(origin.scheme.as_str().as_bytes());
        }
    }
    lines.extend_from_slice(b"\r\n");
    push_line(&mut lines, &X_FORWARDED_PROTO, origin.scheme.as_str().as_bytes());
    if let Some(host) = host {
        push_line(&mut lines, &X_FORWARDED_HOST, host.as_bytes());
    }
    lines
}

pub(crate) fn push_line(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    // One check of the room instead of four.
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn push_ip(line: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            let mut digits = itoa::Buffer::new();
            for (n, octet) in v4.octets().into_iter().enumerate() {
                line.extend_from_slice(if n == 0 { b"" } else { b"." });
                line.extend_from_slice(digits.format(octet).as_bytes());
            }
        }
        IpAddr::V6(v6) => {
            // Writing to memory cannot fail.
            let _ = write!(line, "{v6}");
        }
    }
}
