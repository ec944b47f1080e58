//! What browsers are told about the app's answers: by preset, by route, and never over the app's own word.

use baluarte_testkit::{Answer, Baluarte, Client};

use crate::bin;

const CONFIG: &str = r#"
[server]
trusted_proxies = ["127.0.0.1/32"]
[edge]
strict_transport_security = "max-age=63072000; includeSubDomains"
[gateway.headers.shop]
preset = "strict"
content_security_policy = "default-src 'self'; img-src *"
report_to = "/csp-reports"
frame_ancestors = "'self' https://partner.example"
permissions_policy = ""
[[gateway.routes]]
path = "/"
respond = { body = "plain" }
limits = []
[[gateway.routes]]
path = "/strict"
respond = { body = "strict" }
headers = "strict"
limits = []
[[gateway.routes]]
path = "/shop"
respond = { body = "shop" }
headers = "shop"
limits = []
[[gateway.routes]]
path = "/bare"
respond = { body = "bare" }
headers = "none"
limits = []
[[gateway.routes]]
path = "/members"
respond = { body = "members" }
headers = "none"
access = "signed-in"
limits = []
"#;

async fn look(client: &Client, path: &str) -> impl Fn(&str) -> String {
    let Answer { headers, .. } = client.get(path).await;
    move |name| headers.get(name).map_or("", |value| value.to_str().expect("text")).to_owned()
}

#[tokio::test]
async fn a_route_says_what_its_set_of_headers_says() {
    let app = Baluarte::builder(bin()).config(CONFIG).start().await;
    let client = app.client().with_header("x-forwarded-proto", "https");
    let plain = look(&client, "/").await;
    assert_eq!((plain("x-frame-options"), plain("content-security-policy")), ("SAMEORIGIN".to_owned(), String::new()));
    assert_eq!(plain("strict-transport-security"), "max-age=63072000; includeSubDomains");

    let strict = look(&client, "/strict").await;
    assert!(strict("content-security-policy").ends_with("; form-action 'self'; frame-ancestors 'none'"));
    assert_eq!((strict("x-frame-options"), strict("referrer-policy")), ("DENY".to_owned(), "same-origin".to_owned()));
    assert!(strict("permissions-policy").contains("camera=()") && strict("cross-origin-resource-policy") == "same-origin");

    let shop = look(&client, "/shop").await;
    assert_eq!(
        shop("content-security-policy"),
        "default-src 'self'; img-src *; report-uri /csp-reports; report-to csp; frame-ancestors 'self' https://partner.example"
    );
    assert_eq!(
        (shop("reporting-endpoints"), shop("x-frame-options"), shop("permissions-policy")),
        ("csp=\"/csp-reports\"".into(), "".into(), "".into())
    );

    let bare = look(&client, "/bare").await;
    for name in ["x-content-type-options", "x-frame-options", "referrer-policy", "permissions-policy", "cross-origin-opener-policy"] {
        assert_eq!(bare(name), "", "{name}");
    }
    assert!(!bare("x-request-id").is_empty() && bare("strict-transport-security").starts_with("max-age=63072000"));
    // Our own refusals are not the app's pages.
    let refused = look(&client, "/members").await;
    assert_eq!((refused("x-content-type-options"), refused("x-frame-options")), ("nosniff".to_owned(), "SAMEORIGIN".to_owned()));
    assert!(!bare("x-xss-protection").contains('1') && !strict("x-xss-protection").contains('1'));
}
