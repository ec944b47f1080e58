//! Reports of providers: believed only when they are theirs, harmless when they come twice or in the wrong order.

use axum::body::Body;
use baluarte_kernel::{Ctx, Secret};
use baluarte_notify::{MessageId, NotifyConfig, SendGridConfig, routes};
use baluarte_testkit::{FakeSendGrid, FakeTwilio, each_backend};
use http::Request;
use serde_json::json;
use tower::ServiceExt as _;

use crate::{App, by_smtp, by_twilio, smtp_server::SmtpServer};

impl App {
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(Ctx::system(self.clock.clone()));
        let (router, _) = routes(self.notify.clone()).split_for_parts();
        router.oneshot(request).await.unwrap().status().as_u16()
    }

    async fn twilio_says(&self, id: MessageId, sid: &str, status: &str, code: &str) -> u16 {
        let path = format!("/api/v1/notify/callbacks/twilio?message={id}");
        let mut parameters =
            vec![("AccountSid", FakeTwilio::ACCOUNT), ("MessageSid", sid), ("MessageStatus", status), ("To", "+351912345678")];
        if !code.is_empty() {
            parameters.push(("ErrorCode", code));
        }
        let signature = FakeTwilio::sign(&format!("https://shop.example{path}"), &parameters);
        self.post(&path, &[("x-twilio-signature", &signature)], &form(&parameters)).await
    }

    async fn sendgrid_says(&self, sendgrid: &FakeSendGrid, events: &serde_json::Value) -> u16 {
        let (at, body) = (self.clock.now().unix_seconds().to_string(), events.to_string());
        self.sendgrid_post(&at, &sendgrid.sign(&at, body.as_bytes()), &body).await
    }

    async fn sendgrid_post(&self, at: &str, signature: &str, body: &str) -> u16 {
        let headers = [
            ("x-twilio-email-event-webhook-timestamp", at),
            ("x-twilio-email-event-webhook-signature", signature),
            ("content-type", "application/json"),
        ];
        self.post("/api/v1/notify/callbacks/sendgrid", &headers, body).await
    }
}

