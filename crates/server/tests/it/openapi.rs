//! The OpenAPI document, as programs that generate clients read it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{outside::python, scratch::Scratch};

fn document(site: &Scratch) -> Value {
    let text = site.run(&["openapi"]).expect(0).stdout;
    serde_json::from_str(&text).expect("JSON")
}

/// Method, path, operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().expect("an object");
    paths
        .iter()
        .flat_map(|(path, item)| item.as_object().expect("an object").iter().map(move |(method, op)| (method.as_str(), path.as_str(), op)))
        .filter(|(_, _, operation)| operation.get("responses").is_some())
        .collect()
}

#[test]
fn every_operation_says_what_it_answers_who_may_ask_and_where_it_belongs() {
    let document = document(&Scratch::new());
    let tags: BTreeSet<&str> = document["tags"].as_array().expect("a list").iter().filter_map(|tag| tag["name"].as_str()).collect();
    let mut ids = BTreeSet::new();
    let mut used = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        for (status, answer) in operation["responses"].as_object().expect("an object") {
            assert!(answer["description"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}: {status} has no description");
        }
        assert!(operation["security"].is_array(), "{method} {path} does not say whether it needs credentials");
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        assert!(tags.contains(tag), "{method} {path}: the tag {tag:?} is not declared");
        used.insert(tag);
        assert!(ids.insert(operation["operationId"].as_str().unwrap_or_default()), "{method} {path}: the id is used twice");
    }
    assert_eq!(used, tags);
    for path in ["/healthz", "/readyz", "/health", "/health/deep"] {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
    }
}

#[test]
fn a_request_body_names_every_field_it_may_have() {
    let document = document(&Scratch::new());
    for (method, path, operation) in operations(&document) {
        let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") else { continue };
        // What a provider calls us with is the provider's to shape.
        // A body that may be absent is one of two.
        let choices = schema["oneOf"].as_array().into_iter().flatten();
        let Some(name) = std::iter::once(schema).chain(choices).find_map(|schema| schema["$ref"].as_str()) else {
            assert!(path.contains("/callbacks/"), "{method} {path}: a body without a name");
            continue;
        };
        let body = &document["components"]["schemas"][name.rsplit('/').next().unwrap_or_default()];
        assert_eq!(body["additionalProperties"], false, "{method} {path}: {name} lacks #[serde(deny_unknown_fields)]");
    }
}

#[test]
fn the_document_is_openapi_3_1_by_the_word_of_a_validator() {
    let site = Scratch::new();
    let text = site.run(&["openapi"]).expect(0).stdout;
    let site = site.file("openapi.json", &text);
    let checked = python("openapi-spec-validator").arg(site.path("openapi.json")).output().expect("installed");
    assert!(checked.status.success(), "{}{}", String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
}
