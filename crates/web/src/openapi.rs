//! The parts of the OpenAPI document that every operation shares.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{
        ComponentsBuilder, Content, Info, License, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, Response, ResponseBuilder, Schema,
        Server,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        tag::Tag,
    },
};

use crate::problem::Problem;

/// A refusal or failure (RFC 9457).
#[derive(serde::Serialize, ToSchema)]
#[schema(as = Problem)]
struct ProblemSchema {
    /// `/problems/<code>`: a page that explains the code.
    #[schema(example = "/problems/web.invalid_fields")]
    r#type: String,
    /// `component.reason`: stable; switch on it.
    #[schema(example = "web.invalid_fields")]
    code: String,
    title: String,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    detail: Option<String>,
    /// The request id; quote it to support.
    instance: String,
    /// What is wrong with which field (422).
    errors: Option<Vec<FieldErrorSchema>>,
    /// Names of the limits that refused (429).
    #[serde(rename = "violated-policies")]
    violated_policies: Option<Vec<String>>,
    /// The failure is the upstream's.
    upstream: Option<bool>,
}

/// One wrong field.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = FieldError)]
struct FieldErrorSchema {
    /// JSON Pointer into the body, or the name of a parameter.
    #[schema(example = "/email")]
    pointer: String,
    detail: String,
}

/// Every operation that can fail answers so: `responses((status = 200, body = UserView), Problem)`.
impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
        let response = ResponseBuilder::new().description("A problem (RFC 9457)").content("application/problem+json", content);
        BTreeMap::from([("default".to_owned(), response.build().into())])
    }
}

/// Names of the security schemes, for `security(("bearer" = []), ("session" = []))`.
pub const BEARER: &str = "bearer";
pub const SESSION: &str = "session";

/// The document before the components add their operations: title, server, security schemes, the `Problem` schema.
pub fn base(title: &str, version: &str, public_url: &str) -> OpenApi {
    let mut info = Info::new(title, version);
    info.description = Some(
        "Accounts, sessions and everything else this installation offers to programs. Errors are RFC 9457 problems; \
         lists are pages, each with the cursor of the next one; times are RFC 3339 in UTC."
            .to_owned(),
    );
    info.license = Some(License::new("Apache-2.0"));
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An access token, from signing in.")).build();
    let cookie = if public_url.starts_with("https:") { "__Host-baluarte" } else { "baluarte" };
    let session =
        ApiKey::Cookie(ApiKeyValue::with_description(cookie, "The browser's session. Unsafe methods need a same-origin request."));
    let components = ComponentsBuilder::new()
        .schema("Problem", ProblemSchema::schema())
        .schema("FieldError", FieldErrorSchema::schema())
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .security_scheme(SESSION, SecurityScheme::ApiKey(session))
        .build();
    OpenApiBuilder::new().info(info).servers(Some([Server::new(public_url)])).components(Some(components)).build()
}

/// What a signed-in operation requires: either scheme.
pub fn signed_in() -> [SecurityRequirement; 2] {
    [SecurityRequirement::new(BEARER, Vec::<String>::new()), SecurityRequirement::new(SESSION, Vec::<String>::new())]
}

/// Adds what the document needs as a whole, after all operations are in it: what the tags are about, a description of every answer
/// that has none of its own, and in words that an operation needs no credentials.
pub fn complete(document: &mut OpenApi, tags: &[(&str, &str)]) {
    let tag = |(name, description): &(&str, &str)| {
        let mut tag = Tag::new(*name);
        tag.description = Some((*description).to_owned());
        tag
    };
    document.tags = Some(tags.iter().map(tag).collect());
    let schemas = document.components.as_ref().map(|components| components.schemas.clone()).unwrap_or_default();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        operation.security.get_or_insert_default();
        for (status, answer) in &mut operation.responses.responses {
            if let RefOr::T(response) = answer
                && response.description.is_empty()
            {
                response.description = described(response, &schemas).unwrap_or_else(|| by_status(status).to_owned());
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.options, &mut item.head, &mut item.patch];
    all.into_iter().filter_map(Option::as_mut)
}

/// What the answer's body says of itself, in its first sentence.
fn described(response: &Response, schemas: &BTreeMap<String, RefOr<Schema>>) -> Option<String> {
    let RefOr::T(content) = response.content.values().next()? else { return None };
    let RefOr::Ref(reference) = content.schema.as_ref()? else { return None };
    let RefOr::T(Schema::Object(body)) = schemas.get(reference.ref_location.rsplit('/').next()?)? else { return None };
    let text = body.description.as_deref()?.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = text.split_inclusive(". ").next()?.trim().trim_end_matches('.');
    (!sentence.is_empty()).then(|| sentence.to_owned())
}

fn by_status(status: &str) -> &'static str {
    match status {
        "200" => "What was asked for",
        "201" => "What was made",
        "202" => "Accepted: it is done later",
        "204" => "Done; there is nothing to say",
        status if status.starts_with('3') => "The answer is elsewhere: see `Location`",
        _ => "The answer",
    }
}
