use axum::response::Response;
use baluarte_kernel::Locale;
use serde_json::{Value, json};

use super::*;
use crate::Site;

fn document() -> String {
    let mut document = serde_json::to_value(crate::openapi::base("Shop API", "1.2.3", "https://shop.example")).unwrap();
    document["paths"] = json!({
        "/api/v1/users/{id}": {
            "get": {
                "tags": ["identity"], "operationId": "find_user", "summary": "Somebody's account.", "security": [{ "bearer": [] }],
                "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" }, "description": "<b>Who</b>,\nby `id`" }],
                "responses": { "200": { "description": "The account", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/User" } } } } }
            }
        },
        "/api/v1/auth/register": {
            "post": {
                "tags": ["auth"], "operationId": "register_user", "summary": "Create an account.",
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/User" } } } },
                "responses": { "201": { "description": "Created" } }
            },
            "delete": { "x-internal": true, "operationId": "internal_repair", "responses": {} }
        }
    });
    document["components"]["schemas"]["User"] = json!({
        "type": "object", "required": ["email"],
        "properties": {
            "email": { "type": "string", "format": "email", "description": "Where mail goes." },
            "name": { "type": ["string", "null"], "example": "it's me" },
            "friend": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/User" }] },
            "kinds": { "type": "array", "items": { "type": "string", "enum": ["a", "b"] } }
        }
    });
    document.to_string()
}

async fn page() -> String {
    let visit = Visit { site: Site::default(), locale: Locale::En, path: "/docs".to_owned() };
    let response: Response = show(State(document().into()), visit).await;
    assert!(!response.headers()["content-security-policy"].to_str().unwrap().contains("unsafe"));
    String::from_utf8(axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn every_public_operation_is_explained() {
    let html = page().await;
    for part in ["/api/v1/users/{id}", "Somebody&#39;s account.", "register_user", "Where mail goes.", "string (email)", "list of one of"] {
        assert!(html.contains(part), "{part} is missing");
    }
    assert!(!html.contains("internal_repair"), "internal operations stay inside");
    assert!(html.contains("&lt;b&gt;Who&lt;/b&gt;, by <code>id</code>"), "what documents say is text, and `code`");
}

#[test]
fn examples_fit_their_schema_and_the_shell() {
    let reference = Reference::new(&document());
    let register = &reference.groups.iter().find(|group| group.name == "auth").unwrap().operations[0];
    let example: Value = serde_json::from_str(&register.body.as_ref().unwrap().example).unwrap();
    assert_eq!(example["email"], "zoe@example.com");
    assert_eq!(example["kinds"], json!(["a"]));
    let call = |language: &str| register.calls.iter().find(|call| call.language == language).unwrap().code.as_str();
    assert!(call("curl").contains(r"it'\''s me"), "{}", call("curl"));
    assert!(call("JavaScript").contains("JSON.stringify({") && call("JavaScript").contains("method: 'POST'"), "{}", call("JavaScript"));
    assert!(!register.signed_in && reference.groups[1].operations[0].signed_in);
}

#[test]
fn what_the_page_shows_for_python_is_python() {
    let reference = Reference::new(&document());
    for operation in reference.groups.iter().flat_map(|group| &group.operations) {
        let code = &operation.calls.iter().find(|call| call.language == "Python").unwrap().code;
        let checked = std::process::Command::new("python3").args(["-c", "import ast, sys; ast.parse(sys.argv[1])", code]).output().unwrap();
        assert!(checked.status.success(), "{code}\n{}", String::from_utf8_lossy(&checked.stderr));
    }
}
