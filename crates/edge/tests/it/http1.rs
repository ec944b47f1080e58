//! One test per rule of HTTP/1, with the bytes an attacker would send.

use crate::rig::{Rig, read_to_end, read_until, statuses};
use tokio::io::AsyncWriteExt as _;

const GOOD: &str = "GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// The request is answered with `status` and the rule's name in the metrics, the connection is closed, and nothing after it is served.
async fn refused(request: impl AsRef<[u8]>, status: u16, rule: &str) {
    let rig = Rig::start();
    let request = request.as_ref();
    let shown = String::from_utf8_lossy(&request[..request.len().min(120)]).into_owned();
    let answer = rig.exchange([request, GOOD.as_bytes()].concat()).await;
    assert_eq!(statuses(&answer), [status], "{shown:?} was answered with {answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.contains("application/problem+json") && answer.contains("\"code\":\"edge."), "{answer}");
    let id = answer.split("x-request-id: ").nth(1).and_then(|rest| rest.split('\r').next()).expect("a request id");
    assert!(answer.contains(&format!("\"instance\":\"{id}\"")), "{answer}");
    assert_eq!(rig.metric(&format!("baluarte_edge_refused_total{{rule=\"{rule}\"}}")), Some(1.0), "{shown:?}: {answer}");
    let lines = rig.log_lines();
    assert_eq!(lines.len(), 1, "{shown:?} is logged once: {lines:?}");
    assert_eq!((lines[0]["status"].as_u64(), lines[0]["refused"].as_str()), (Some(u64::from(status)), Some(rule)), "{shown:?}");
}

async fn accepted(request: impl AsRef<[u8]>) -> String {
    let rig = Rig::start();
    let answer = rig.exchange([request.as_ref(), GOOD.as_bytes()].concat()).await;
    assert_eq!(statuses(&answer), [200, 200], "{:?} was answered with {answer}", String::from_utf8_lossy(request.as_ref()));
    answer
}

fn get(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}
pub(crate) fn post(headers: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}")
}
pub(crate) fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

#[tokio::test]
async fn a_length_and_a_transfer_coding_exclude_each_other() {
    refused(post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400, "length_and_coding").await;
    refused(post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "0\r\n\r\n"), 400, "length_and_coding").await;
}

#[tokio::test]
async fn there_is_one_content_length_and_it_is_a_number() {
    refused(post("Content-Length: 1\r\nContent-Length: 1\r\n", "x"), 400, "length_duplicate").await;
    refused(post("Content-Length: 1\r\nContent-Length: 2\r\n", "xy"), 400, "length_duplicate").await;
    for bad in ["+1", "-1", "0x1", "1, 1", "1 1", "", "1e1", "99999999999999999999", "\u{661}"] {
        refused(post(&format!("Content-Length: {bad}\r\n"), "x"), 400, "length_invalid").await;
    }
    assert!(accepted(post("Content-Length:\t 3 \r\n", "abc")).await.contains("body=abc\n"));
}

#[tokio::test]
async fn the_only_transfer_coding_is_chunked_once_and_last() {
    for bad in ["chunked, identity", "identity", "chunked, chunked", "chunked,", ", chunked", "xchunked", "chunked;q=1", "\"chunked\"", ""]
    {
        refused(post(&format!("Transfer-Encoding: {bad}\r\n"), "0\r\n\r\n"), 400, "coding_invalid").await;
    }
    refused(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400, "coding_invalid").await;
    refused(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), 400, "coding_invalid").await;
    refused(post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501, "coding_unknown").await;
    refused(post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), 400, "control_character").await;
    accepted(post("Transfer-Encoding: CHUNKED\r\n", "1\r\nx\r\n0\r\n\r\n")).await;
}

#[tokio::test]
async fn http_1_0_has_no_transfer_coding() {
    refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "coding_in_1_0").await;
}

