//! The HTTP API as a whole: documented, and closed unless listed as public.

use std::{collections::BTreeSet, fs, path::Path};

use baluarte_testkit::Baluarte;
use http::Method;
use serde_json::Value;

use crate::{bin, scratch::Scratch};

fn committed() -> (String, Value) {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi.json")).unwrap_or_default();
    let document = serde_json::from_str(&text).unwrap_or_default();
    (text, document)
}

/// Method, path, operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten().filter(|(_, operation)| operation.get("responses").is_some()) {
            all.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    all
}

/// `POST /api/v1/…`: whatever does not only read.
pub(crate) fn changing_operations() -> Vec<String> {
    let reads = |method: &str| ["GET", "HEAD", "OPTIONS"].contains(&method);
    operations(&committed().1)
        .into_iter()
        .filter(|(method, ..)| !reads(method))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect()
}

#[test]
fn the_committed_document_is_what_the_code_says() {
    let printed = Scratch::new().run(&["openapi"]).expect(0).stdout;
    assert!(printed == committed().0, "openapi.json is not what the code says any more; run `cargo xtask gen` and commit the result");
}

#[test]
fn every_operation_has_a_summary_a_tag_and_documented_errors() {
    let (_, document) = committed();
    assert_eq!(document["openapi"], "3.1.0");
    let all = operations(&document);
    assert!(all.len() > 10, "only {} operations", all.len());
    for (method, path, operation) in all {
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path} has no summary");
        assert!(operation["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{method} {path} has no tag");
        let responses = operation["responses"].as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        assert!(
            responses.iter().any(|code| code == "default" || code.starts_with(['4', '5'])),
            "{method} {path} documents no refusal: {responses:?}"
        );
    }
}

/// May only shrink: whatever is not listed answers 401 to somebody without a credential.
const PUBLIC: &str = include_str!("public_operations.txt");

#[tokio::test]
async fn an_operation_is_closed_unless_it_is_listed_as_public() {
    let app = Baluarte::builder(bin()).config("[limits.api]\nrate = \"10000/s\"\n[limits.account]\nrate = \"10000/s\"\n[limits.mfa]\nrate = \"10000/s\"\n[limits.login]\nrate = \"10000/s\"\n").start().await;
    let listed: BTreeSet<String> =
        PUBLIC.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect();
    let mut unknown = listed.clone();
    for (method, path, _) in operations(&committed().1) {
        let name = format!("{method} {path}");
        if listed.contains(&name) {
            unknown.remove(&name);
            continue;
        }
        let filled = path.replace(['{', '}'], "");
        let method: Method = method.parse().expect("a method of the document");
        let answer = app.client().send(method, &filled, |request| request.header("content-type", "application/json").body("{}")).await;
        assert_eq!(answer.status, 401, "{name} answers {} to somebody without a credential: {}", answer.status, answer.text());
    }
    assert!(unknown.is_empty(), "listed as public, and not there any more: {unknown:?}");
}
