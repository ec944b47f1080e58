//! One operation as the reference shows it.

use serde_json::Value;

use super::{
    calls,
    schema::{Property, example, kind, properties, resolve},
};

#[derive(Debug)]
pub(super) struct Operation {
    /// Unique in the document; the fragment that links to it.
    pub(super) id: String,
    pub(super) tag: String,
    /// Upper case.
    pub(super) method: String,
    pub(super) path: String,
    pub(super) summary: String,
    pub(super) description: String,
    pub(super) signed_in: bool,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    /// How to call it, language by language.
    pub(super) calls: Vec<Call>,
}

/// The operation as a program in one language calls it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) language: &'static str,
    pub(super) code: String,
}

#[derive(Debug)]
pub(super) struct Parameter {
    /// `path`, `query` or `header`.
    pub(super) place: String,
    pub(super) what: Property,
}

#[derive(Debug)]
pub(super) struct Body {
    pub(super) media_type: String,
    pub(super) properties: Vec<Property>,
    pub(super) example: String,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: String,
    pub(super) description: String,
    /// Empty for an answer without a body.
    pub(super) example: String,
}

/// Every operation, in the document's order. Those marked `x-internal` are nobody's business.
pub(super) fn all(document: &Value, server: &str) -> Vec<Operation> {
    const METHODS: [&str; 8] = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    paths
        .flat_map(|(path, item)| METHODS.iter().filter_map(move |method| Some((path, *method, item.get(method)?))))
        .filter(|(_, _, operation)| operation.get("x-internal") != Some(&Value::Bool(true)))
        .map(|(path, method, operation)| Operation::new(document, server, path, method, operation))
        .collect()
}

impl Operation {
    fn new(document: &Value, server: &str, path: &str, method: &str, operation: &Value) -> Self {
        let text = |key: &str| operation.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let method = method.to_uppercase();
        let security = operation.get("security").or_else(|| document.get("security")).and_then(Value::as_array);
        // An empty requirement among others means: also without.
        let signed_in =
            security.is_some_and(|all| !all.is_empty() && all.iter().all(|one| one.as_object().is_some_and(|one| !one.is_empty())));
        let body = body(document, operation);
        let id = match text("operationId") {
            id if id.is_empty() => format!("{method}-{path}").to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
            id => id,
        };
        Self {
            calls: calls::of(&calls::Request { server, method: &method, path, signed_in, body: body.as_ref() }),
            tag: operation.pointer("/tags/0").and_then(Value::as_str).unwrap_or("other").to_owned(),
            summary: text("summary"),
            description: text("description"),
            signed_in,
            parameters: parameters(document, operation),
            answers: answers(document, operation),
            body,
            id,
            method,
            path: path.to_owned(),
        }
    }
}

fn parameters(document: &Value, operation: &Value) -> Vec<Parameter> {
    let all = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    all.map(|parameter| {
        let parameter = resolve(document, parameter);
        let text = |key: &str| parameter.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let what = Property {
            name: text("name"),
            kind: parameter.get("schema").map_or_else(|| "string".to_owned(), |schema| kind(document, schema)),
            required: parameter.get("required") == Some(&Value::Bool(true)),
            description: text("description"),
        };
        Parameter { place: text("in"), what }
    })
    .collect()
}

fn body(document: &Value, operation: &Value) -> Option<Body> {
    let content = resolve(document, operation.get("requestBody")?).get("content")?.as_object()?;
    let (media_type, media) = content.iter().find(|(kind, _)| kind.contains("json")).or_else(|| content.iter().next())?;
    let schema = media.get("schema").unwrap_or(&Value::Null);
    Some(Body { media_type: media_type.clone(), properties: properties(document, schema), example: shown(media, document, schema) })
}

fn answers(document: &Value, operation: &Value) -> Vec<Answer> {
    let all = operation.get("responses").and_then(Value::as_object).into_iter().flatten();
    all.map(|(status, answer)| {
        let answer = resolve(document, answer);
        let media = answer.get("content").and_then(Value::as_object).and_then(|content| content.values().next());
        Answer {
            status: status.clone(),
            description: answer.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
            example: media.map_or_else(String::new, |media| shown(media, document, media.get("schema").unwrap_or(&Value::Null))),
        }
    })
    .collect()
}

fn shown(media: &Value, document: &Value, schema: &Value) -> String {
    let value = media.get("example").cloned().unwrap_or_else(|| example(document, schema));
    if value.is_null() { String::new() } else { serde_json::to_string_pretty(&value).unwrap_or_default() }
}
