//! The test tools themselves.

use baluarte_testkit::{Client, Gate, Upstream, WebSocket};
use http::Method;

#[tokio::test]
async fn an_upstream_tells_what_it_was_sent() {
    let upstream = Upstream::start().await;
    let client = Client::new(&upstream.url()).with_header("x-colour", "blue");
    let answer = client.send(Method::PUT, "/things/7?full=1", |request| request.body("hello")).await.expect_status(200).json();
    assert_eq!((answer["method"].as_str(), answer["target"].as_str()), (Some("PUT"), Some("/things/7?full=1")));
    assert_eq!((upstream.last().header("x-colour"), upstream.last().body.as_ref()), (Some("blue"), b"hello".as_slice()));
}

#[tokio::test]
async fn a_stream_arrives_chunk_by_chunk() {
    let upstream = Upstream::start().await;
    let mut response = Client::new(&upstream.url()).stream("/stream?chunks=3&size=2&every=1").await.expect("it answers");
    let mut all = Vec::new();
    while let Some(chunk) = response.chunk().await.expect("the stream goes on") {
        all.extend_from_slice(&chunk);
    }
    assert_eq!(all, b"aabbcc");
}

#[tokio::test]
async fn a_websocket_gets_back_what_it_sends() {
    let upstream = Upstream::start().await;
    let mut socket = WebSocket::connect(&format!("{}/ws", upstream.url()), &[]).await.expect("it switches protocols");
    let long = "x".repeat(70_000);
    for text in ["hello", &long] {
        socket.send(text).await;
        assert_eq!(socket.receive().await.as_deref(), Some(text));
    }
    socket.close().await;
}

#[tokio::test]
async fn a_closed_gate_cuts_what_is_open_and_refuses_what_is_new_until_it_opens_again() {
    let upstream = Upstream::start().await;
    let gate = Gate::to_url(&upstream.url()).await;
    let client = Client::new(&gate.through(&upstream.url()));
    let mut socket = WebSocket::connect(&format!("{}/ws", gate.through(&upstream.url())), &[]).await.expect("it switches protocols");
    client.get("/").await.expect_status(200);

    gate.close();
    assert_eq!(socket.receive().await, None);
    assert!(client.try_get("/").await.is_err());

    gate.reopen().await;
    client.get("/").await.expect_status(200);
}
