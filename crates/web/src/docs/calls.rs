//! How programs call an operation, with nothing but what comes with their language.

use super::operation::{Body, Call};

/// What a call needs to know.
pub(super) struct Request<'a> {
    pub(super) server: &'a str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) signed_in: bool,
    pub(super) body: Option<&'a Body>,
}

/// In curl, Python and JavaScript. The token comes from the variable `TOKEN` of the environment.
pub(super) fn of(request: &Request<'_>) -> Vec<Call> {
    [("curl", curl(request)), ("Python", python(request)), ("JavaScript", javascript(request))]
        .into_iter()
        .map(|(language, code)| Call { language, code })
        .collect()
}

fn curl(Request { server, method, path, signed_in, body }: &Request<'_>) -> String {
    let mut command = format!("curl -X {method} '{server}{path}'");
    if *signed_in {
        command.push_str(" \\\n  -H \"Authorization: Bearer $TOKEN\"");
    }
    if let Some(body) = body {
        // A quote inside single quotes: close, escape, open again.
        let data = body.example.replace('\'', r"'\''");
        command.push_str(&format!(" \\\n  -H 'Content-Type: {}' \\\n  -d '{data}'", body.media_type));
    }
    command
}

fn python(Request { server, method, path, signed_in, body }: &Request<'_>) -> String {
    let mut code = String::new();
    if *signed_in {
        code.push_str("import os\n");
    }
    code.push_str("import urllib.request\n\n");
    let mut headers = Vec::new();
    if *signed_in {
        headers.push("\"Authorization\": f\"Bearer {os.environ['TOKEN']}\"".to_owned());
    }
    let mut arguments = format!("\n    \"{server}{path}\",\n    method=\"{method}\",");
    if let Some(body) = body {
        headers.push(format!("\"Content-Type\": \"{}\"", body.media_type));
        // JSON's escapes are Python's: a string of this kind is read as it is written.
        code.push_str(&format!("body = {}\n", quoted(&body.example)));
        arguments.push_str("\n    data=body.encode(),");
    }
    if !headers.is_empty() {
        arguments.push_str(&format!("\n    headers={{{}}},", headers.join(", ")));
    }
    code.push_str(&format!("request = urllib.request.Request({arguments}\n)\n"));
    code.push_str("with urllib.request.urlopen(request) as answer:\n    print(answer.status, answer.read().decode())\n");
    code
}

fn javascript(Request { server, method, path, signed_in, body }: &Request<'_>) -> String {
    let mut headers = Vec::new();
    if *signed_in {
        headers.push("Authorization: `Bearer ${process.env.TOKEN}`".to_owned());
    }
    let mut options = format!("\n  method: '{method}',");
    if let Some(body) = body {
        headers.push(format!("'Content-Type': '{}'", body.media_type));
    }
    if !headers.is_empty() {
        options.push_str(&format!("\n  headers: {{ {} }},", headers.join(", ")));
    }
    if let Some(body) = body {
        // JSON is JavaScript.
        let shown = if body.media_type.contains("json") {
            format!("JSON.stringify({})", body.example.replace('\n', "\n  "))
        } else {
            quoted(&body.example)
        };
        options.push_str(&format!("\n  body: {shown},"));
    }
    format!("const answer = await fetch('{server}{path}', {{{options}\n}});\nconsole.log(answer.status, await answer.text());\n")
}

/// As a string literal that Python and JavaScript both read.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
