//! As much of an HTTP client as setting up a measurement needs.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// One request on a connection of its own: status and body.
pub(crate) fn request(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<(u16, String)> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    connection.write_all(text.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status in the answer")?;
    Ok((status, body.to_owned()))
}

/// Signs in; the access token.
pub(crate) fn sign_in(port: u16, email: &str, password: &str) -> Result<String> {
    let (status, text) = attempt_sign_in(port, email, password)?;
    if status != 200 {
        bail!("signing in: {status} {text}");
    }
    // The body may be chunked; the object is what lies between the outer braces.
    let object = text.find('{').zip(text.rfind('}')).map_or("", |(start, end)| &text[start..=end]);
    let answer: Value = serde_json::from_str(object).context("sign-in did not answer with JSON")?;
    answer["access_token"].as_str().map(str::to_owned).context("no access token in the answer")
}

/// Signs in, or does not: status and body.
pub(crate) fn attempt_sign_in(port: u16, email: &str, password: &str) -> Result<(u16, String)> {
    let body = json!({ "email": email, "password": password }).to_string();
    request(port, "POST", "/api/v1/auth/login", &[("Content-Type", "application/json")], &body)
}
