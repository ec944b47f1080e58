use baluarte_kernel::{Actor, Clock, Ctx, Secret};
use baluarte_testkit::{Receiver, each_backend};
use baluarte_webhooks::{DisabledReason, EndpointChange, NewEndpoint, WebhooksConfig, WebhooksError};

use crate::site::Site;

fn at(url: &str) -> NewEndpoint {
    NewEndpoint { url: url.to_owned(), enabled: true, ..NewEndpoint::default() }
}

each_backend! {
    async fn what_can_never_work_is_refused_with_its_pointer(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        for (new, pointer) in [
            (at("not an address"), "/url"),
            (at("http://127.0.0.1:1/"), "/url"),
            (at("http://169.254.169.254/"), "/url"),
            (at("https://u:p@x.example/"), "/url"),
            (NewEndpoint { events: vec!["user.exploded".into()], ..at("https://x.example/") }, "/events"),
            (NewEndpoint { secret: Some(Secret::new("hunter2")), ..at("https://x.example/") }, "/secret"),
            (NewEndpoint { description: "a\nb".into(), ..at("https://x.example/") }, "/description"),
        ] {
            let refused = site.webhooks.create_endpoint(&site.ctx, new).await;
            assert!(matches!(&refused, Err(WebhooksError::Invalid(wrong)) if wrong.len() == 1 && wrong[0].0 == pointer), "{refused:?}");
        }
        let nobody = Ctx { actor: Actor::Anonymous, ..Ctx::system(Clock::System) };
        assert!(matches!(site.webhooks.create_endpoint(&nobody, at("https://x.example/")).await, Err(WebhooksError::Forbidden(_))));
    }

    async fn there_are_no_more_endpoints_than_allowed(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::with(&test, &app, WebhooksConfig { max_endpoints: 2, ..WebhooksConfig::default() }).await;
        site.register(&app, &[]).await;
        let (second, _) = site.register(&app, &[]).await;
        assert!(matches!(site.webhooks.create_endpoint(&site.ctx, at("https://x.example/")).await, Err(WebhooksError::TooMany(2))));
        site.webhooks.delete_endpoint(&site.ctx, second).await.unwrap();
        assert!(site.webhooks.create_endpoint(&site.ctx, at("https://x.example/")).await.is_ok());
    }

    async fn addresses_and_secrets_are_sealed(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, secret) = site.register(&app, &[]).await;
        let (_, rotated) = site.webhooks.rotate_secret(&site.ctx, id, std::time::Duration::from_secs(60)).await.unwrap();
        site.publish().await;
        site.work().await;
        for table in ["webhook_endpoints", "webhook_events", "webhook_deliveries", "jobs", "http_calls", "audit_entries"] {
            let text = site.dump(table).await;
            for hidden in ["hunter2", &secret.expose()[6..], &rotated.expose()[6..]] {
                assert!(!text.contains(hidden), "{table}: {text}");
            }
        }
        assert!(site.endpoint(id).await.url.ends_with("?token=hunter2"));
    }

    async fn every_change_is_recorded(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &[]).await;
        let change = EndpointChange { description: Some("the shop".into()), enabled: Some(false), ..EndpointChange::default() };
        let changed = site.webhooks.update_endpoint(&site.ctx, id, change).await.unwrap();
        assert_eq!((changed.description.as_str(), changed.disabled_reason), ("the shop", Some(DisabledReason::Operator)));
        let enable = EndpointChange { enabled: Some(true), ..EndpointChange::default() };
        let changed = site.webhooks.update_endpoint(&site.ctx, id, enable).await.unwrap();
        assert!(changed.enabled && changed.disabled_reason.is_none() && changed.disabled_at.is_none());
        site.webhooks.send_test(&site.ctx, id).await.unwrap();
        site.webhooks.delete_endpoint(&site.ctx, id).await.unwrap();
        assert!(matches!(site.webhooks.delete_endpoint(&site.ctx, id).await, Err(WebhooksError::EndpointNotFound)));
        assert_eq!(
            site.audited().await,
            [
                "webhooks.endpoint.created",
                "webhooks.endpoint.updated",
                "webhooks.endpoint.updated",
                "webhooks.test.sent",
                "webhooks.endpoint.deleted"
            ]
        );
        // What is under way ends without a call.
        site.work().await;
        assert!(app.received().is_empty());
    }
}

#[test]
fn every_event_is_documented() {
    let documented = include_str!("../../../../docs/webhooks.md");
    for name in baluarte_kernel::Event::NAMES.into_iter().chain([baluarte_webhooks::TEST_EVENT]) {
        assert!(documented.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{name}`"))), "{name}");
    }
}
