//! The example apps of `examples/`, as the documentation shows them, behind the built binary.

use std::process::Command;

use baluarte_testkit::{Baluarte, Client, Port, Program};

use crate::{
    bin,
    outside::{PASSWORD, python, repository},
};

/// Baluarte first, because the app wants to know where the keys are; then the app.
async fn behind_baluarte(app: impl FnOnce(u16, &str) -> Command) -> (Baluarte, Program) {
    let port = Port::reserve();
    let config = format!(
        "[gateway.upstreams.shop]\nservers = [\"{}\"]\n[[gateway.routes]]\npath = \"/\"\nupstream = \"shop\"\naccess = \"public\"\nlimits = []\n",
        port.url()
    );
    let baluarte = Baluarte::builder(bin()).config(&config).start().await;
    baluarte.create_user("ana@example.com", PASSWORD, "user");
    let issuer = baluarte.public_url().to_owned();
    let app = Program::start_at(port, |port, _| app(port, &issuer));
    (baluarte, app)
}

async fn knows_who_is_calling(baluarte: &Baluarte, app: &Program) {
    let nobody = baluarte.client();
    assert!(nobody.get("/hello").await.expect_status(200).text().contains("stranger"));
    nobody.get("/account").await.expect_status(401);

    let ana = baluarte.sign_in("ana@example.com", PASSWORD).await;
    assert!(ana.get("/hello").await.expect_status(200).text().contains("ana@example.com"));
    let account = ana.get("/account").await.expect_status(200).json();
    assert_eq!((account["email"].as_str(), account["plan"].as_str()), (Some("ana@example.com"), Some("free")), "{account}");

    // Who reaches the app itself has nothing to show that it believes: no token, an access token, or rubbish.
    let stolen = ana.bearer().expect("signed in for tokens");
    for token in ["", "a.b.c", stolen.as_str()] {
        let beside = Client::new(&app.url()).with_header("x-baluarte-identity", token);
        assert_eq!(beside.get("/account").await.status, 401, "{}", app.logs());
    }
}

#[tokio::test]
async fn the_python_example_verifies_the_signed_identity() {
    let (baluarte, app) = behind_baluarte(|port, issuer| {
        let mut app = python("python");
        app.arg(repository().join("examples/python/app.py"));
        app.env("PORT", port.to_string()).env("BALUARTE_URL", issuer).env("UPSTREAM", "shop");
        app
    })
    .await;
    knows_who_is_calling(&baluarte, &app).await;
}

#[tokio::test]
async fn the_node_example_verifies_the_signed_identity() {
    let (baluarte, app) = behind_baluarte(|port, issuer| {
        let mut app = Command::new("node");
        app.arg("app.js").current_dir(repository().join("examples/node"));
        app.env("PORT", port.to_string()).env("BALUARTE_URL", issuer).env("UPSTREAM", "shop");
        app
    })
    .await;
    knows_who_is_calling(&baluarte, &app).await;
}