fn form(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

fn sendgrid_with(sendgrid: &FakeSendGrid) -> NotifyConfig {
    NotifyConfig {
        email_from: "shop@example.com".into(),
        sendgrid: SendGridConfig {
            api_key: Secret::new(FakeSendGrid::KEY),
            api_base: sendgrid.url().into(),
            webhook_key: sendgrid.webhook_key(),
            ..Default::default()
        },
        ..Default::default()
    }
}

each_backend! {
    async fn twilio_reports_the_arrival_in_any_order_and_as_often_as_it_likes(test: TestDb) {
        let twilio = FakeTwilio::start().await;
        let app = App::start(&test, &by_twilio(&twilio)).await;
        let id = app.send(app.sms("+351912345678")).await;
        app.work().await;
        let sid = twilio.taken()[0].reference.clone();
        for (status, state) in [("queued", "sent"), ("delivered", "delivered"), ("sent", "delivered"), ("delivered", "delivered")] {
            assert_eq!(app.twilio_says(id, &sid, status, "").await, 204);
            assert_eq!(app.state(id).await, state, "after {status}");
        }
    }

    async fn twilio_reports_a_dead_telephone_and_nothing_more_goes_there(test: TestDb) {
        let twilio = FakeTwilio::start().await;
        let app = App::start(&test, &by_twilio(&twilio)).await;
        let id = app.send(app.sms("+351912345678")).await;
        app.work().await;
        assert_eq!(app.twilio_says(id, &twilio.taken()[0].reference, "undelivered", "30005").await, 204);
        assert_eq!((app.state(id).await.as_str(), app.stored::<String>(id, "last_error").await.as_str()), ("bounced", "Twilio error 30005"));
        assert_eq!(app.count("audit_entries WHERE action = 'notify.suppression.added'").await, 1);
        let again = app.send(app.sms("+351912345678")).await;
        app.work().await;
        assert_eq!((app.state(again).await.as_str(), twilio.offers()), ("suppressed", 1));
    }

    async fn a_report_that_is_not_twilios_changes_nothing(test: TestDb) {
        let twilio = FakeTwilio::start().await;
        let app = App::start(&test, &by_twilio(&twilio)).await;
        let (id, other) = (app.send(app.sms("+351912345678")).await, app.send(app.sms("+351912345679")).await);
        app.work().await;
        let path = format!("/api/v1/notify/callbacks/twilio?message={id}");
        let url = format!("https://shop.example{path}");
        let ours = [("AccountSid", FakeTwilio::ACCOUNT), ("MessageStatus", "failed")];
        let theirs = [("AccountSid", "AC99999999999999999999999999999999"), ("MessageStatus", "failed")];
        let good = FakeTwilio::sign(&url, &ours);
        let elsewhere = format!("/api/v1/notify/callbacks/twilio?message={other}");
        assert_eq!(app.post(&path, &[], &form(&ours)).await, 403);
        assert_eq!(app.post(&path, &[("x-twilio-signature", "AAAA")], &form(&ours)).await, 403);
        assert_eq!(app.post(&elsewhere, &[("x-twilio-signature", &good)], &form(&ours)).await, 403, "about another message");
        assert_eq!(app.post(&path, &[("x-twilio-signature", &good)], &form(&[ours[0], ("MessageStatus", "delivered")])).await, 403);
        assert_eq!(app.post(&path, &[("x-twilio-signature", &FakeTwilio::sign(&url, &theirs))], &form(&theirs)).await, 403, "another account's");
        assert_eq!((app.state(id).await.as_str(), app.state(other).await.as_str()), ("sent", "sent"));
        assert_eq!(app.post(&path, &[("x-twilio-signature", &good)], &form(&ours)).await, 204);
        assert_eq!(app.state(id).await, "failed");
    }

    async fn sendgrid_reports_arrivals_bounces_and_complaints(test: TestDb) {
        let sendgrid = FakeSendGrid::start().await;
        let app = App::start(&test, &sendgrid_with(&sendgrid)).await;
        let mut ids = Vec::new();
        for n in 0..4 {
            ids.push(app.send(app.mail(&format!("u{n}@example.com"))).await);
        }
        app.work().await;
        let event = |n: usize, event: &str, more: serde_json::Value| {
            let mut all = json!({ "event": event, "email": format!("u{n}@example.com"), "baluarte_message": ids[n], "sg_event_id": "x" });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let events = json!([
            event(0, "delivered", json!({})), event(0, "processed", json!({})), event(0, "open", json!({})),
            event(1, "bounce", json!({ "type": "bounce", "reason": "550 5.1.1 u1@example.com unknown" })), event(1, "delivered", json!({})),
            event(2, "bounce", json!({ "type": "blocked", "reason": "try later" })),
            event(3, "delivered", json!({})), event(3, "spamreport", json!({})),
            json!({ "event": "bounce", "email": "somebody@elsewhere.example" }),
        ]);
        for _ in 0..2 {
            assert_eq!(app.sendgrid_says(&sendgrid, &events).await, 204);
            for (id, state) in ids.iter().zip(["delivered", "bounced", "bounced", "delivered"]) {
                assert_eq!(app.state(*id).await, state);
            }
            assert_eq!(app.count("suppressions WHERE reason = 'bounced' AND shown = 'u…@example.com'").await, 1);
            assert_eq!(app.count("suppressions WHERE reason = 'complained' AND shown = 'u…@example.com'").await, 1);
            assert_eq!(app.count("audit_entries WHERE action = 'notify.suppression.added'").await, 2);
            assert_eq!(app.count("suppressions").await, 2, "blocked is no bounce, and other people's mail is not our business");
        }
        assert!(!app.stored::<String>(ids[1], "last_error").await.contains("u1@"));
    }

    async fn what_sendgrid_did_not_sign_just_now_changes_nothing(test: TestDb) {
        let sendgrid = FakeSendGrid::start().await;
        let app = App::start(&test, &sendgrid_with(&sendgrid)).await;
        let id = app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        let body = json!([{ "event": "bounce", "baluarte_message": id }]).to_string();
        let at = app.clock.now().unix_seconds().to_string();
        let signature = sendgrid.sign(&at, body.as_bytes());
        let other = FakeSendGrid::start().await;
        assert_eq!(app.sendgrid_post(&at, "", &body).await, 403);
        assert_eq!(app.sendgrid_post(&at, &other.sign(&at, body.as_bytes()), &body).await, 403);
        assert_eq!(app.sendgrid_post(&at, &signature, &body.replace("bounce", "dropped")).await, 403);
        assert_eq!(app.sendgrid_post("0", &signature, &body).await, 403);
        app.clock.advance(std::time::Duration::from_secs(301));
        assert_eq!(app.sendgrid_post(&at, &signature, &body).await, 403, "kept for too long");
        assert_eq!((app.state(id).await.as_str(), app.count("suppressions").await), ("sent", 0));
        let at = app.clock.now().unix_seconds().to_string();
        assert_eq!(app.sendgrid_post(&at, &sendgrid.sign(&at, b"nonsense"), "nonsense").await, 400);
    }

    async fn reports_are_not_expected_where_nothing_could_sign_them(test: TestDb) {
        let server = SmtpServer::start(&[]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        assert_eq!(app.post("/api/v1/notify/callbacks/twilio", &[], "").await, 404);
        assert_eq!(app.post("/api/v1/notify/callbacks/sendgrid", &[], "[]").await, 404);
    }
}
