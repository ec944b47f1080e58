use std::time::Duration;

use baluarte_kernel::PageQuery;
use baluarte_outbound::{SigningKey, sign};
use baluarte_telemetry::Metrics;
use baluarte_testkit::{Receiver, Reply, each_backend};
use baluarte_webhooks::{DeliveryState, DisabledReason, EndpointChange, TEST_EVENT, WebhooksConfig, WebhooksError};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::site::Site;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn key(secret: &baluarte_kernel::Secret) -> SigningKey {
    secret.expose().parse().unwrap()
}

each_backend! {
    async fn an_event_reaches_every_endpoint_that_wants_it_signed_with_its_own_secret(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (all, secret) = site.register(&app, &[]).await;
        let (some, other) = site.register(&app, &["user.disabled", "user.registered"]).await;
        let (none, _) = site.register(&app, &["user.registered"]).await;
        let event = site.publish().await;
        assert_eq!(site.work().await, ["webhooks.fan_out", "webhooks.deliver", "webhooks.deliver"]);
        let received = app.received();
        assert_eq!(received.len(), 2);
        for (sent, secret) in received.iter().zip([secret, other]) {
            let body: Value = serde_json::from_slice(&sent.body).unwrap();
            assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["data", "timestamp", "type"]);
            assert_eq!((body["type"].as_str(), body["data"]["user_id"].as_str().map(|id| id.len())), (Some("user.disabled"), Some(36)));
            assert_eq!(body["timestamp"], site.clock.now().to_string());
            for (name, value) in sign(&[key(&secret)], &event.to_string(), site.clock.now(), &sent.body).unwrap() {
                assert_eq!(sent.headers.get(&name), Some(&value), "{name}");
            }
        }
        for (endpoint, count) in [(all, 1), (some, 1), (none, 0)] {
            let made = site.deliveries(endpoint).await;
            assert_eq!(made.iter().filter(|it| it.state == DeliveryState::Delivered && it.status == Some(204)).count(), count);
        }
        assert!(site.endpoint(all).await.last_success_at.is_some());
    }

    async fn what_happened_before_an_endpoint_was_registered_is_not_sent_there(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        site.publish().await;
        site.clock.advance(HOUR);
        let (id, _) = site.register(&app, &[]).await;
        assert_eq!(site.work().await, ["webhooks.fan_out"]);
        assert!(site.deliveries(id).await.is_empty());
    }

    async fn the_same_event_is_written_down_once_however_often_its_job_runs(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &[]).await;
        site.publish().await;
        site.work().await;
        // The worker died after the deed and before the word.
        use baluarte_db::sea_orm::ConnectionTrait as _;
        let tx = site.db.begin().await.unwrap();
        tx.execute_unprepared("UPDATE jobs SET state = 'ready', attempts = 0 WHERE kind = 'webhooks.fan_out'").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(site.work().await, ["webhooks.fan_out"]);
        assert_eq!((site.deliveries(id).await.len(), app.received().len()), (1, 1));
    }

    async fn a_delivery_is_tried_again_with_the_same_id_and_bytes_until_it_succeeds(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &[]).await;
        app.plan([Reply::Status(500), Reply::HangUp, Reply::header(503, "retry-after", "7200")]);
        site.publish().await;
        site.work().await;
        let delivery = site.deliveries(id).await.remove(0);
        assert_eq!((delivery.state, delivery.status, delivery.error.as_deref()), (DeliveryState::Waiting, Some(500), Some("answered 500")));
        assert!(site.endpoint(id).await.failing_since.is_some());
        site.clock.advance(HOUR);
        site.work().await;
        site.clock.advance(HOUR);
        site.work().await;
        // The receiver asked for two hours.
        site.clock.advance(HOUR);
        site.work().await;
        assert_eq!(app.received().len(), 3);
        site.clock.advance(HOUR);
        site.work().await;
        let received = app.received();
        assert_eq!(received.len(), 4);
        assert!(received.iter().all(|it| it.header("webhook-id") == received[0].header("webhook-id") && it.body == received[0].body));
        let delivery = site.deliveries(id).await.remove(0);
        assert_eq!((delivery.state, delivery.attempts, delivery.error), (DeliveryState::Delivered, 4, None));
        assert!(site.endpoint(id).await.failing_since.is_none());
        let detail = site.webhooks.find_delivery(&site.ctx, id, delivery.id).await.unwrap();
        assert_eq!(detail.calls.iter().map(|call| call.status).collect::<Vec<_>>(), [Some(204), Some(503), None, Some(500)]);
    }

    async fn an_endpoint_that_fails_for_days_is_disabled_and_the_operator_is_told(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &["user.disabled"]).await;
        app.otherwise(Reply::Status(500));
        site.publish().await;
        site.work_for(DAY * 2).await;
        assert!(site.endpoint(id).await.enabled, "two days are not the end");
        site.publish().await;
        site.work_for(DAY * 4).await;
        let endpoint = site.endpoint(id).await;
        assert_eq!((endpoint.enabled, endpoint.disabled_reason), (false, Some(DisabledReason::Failing)));
        assert!(site.audited().await.contains(&"webhooks.endpoint.disabled".to_owned()));
        assert!(site.metrics.render().contains("baluarte_webhooks_disabled_total{reason=\"failing\"} 1"));
        // Nothing is sent any more, and nothing waits.
        let before = app.received().len();
        site.publish().await;
        site.work_for(DAY).await;
        assert_eq!(app.received().len(), before);
        let states: Vec<_> = site.deliveries(id).await.iter().map(|it| it.state).collect();
        assert_eq!(states, [DeliveryState::Skipped, DeliveryState::Failed, DeliveryState::Failed]);
        // Enabled again, with a clean record, what was missed can be sent.
        app.otherwise(Reply::Status(200));
        assert!(matches!(site.webhooks.replay_deliveries(&site.ctx, id, site.clock.now().minus(DAY * 9), false).await, Err(WebhooksError::Disabled)));
        site.webhooks.update_endpoint(&site.ctx, id, EndpointChange { enabled: Some(true), ..EndpointChange::default() }).await.unwrap();
        site.webhooks.replay_deliveries(&site.ctx, id, site.clock.now().minus(DAY * 9), false).await.unwrap();
        site.work_for(HOUR).await;
        assert!(site.deliveries(id).await.iter().all(|it| it.state == DeliveryState::Delivered));
    }

    async fn gone_disables_at_once_and_an_event_tells_the_others(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (gone, _) = site.register(&app, &["user.disabled"]).await;
        let (watcher, _) = site.register(&app, &["webhook.disabled"]).await;
        app.plan([Reply::Status(410)]);
        site.publish().await;
        site.work().await;
        assert_eq!(site.endpoint(gone).await.disabled_reason, Some(DisabledReason::Gone));
        assert_eq!(site.deliveries(gone).await[0].state, DeliveryState::Failed);
        let told: Value = serde_json::from_slice(&app.received()[1].body).unwrap();
        assert_eq!((told["type"].as_str(), told["data"]["endpoint_id"].as_str()), (Some("webhook.disabled"), Some(gone.to_string().as_str())));
        assert_eq!(site.deliveries(watcher).await[0].state, DeliveryState::Delivered);
    }

    async fn a_rotated_secret_signs_beside_the_old_one_until_the_overlap_ends(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, old) = site.register(&app, &[]).await;
        let (_, new) = site.webhooks.rotate_secret(&site.ctx, id, HOUR).await.unwrap();
        for (wait, keys) in [(HOUR / 2, vec![key(&new), key(&old)]), (HOUR / 2, vec![key(&new)])] {
            site.clock.advance(wait);
            let event = site.publish().await;
            site.work().await;
            let sent = app.received().pop().unwrap();
            let expected = sign(&keys, &event.to_string(), site.clock.now(), &sent.body).unwrap();
            assert_eq!(sent.headers.get("webhook-signature"), Some(&expected[2].1));
        }
        // Without an overlap the old one is void at once.
        let (_, newest) = site.webhooks.rotate_secret(&site.ctx, id, Duration::ZERO).await.unwrap();
        let event = site.publish().await;
        site.work().await;
        let sent = app.received().pop().unwrap();
        let expected = sign(&[key(&newest)], &event.to_string(), site.clock.now(), &sent.body).unwrap();
        assert_eq!(sent.headers.get("webhook-signature"), Some(&expected[2].1));
    }

    async fn a_test_event_is_sent_once_and_says_nothing_about_the_endpoint(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &["user.registered"]).await;
        site.webhooks.update_endpoint(&site.ctx, id, EndpointChange { enabled: Some(false), ..EndpointChange::default() }).await.unwrap();
        app.plan([Reply::Status(500)]);
        let first = site.webhooks.send_test(&site.ctx, id).await.unwrap();
        site.work_for(DAY).await;
        assert_eq!((app.received().len(), site.endpoint(id).await.failing_since), (1, None));
        assert_eq!(site.webhooks.find_delivery(&site.ctx, id, first.id).await.unwrap().delivery.state, DeliveryState::Failed);
        site.webhooks.send_test(&site.ctx, id).await.unwrap();
        site.work().await;
        let body: Value = serde_json::from_slice(&app.received()[1].body).unwrap();
        assert_eq!(body["type"], TEST_EVENT);
    }

    async fn a_delivery_can_be_sent_again_whatever_became_of_it(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &[]).await;
        site.publish().await;
        site.work().await;
        let delivery = site.deliveries(id).await.remove(0);
        for _ in 0..2 {
            // Twice before it runs is once.
            site.webhooks.replay_delivery(&site.ctx, id, delivery.id).await.unwrap();
        }
        site.work().await;
        let received = app.received();
        assert_eq!(received.len(), 2);
        assert!(received[0].body == received[1].body && received[0].header("webhook-id") == received[1].header("webhook-id"));
        let (other, _) = site.register(&app, &[]).await;
        assert!(matches!(site.webhooks.replay_delivery(&site.ctx, other, delivery.id).await, Err(WebhooksError::DeliveryNotFound)));
    }

    async fn a_delivery_whose_worker_is_lost_with_its_last_call_still_comes_to_an_end(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::with(&test, &app, WebhooksConfig { max_attempts: 3, ..WebhooksConfig::default() }).await;
        let (id, _) = site.register(&app, &[]).await;
        site.publish().await;
        site.work().await;
        let delivery = site.deliveries(id).await.remove(0);
        site.webhooks.replay_delivery(&site.ctx, id, delivery.id).await.unwrap();
        site.execute("UPDATE jobs SET state = 'running', worker = 'wrk_lost', attempts = 3, started_at = run_at WHERE state = 'ready'").await;
        let watching = CancellationToken::new();
        let watch = tokio::spawn(site.jobs.clone().watch(site.registry.clone(), Metrics::default(), watching.clone()));
        while site.dump("jobs").await.contains("wrk_lost") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        watching.cancel();
        watch.await.unwrap();
        app.otherwise(Reply::Status(500));
        site.work_for(DAY).await;
        assert_eq!(site.deliveries(id).await[0].state, DeliveryState::Failed);
        assert_eq!(app.received().len(), 2, "one call more than the worker that was lost can have made");
    }

    async fn replaying_since_a_moment_goes_through_all_of_them_and_no_others(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &[]).await;
        site.publish().await;
        site.work().await;
        site.clock.advance(HOUR);
        let since = site.clock.now();
        // More than one piece.
        for _ in 0..250 {
            site.publish().await;
        }
        site.work().await;
        assert_eq!(app.received().len(), 251);
        site.webhooks.replay_deliveries(&site.ctx, id, since, false).await.unwrap();
        site.work().await;
        assert_eq!(app.received().len(), 251, "all of them were delivered");
        site.webhooks.replay_deliveries(&site.ctx, id, since, true).await.unwrap();
        site.work().await;
        assert_eq!(app.received().len(), 501);
        let page = site.webhooks.list_deliveries(&site.ctx, id, Some(DeliveryState::Delivered), &PageQuery { limit: Some(200), cursor: None }).await.unwrap();
        let rest = site.webhooks.list_deliveries(&site.ctx, id, Some(DeliveryState::Delivered), &PageQuery { limit: Some(200), cursor: page.next_cursor }).await.unwrap();
        assert_eq!((page.items.len(), rest.items.len(), rest.next_cursor), (200, 51, None));
    }

    async fn old_events_are_deleted_with_their_deliveries(test: TestDb) {
        let app = Receiver::start().await;
        let site = Site::new(&test, &app).await;
        let (id, _) = site.register(&app, &[]).await;
        site.publish().await;
        site.work().await;
        site.clock.advance(DAY * 31);
        site.publish().await;
        site.work().await;
        site.webhooks.prune(&site.ctx).await.unwrap();
        assert_eq!(site.deliveries(id).await.len(), 1);
        assert_eq!(site.dump("webhook_events").await.matches("user.disabled").count(), 1, "the name of one event");
    }
}
