//! What is kept about people, and what becomes of it when they leave.

use std::time::Duration;

use baluarte_kernel::{Event, UserId};
use baluarte_testkit::{Receiver, Reply, each_backend};
use baluarte_webhooks::{DeliveryState, EndpointChange, WebhooksError};
use serde_json::Value;

use crate::site::Site;

const HOUR: Duration = Duration::from_secs(3_600);
/// Everything that may hold a word of what happened.
const TABLES: [&str; 6] = ["webhook_events", "webhook_deliveries", "jobs", "job_errors", "http_calls", "audit_entries"];

fn registered(user_id: UserId) -> Event {
    Event::UserRegistered { user_id, email: "zoe@example.com".into(), name: "Zoë Almeida".into() }
}

impl Site {
    async fn holds(&self, word: &str) -> Vec<&'static str> {
        let mut found = Vec::new();
        for table in TABLES {
            if self.dump(table).await.contains(word) {
                found.push(table);
            }
        }
        found
    }
}

each_backend! {
    async fn what_an_event_says_about_somebody_is_nowhere_in_clear(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &[]).await;
        app.plan([Reply::Status(500)]);
        site.tell(registered(UserId::generate())).await;
        assert!(site.holds("zoe@").await.is_empty(), "before anybody has looked at it");
        site.work().await;
        for word in ["zoe@", "Almeida"] {
            assert_eq!(site.holds(word).await, Vec::<&str>::new(), "{word}");
        }
        // Whoever may know reads it.
        let delivery = site.deliveries(id).await.remove(0);
        assert!(site.webhooks.find_delivery(&site.ctx, id, delivery.id).await.unwrap().body.unwrap().contains("zoe@example.com"));
        site.clock.advance(HOUR);
        site.work().await;
        assert_eq!(app.received().len(), 2);
    }

    async fn what_was_written_in_clear_by_an_earlier_version_is_still_sent(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &[]).await;
        site.tell(registered(UserId::generate())).await;
        site.work().await;
        site.execute("UPDATE webhook_events SET body = '{\"type\":\"user.registered\"}', user_id = NULL").await;
        let delivery = site.deliveries(id).await.remove(0);
        site.webhooks.replay_delivery(&site.ctx, id, delivery.id).await.unwrap();
        site.work().await;
        assert_eq!(&app.received()[1].body[..], br#"{"type":"user.registered"}"#);
    }

    async fn who_is_gone_is_forgotten_and_only_that_is_told(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &[]).await;
        let (zoe, ana) = (UserId::generate(), UserId::generate());
        // One was delivered, with an answer that says who; one is still to be.
        app.plan([Reply::With { status: 200, headers: Vec::new(), body: "welcome zoe@example.com".into() }, Reply::Status(503), Reply::Status(204)]);
        site.tell(registered(zoe)).await;
        site.work().await;
        assert_eq!(site.holds("zoe@").await, ["http_calls"], "what the receiver answered");
        site.tell(Event::UserVerified { user_id: zoe, email: "zoe@example.com".into() }).await;
        site.work().await;
        site.tell(registered(ana)).await;
        site.work().await;
        assert_eq!(app.received().len(), 3);

        site.tell(Event::UserDeleted { user_id: zoe }).await;
        site.work_for(HOUR * 30).await;
        let told: Vec<Value> = app.received()[3..].iter().map(|sent| serde_json::from_slice(&sent.body).unwrap()).collect();
        assert_eq!(told.iter().map(|told| told["type"].as_str().unwrap()).collect::<Vec<_>>(), ["user.deleted"]);
        assert_eq!(site.holds("zoe@").await, Vec::<&str>::new());
        let deliveries = site.deliveries(id).await;
        let states: Vec<_> = deliveries.iter().rev().map(|it| (it.event.as_str(), it.state)).collect();
        assert_eq!(
            states,
            [
                ("user.registered", DeliveryState::Delivered),
                ("user.verified", DeliveryState::Skipped),
                ("user.registered", DeliveryState::Delivered),
                ("user.deleted", DeliveryState::Delivered)
            ]
        );
        let [gone, _, others, _] = [3, 2, 1, 0].map(|n: usize| deliveries[n].id);
        assert_eq!(site.webhooks.find_delivery(&site.ctx, id, gone).await.unwrap().body, None);
        assert!(matches!(site.webhooks.replay_delivery(&site.ctx, id, gone).await, Err(WebhooksError::Erased)));
        // Somebody else's is as it was, and a replay of all leaves out what is gone.
        assert!(site.webhooks.find_delivery(&site.ctx, id, others).await.unwrap().body.unwrap().contains("zoe@example.com"));
        let before = app.received().len();
        site.webhooks.replay_deliveries(&site.ctx, id, baluarte_kernel::Timestamp::default(), true).await.unwrap();
        site.work().await;
        assert_eq!(app.received().len(), before + 2);
    }

    async fn what_a_late_job_tells_about_somebody_who_is_gone_is_not_written_down(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &[]).await;
        let zoe = UserId::generate();
        site.tell(registered(zoe)).await;
        // It does not come to it before they are gone.
        site.execute(&format!("UPDATE jobs SET state = 'scheduled', run_at = {}", site.clock.now().plus(HOUR).micros())).await;
        site.tell(Event::UserDeleted { user_id: zoe }).await;
        site.work_for(HOUR * 3).await;
        let events: Vec<_> = site.deliveries(id).await.into_iter().map(|it| it.event).collect();
        assert_eq!((events, app.received().len()), (vec!["user.deleted".to_owned()], 1));
    }

    async fn what_happens_while_an_endpoint_is_disabled_is_skipped_and_can_be_replayed(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &["user.registered"]).await;
        let enable = |enabled| EndpointChange { enabled: Some(enabled), ..EndpointChange::default() };
        site.webhooks.update_endpoint(&site.ctx, id, enable(false)).await.unwrap();
        let since = site.clock.now();
        let event = site.tell(registered(UserId::generate())).await;
        // Not one that the endpoint never wanted.
        site.publish().await;
        site.work_for(HOUR).await;
        let skipped = site.deliveries(id).await;
        assert_eq!((skipped.len(), skipped[0].state, skipped[0].error.as_deref()), (1, DeliveryState::Skipped, Some("the endpoint was disabled")));
        assert!(skipped[0].finished_at.is_some() && skipped[0].job_id.is_none() && app.received().is_empty());
        site.webhooks.update_endpoint(&site.ctx, id, enable(true)).await.unwrap();
        site.work_for(HOUR).await;
        assert!(app.received().is_empty(), "nothing is sent unasked");
        site.webhooks.replay_deliveries(&site.ctx, id, since, false).await.unwrap();
        site.work().await;
        assert_eq!(app.received()[0].header("webhook-id"), Some(event.to_string().as_str()));
        assert_eq!(site.deliveries(id).await[0].state, DeliveryState::Delivered);
    }
}