#[tokio::test]
async fn lines_end_with_carriage_return_and_line_feed() {
    refused("GET / HTTP/1.1\nHost: a\n\n", 400, "bare_lf").await;
    refused("GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "bare_lf").await;
    refused("GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bare_lf").await;
    refused("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bare_lf").await;
    refused(get("X: a\rb\r\n"), 400, "control_character").await;
    refused(get("X: a\r\r\n"), 400, "control_character").await;
    refused("GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "request_line").await;
}

#[tokio::test]
async fn a_header_stays_on_its_line() {
    refused(get("X: a\r\n b\r\n"), 400, "folded_line").await;
    refused(get("X: a\r\n\tTransfer-Encoding: chunked\r\n"), 400, "folded_line").await;
    refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "folded_line").await;
}

#[tokio::test]
async fn a_header_holds_no_control_characters() {
    for bad in ['\0', '\u{1}', '\u{8}', '\u{b}', '\u{1f}', '\u{7f}'] {
        refused(get(&format!("X: a{bad}b\r\n")), 400, "control_character").await;
    }
    accepted(get("X: tab\tand \u{e9}\r\n")).await;
}

#[tokio::test]
async fn nothing_stands_between_a_name_and_its_colon() {
    refused(get("X : a\r\n"), 400, "space_before_colon").await;
    refused(post("Content-Length : 1\r\n", "x"), 400, "space_before_colon").await;
    refused(post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"), 400, "space_before_colon").await;
}

#[tokio::test]
async fn a_name_is_a_token() {
    for bad in [": a", "X(: a", "X\0: a", "X@Y: a", "\u{e9}: a", "nocolon", "X\"Y: a", "X\u{b}: a"] {
        refused(get(&format!("{bad}\r\n")), 400, "field_name").await;
    }
}

#[tokio::test]
async fn there_is_one_host() {
    refused("GET / HTTP/1.1\r\n\r\n", 400, "host_missing").await;
    refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host_duplicate").await;
    refused("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400, "host_duplicate").await;
}

#[tokio::test]
async fn a_host_is_a_name_or_an_address_with_an_optional_port() {
    let long = "a".repeat(256);
    for bad in [
        "",
        "user@a",
        "user:pw@a",
        "a/b",
        "a b",
        "a,b",
        "a?b",
        "a#b",
        "a:port",
        "a:",
        "a:65536",
        "a:123456",
        "[::1",
        "::1",
        "[::g]",
        "[::1]x",
        "a\\b",
        "a%00",
        "\u{e9}",
        "http://a",
        "a:80:80",
        "a..",
        "a..b",
        ".a",
        long.as_str(),
    ] {
        refused(format!("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n"), 400, "host_invalid").await;
    }
    for good in ["a", "shop.example:8443", "192.0.2.1", "[::1]:80", "[2001:db8::1]", "my_app.local", "xn--caf-dma.example"] {
        let answer = accepted(format!("GET / HTTP/1.1\r\nHost: {good}\r\n\r\n")).await;
        assert!(answer.contains(&format!("\nhost={good}\n")), "{answer}");
    }
}

#[tokio::test]
async fn the_targets_authority_wins_over_the_host() {
    let answer = accepted("GET http://Shop.example:81/a?b HTTP/1.1\r\nHost: other.example\r\n\r\n").await;
    assert!(
        answer.contains("target=/a?b\n") && answer.contains("\nhost=shop.example:81\n") && answer.contains("\nhost: Shop.example:81\n"),
        "{answer}"
    );
    assert!(accepted("GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n").await.contains("target=/?b\n"));
    assert!(accepted("GET HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n").await.contains("target=/\n"));
    refused("GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "host_invalid").await;
    refused("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", 400, "host_invalid").await;
}

#[tokio::test]
async fn connect_and_trace_are_not_for_us() {
    refused("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501, "connect").await;
    refused("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "trace").await;
}

#[tokio::test]
async fn the_asterisk_belongs_to_options() {
    refused("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target_asterisk").await;
}

#[tokio::test]
async fn options_for_the_whole_server_is_answered_by_this_server() {
    let rig = Rig::start();
    let answer = rig.exchange("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(statuses(&answer), [204, 200], "{answer}");
    assert!(answer.contains("\r\nallow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"), "{answer}");
    assert_eq!(answer.matches("target=").count(), 1, "no door was asked: {answer}");
    let line = &rig.log_lines()[0];
    assert_eq!((line["surface"].as_str(), line["path"].as_str(), line["status"].as_u64()), (Some("edge"), Some("*"), Some(204)), "{line}");
}

#[tokio::test]
async fn unknown_methods_are_not_implemented_and_registered_ones_pass() {
    for bad in ["FOO", "get", "REFUSED", "PRI", "G3T", "GETGETGETGETGETGETGETGETGETGETGET"] {
        refused(format!("{bad} / HTTP/1.1\r\nHost: a\r\n\r\n"), 501, "method").await;
    }
    refused("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line").await;
    for good in ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "MKCALENDAR", "QUERY", "REPORT"] {
        assert!(accepted(format!("{good} / HTTP/1.1\r\nHost: a\r\n\r\n")).await.contains(&format!("method={good}\n")));
    }
}

#[tokio::test]
async fn an_endless_method_or_target_is_cut_short_before_its_line_ends() {
    let rig = Rig::start();
    assert_eq!(statuses(&rig.exchange("A".repeat(64)).await), [501]);
    assert_eq!(statuses(&rig.exchange(format!("GET /{}", "a".repeat(9_000))).await), [414]);
    refused(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8_192)), 414, "target_length").await;
}

#[tokio::test]
async fn heads_are_bounded_in_size_and_number() {
    refused(get(&"X: y\r\n".repeat(100)), 431, "field_count").await;
    refused(get(&format!("X: {}\r\n", "y".repeat(16 * 1024))), 431, "field_size").await;
    refused(get(&format!("{}: y\r\n", "n".repeat(257))), 431, "field_size").await;
    refused(get(&format!("X: {}\r\n", "y".repeat(12_000)).repeat(3)), 431, "head_size").await;
    let rig = Rig::start();
    assert_eq!(statuses(&rig.exchange(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(40_000))).await), [431]);
}

#[tokio::test]
async fn a_target_is_printable_ascii_without_a_fragment() {
    for bad in ["/\u{e9}", "/a#b", "/a\u{7f}", "/a\tb", "/<script>", "/a\\b", "/a^b", "/a`b", "/?a#", "/?\"a\""] {
        refused(format!("GET {bad} HTTP/1.1\r\nHost: a\r\n\r\n"), 400, "target_character").await;
    }
    refused("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target").await;
    refused("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target").await;
    accepted("GET /%C3%A9{a}|?q={a|[1]}' HTTP/1.1\r\nHost: a\r\n\r\n").await;
}

#[tokio::test]
async fn the_request_line_has_three_words() {
    for bad in [
        "GET /",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/11",
        "GET / HTTPS/1.1",
    ] {
        let rule = if bad.starts_with(' ') { "not_http" } else { "request_line" };
        refused(format!("{bad}\r\nHost: a\r\n\r\n"), 400, rule).await;
    }
}

#[tokio::test]
async fn only_versions_that_exist_here_are_spoken() {
    for bad in ["HTTP/1.2", "HTTP/2.0", "HTTP/3.0", "HTTP/0.9"] {
        refused(format!("GET / {bad}\r\nHost: a\r\n\r\n"), 505, "version").await;
    }
    let rig = Rig::start();
    assert_eq!(statuses(&rig.exchange("GET / HTTP/1.0\r\n\r\n").await), [200], "HTTP/1.0 needs no Host and closes by itself");
}

#[tokio::test]
async fn what_is_not_http_is_told_so_at_once() {
    // A TLS greeting on a plain port.
    refused(b"\x16\x03\x01\x02\x00\x01\x00\x01", 400, "not_http").await;
    refused("\r\n\r\n\r\n\r\n\r\n", 400, "blank_lines").await;
    accepted("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
}

#[tokio::test]
async fn a_chunks_size_is_plain_hexadecimal() {
    for bad in ["0x1", "+1", "-1", " 1", "1 ", "g", "", "1\t", "fffffffffffffffff", "000000000000001", "1_0"] {
        refused(chunked(&format!("{bad}\r\nx\r\n0\r\n\r\n")), 400, "chunk_size").await;
    }
    refused(chunked("1\rx\r\n0\r\n\r\n"), 400, "chunk_size").await;
    assert!(accepted(chunked("00A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n")).await.contains("body=0123456789x\n"));
}

#[tokio::test]
async fn chunk_lines_end_properly_too() {
    refused(chunked("1\nx\r\n0\r\n\r\n"), 400, "bare_lf").await;
    refused(chunked("1;a\nx\r\n0\r\n\r\n"), 400, "bare_lf").await;
    refused(chunked("1\r\nxy\r\n0\r\n\r\n"), 400, "chunk_end").await;
    refused(chunked("1\r\nx\n0\r\n\r\n"), 400, "chunk_end").await;
    refused(chunked("0\n\r\n"), 400, "bare_lf").await;
}

#[tokio::test]
async fn chunk_extensions_are_well_formed_and_few() {
    for bad in [" ;a", "; a", ";", ";a=", ";a=b c", ";a=\"b", ";=b", ";a=\"b\"c", ";a;", ";\0", ";a=b\u{e9}", ";a=\"\u{1}\"", ";a\rb"] {
        let rule = if bad.starts_with(' ') || bad.contains('\r') { "chunk_size" } else { "chunk_extension" };
        refused(chunked(&format!("1{bad}\r\nx\r\n0\r\n\r\n")), 400, rule).await;
    }
    refused(chunked(&format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(1_100))), 400, "chunk_extension").await;
    refused(chunked(&format!("{}0\r\n\r\n", "1;a=bcdefgh\r\nx\r\n".repeat(200))), 400, "chunk_extension").await;
    accepted(chunked("1;a;b=c;d=\"e \\\" f\"\r\nx\r\n0;z\r\n\r\n")).await;
}

#[tokio::test]
async fn trailers_are_checked_like_headers_and_may_not_frame_or_route() {
    for bad in
        ["Content-Length: 5", "Transfer-Encoding: chunked", "Host: evil", "Authorization: x", "X-Forwarded-For: 1.1.1.1", "Cookie: a=b"]
    {
        refused(chunked(&format!("0\r\n{bad}\r\n\r\n")), 400, "trailer").await;
    }
    refused(chunked("0\r\nX : y\r\n\r\n"), 400, "space_before_colon").await;
    refused(chunked("0\r\n folded\r\n\r\n"), 400, "folded_line").await;
    refused(chunked("0\r\nX: y\n\r\n"), 400, "bare_lf").await;
    refused(chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(40))), 400, "trailer").await;
    refused(chunked(&format!("0\r\nX: {}\r\n\r\n", "y".repeat(9_000))), 400, "trailer").await;
    let answer = accepted(chunked("1\r\nx\r\n0\r\nX-Checksum: 12\r\n\r\n")).await;
    assert!(answer.contains("body=x\n"), "{answer}");
}

#[tokio::test]
async fn the_only_expectation_is_100_continue() {
    refused(post("Expect: 200-maybe\r\nContent-Length: 1\r\n", "x"), 417, "expect").await;
    refused(post("Expect: 100-continue, x\r\nContent-Length: 1\r\n", "x"), 417, "expect").await;
}

#[tokio::test]
async fn a_client_is_told_to_continue_only_when_somebody_reads() {
    let rig = Rig::start();
    let head = "POST /ignore-body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(statuses(&rig.exchange(head).await), [200], "nobody reads: no 100");
    let mut stream = rig.connect().await;
    stream
        .write_all(head.replace("/ignore-body", "/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .expect("sent");
    assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    stream.write_all(b"hello").await.expect("sent");
    assert!(read_to_end(&mut stream).await.contains("body=hello\n"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read_and_while_it_is_read() {
    let rig = Rig::start();
    let announced = rig.exchange("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 65537\r\n\r\n").await;
    assert_eq!(statuses(&announced), [413], "{announced}");
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let over = format!("{}1\r\ny\r\n0\r\n\r\n", chunk.repeat(4));
    let counted = rig.exchange(post("Connection: close\r\nTransfer-Encoding: chunked\r\n", &over)).await;
    assert_eq!(statuses(&counted), [413], "{counted}");
    let exact = rig.exchange(format!("{}{}{GOOD}", chunked(&chunk.repeat(4)), "0\r\n\r\n")).await;
    assert_eq!(statuses(&exact), [200, 200]);
}

#[tokio::test]
async fn requests_before_a_broken_one_are_answered_first() {
    let rig = Rig::start();
    let broken = "GET /2 HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n";
    let answer = rig.exchange(format!("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n{broken}{GOOD}")).await;
    assert_eq!(statuses(&answer), [200, 400], "{answer}");
    assert!(answer.contains("target=/1\n") && !answer.contains("target=/after"));
    let lines = rig.log_lines();
    assert_eq!(lines[1]["path"], "/2");
    assert_eq!(lines[1]["method"], "GET");
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte_and_bodies_in_any_pieces() {
    let rig = Rig::start();
    let requests =
        format!("{}{}{}{GOOD}", get("X: y\r\n"), post("Content-Length: 5\r\n", "hello"), chunked("3\r\nabc\r\n0\r\nT: u\r\n\r\n"));
    for piece in [1, 2, 3, 7, 50] {
        let mut stream = rig.connect().await;
        stream.set_nodelay(true).expect("no delay");
        for bytes in requests.as_bytes().chunks(piece) {
            stream.write_all(bytes).await.expect("sent");
            tokio::task::yield_now().await;
        }
        let answer = read_to_end(&mut stream).await;
        assert_eq!(statuses(&answer), [200; 4], "pieces of {piece}: {answer}");
        assert!(answer.contains("body=hello\n") && answer.contains("body=abc\n"));
    }
}

#[tokio::test]
async fn headers_with_underscores_do_not_reach_applications() {
    let answer = accepted(get("Remote_User: admin\r\nX_Forwarded_For: 1.1.1.1\r\nX-Fine: y\r\n")).await;
    assert!(!answer.contains("remote_user") && !answer.contains("x_forwarded_for") && answer.contains("x-fine: y"), "{answer}");
}

#[tokio::test]
async fn nothing_but_websocket_is_upgraded_to() {
    let answer = accepted(get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")).await;
    assert!(!answer.contains("upgrade: h2c") && !answer.contains("http2-settings:"), "{answer}");
}

#[tokio::test]
async fn after_an_upgrade_the_bytes_are_not_http_any_more() {
    let rig = Rig::start();
    let mut stream = rig.connect().await;
    let ask = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    // The first frame comes with the request, before anybody has agreed.
    stream.write_all(format!("{ask}\0early").as_bytes()).await.expect("sent");
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert_eq!(statuses(&head), [101], "{head}");
    assert_eq!(read_until(&mut stream, "early").await, "\0early");
    stream.write_all(b"GET / HTTP/9.9\n\n\xff\x00end").await.expect("sent");
    assert!(read_until(&mut stream, "end").await.contains("HTTP/9.9"));
}

#[tokio::test]
async fn after_a_declined_upgrade_http_goes_on() {
    let ask = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    accepted(get(ask)).await;
    let rig = Rig::start();
    let answer = rig.exchange(format!("{}GET / HTTP/1.1\r\nX : y\r\n\r\n", get(ask))).await;
    assert_eq!(statuses(&answer), [200, 400], "what follows is checked: {answer}");
}

#[tokio::test]
async fn two_upgrade_headers_ask_for_nothing_and_http_goes_on() {
    for ask in ["Upgrade: h2c\r\nUpgrade: websocket\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n"] {
        let rig = Rig::start();
        let answer = rig.exchange(format!("{}GET / HTTP/1.1\r\nX : y\r\n\r\n", get(&format!("Connection: upgrade\r\n{ask}")))).await;
        assert_eq!(statuses(&answer), [200, 400], "{answer}");
        assert!(!answer.contains("\nupgrade:"), "{answer}");
    }
}

#[tokio::test]
async fn a_broken_request_behind_it_lets_nothing_pass_that_is_removed_otherwise() {
    let rig = Rig::start();
    let first = get("Remote_User: root\r\nConnection: upgrade\r\nUpgrade: h2c\r\n");
    let answer = rig.exchange(format!("{first}GET / HTTP/1.1\r\nX : y\r\n\r\n")).await;
    assert_eq!(statuses(&answer), [200, 400], "{answer}");
    assert!(!answer.contains("root") && !answer.contains("\nupgrade:"), "{answer}");
}

#[tokio::test]
async fn a_refusal_is_a_page_for_browsers_and_has_no_body_for_head() {
    let rig = Rig::start();
    let page = rig.exchange("GET /problem HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nConnection: close\r\n\r\n").await;
    assert_eq!(statuses(&page), [409]);
    assert!(page.contains("text/html") && page.contains("<html"), "{page}");
    let head = rig.exchange("HEAD /problem HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 409 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(rig.log_lines()[1].get("aborted"), None, "an answer without a body is a whole answer");
    let head = rig.exchange("HEAD /# HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 400 ") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn nothing_of_a_refused_head_is_logged_that_may_be_a_secret() {
    let rig = Rig::start();
    for (sent, method, path) in [
        ("Cookie: baluarte=SECRET\r\nHost: a\r\n\r\n", "-", "-"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nemail=bob@example.com&password=SECRET \r\n\r\n", "-", "-"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nAuthorization:SECRET x\r\n\r\n", "-", "-"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nSECRET /SECRET HTTP/1.1\r\n\r\n", "-", "-"),
        ("GET http://bob:SECRET@a/b?token=SECRET HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/b"),
        ("GET http://bob:SECRET@a?token=SECRET HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "-"),
        ("GET bob:SECRET@a/b HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "-"),
        ("CONNECT bob:SECRET@a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT", "-"),
        ("GET /b?token=SECRET HTTP/1.1\r\nHost : a\r\n\r\n", "GET", "/b"),
    ] {
        rig.exchange(sent).await;
        let line = rig.log_lines().pop().expect("a line");
        assert!(line["refused"].is_string() && !line.to_string().contains("SECRET"), "{sent:?} gave {line}");
        assert_eq!((line["method"].as_str(), line["path"].as_str()), (Some(method), Some(path)), "{sent:?}");
        assert_eq!(line["host"], "", "{sent:?}");
    }
}

#[tokio::test]
async fn an_upgrade_that_nobody_waits_for_decides_nothing_about_the_next() {
    let rig = Rig::start();
    for first in [
        "GET /ignore-body HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "GET /ignore-body HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let mut stream = rig.connect().await;
        stream.write_all(first.as_bytes()).await.expect("sent");
        read_until(&mut stream, "ignored").await;
        // The frame comes with the handshake, before it is answered; it looks like nothing that HTTP knows.
        let upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\u{1}frame";
        stream.write_all(upgrade.as_bytes()).await.expect("sent");
        assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 101"), "{first:?}");
        assert_eq!(read_until(&mut stream, "frame").await, "\u{1}frame", "{first:?}");
    }
}

#[tokio::test]
async fn an_upgrade_that_is_refused_early_lets_http_go_on() {
    let rig = Rig::start();
    let mut stream = rig.connect().await;
    let upgrade = "GET /ignore-body HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.expect("sent");
    read_until(&mut stream, "ignored").await;
    stream.write_all(GOOD.as_bytes()).await.expect("sent");
    assert_eq!(statuses(&read_to_end(&mut stream).await), [200]);
}
