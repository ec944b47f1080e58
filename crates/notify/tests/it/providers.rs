//! SendGrid, Twilio, and a provider the operator describes: what they answer, and what becomes of the message then.

use std::collections::BTreeMap;

use baluarte_kernel::Secret;
use baluarte_notify::{Channel, HttpProviderConfig, NotifyConfig, SendGridConfig};
use baluarte_testkit::{FakeSendGrid, FakeTwilio, Mishap, Upstream, each_backend};
use serde_json::{Value, json};

use crate::{App, by_smtp, by_twilio, smtp_server::SmtpServer};

fn by_sendgrid(sendgrid: &FakeSendGrid) -> NotifyConfig {
    NotifyConfig {
        email_from: "Shop <shop@example.com>".into(),
        sendgrid: SendGridConfig { api_key: Secret::new(FakeSendGrid::KEY), api_base: sendgrid.url().into(), ..Default::default() },
        ..Default::default()
    }
}

each_backend! {
    async fn a_mail_through_sendgrid_is_tracked_by_nobody(test: TestDb) {
        let sendgrid = FakeSendGrid::start().await;
        let app = App::start(&test, &by_sendgrid(&sendgrid)).await;
        let id = app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        let taken = sendgrid.taken().pop().unwrap();
        let at = |pointer: &str| taken.body.pointer(pointer).cloned().unwrap_or_default();
        for (pointer, wanted) in [
            ("/tracking_settings/click_tracking/enable", json!(false)),
            ("/tracking_settings/click_tracking/enable_text", json!(false)),
            ("/tracking_settings/open_tracking/enable", json!(false)),
            ("/personalizations/0/custom_args/baluarte_message", json!(id)),
            ("/from", json!({ "email": "shop@example.com", "name": "Shop" })),
            ("/content/1/value", json!("<p>t0ken</p>")),
            ("/headers/Auto-Submitted", json!("auto-generated")),
            ("/mail_settings", Value::Null),
        ] {
            assert_eq!(at(pointer), wanted, "{pointer}");
        }
        assert_eq!(app.state(id).await, "sent");
        assert_eq!(app.stored::<String>(id, "provider_reference").await, taken.reference);
    }

    async fn a_text_message_through_twilio_is_dropped_by_it_when_it_is_useless(test: TestDb) {
        let twilio = FakeTwilio::start().await;
        let app = App::start(&test, &by_twilio(&twilio)).await;
        assert!(app.notify.sms_configured());
        let id = app.send(app.sms("+351 912 345 678")).await;
        app.work().await;
        let taken = twilio.taken().pop().unwrap();
        assert_eq!((taken.to.as_str(), &taken.body["From"], &taken.body["ValidityPeriod"]), ("+351912345678", &json!("+351910000000"), &json!("600")));
        assert_eq!(taken.body["StatusCallback"], format!("https://shop.example/api/v1/notify/callbacks/twilio?message={id}"));
        assert_eq!(app.stored::<String>(id, "provider_reference").await, taken.reference);
    }

    async fn when_the_first_provider_cannot_the_next_one_is_asked_at_once(test: TestDb) {
        let (sendgrid, mut server) = (FakeSendGrid::start().await, SmtpServer::start(&[]).await);
        let app = App::start(&test, &NotifyConfig { smtp_url: by_smtp(server.port).smtp_url, ..by_sendgrid(&sendgrid) }).await;
        for mishap in [Mishap::status(503), Mishap::status(401), Mishap::Status(429, vec![("retry-after", "60".into())], Value::Null)] {
            sendgrid.mishaps([mishap]);
            let id = app.send(app.mail("zoe@example.com")).await;
            assert_eq!(app.work().await, 1);
            server.next().await;
            assert_eq!((app.state(id).await.as_str(), app.stored::<String>(id, "provider").await.as_str()), ("sent", "smtp"));
        }
        assert_eq!((sendgrid.taken().len(), sendgrid.offers()), (0, 3));
    }

    async fn a_message_at_fault_itself_goes_to_nobody_else(test: TestDb) {
        let (sendgrid, server) = (FakeSendGrid::start().await, SmtpServer::start(&[]).await);
        let app = App::start(&test, &NotifyConfig { smtp_url: by_smtp(server.port).smtp_url, ..by_sendgrid(&sendgrid) }).await;
        let bad = app.send(app.mail("no address@example")).await;
        app.work().await;
        sendgrid.mishaps([Mishap::status(413)]);
        let large = app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        assert_eq!((app.state(bad).await, app.state(large).await), ("failed".to_owned(), "failed".to_owned()));
        assert!(app.stored::<String>(bad, "last_error").await.contains("valid address"));
        assert_eq!(server.offers(), 0);
    }

    async fn who_says_when_to_come_back_is_asked_then_and_not_before(test: TestDb) {
        let sendgrid = FakeSendGrid::start().await;
        let app = App::start(&test, &by_sendgrid(&sendgrid)).await;
        let reset = app.clock.now().unix_seconds() + 50;
        sendgrid.mishaps([Mishap::Status(429, vec![("x-ratelimit-reset", reset.to_string())], Value::Null)]);
        let id = app.send(app.mail("zoe@example.com")).await;
        let other = app.send(app.mail("ana@example.com")).await;
        app.work().await;
        app.clock.advance(std::time::Duration::from_secs(40));
        app.work().await;
        assert_eq!((sendgrid.offers(), app.state(id).await.as_str(), app.state(other).await.as_str()), (1, "queued", "queued"));
        // One asks first; the other waits for what it finds out.
        app.work_later().await;
        app.work_later().await;
        assert_eq!((sendgrid.offers(), app.state(id).await.as_str(), app.state(other).await.as_str()), (3, "sent", "sent"));
    }

    async fn a_provider_that_keeps_failing_is_left_alone_and_asked_again_later(test: TestDb) {
        let (sendgrid, server) = (FakeSendGrid::start().await, SmtpServer::start(&[]).await);
        let app = App::start(&test, &NotifyConfig { smtp_url: by_smtp(server.port).smtp_url, ..by_sendgrid(&sendgrid) }).await;
        sendgrid.mishaps((0..5).map(|_| Mishap::status(500)));
        for n in 0..8 {
            app.send(app.mail(&format!("u{n}@example.com"))).await;
        }
        app.work().await;
        assert_eq!((sendgrid.offers(), server.offers()), (5, 8), "the last three did not wait for it");
        assert!(app.notify.provider_states().iter().any(|state| state.name == "sendgrid" && state.open));
        app.clock.advance(std::time::Duration::from_secs(60));
        app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        assert_eq!((sendgrid.taken().len(), server.offers()), (1, 8));
        assert!(app.notify.provider_states().iter().all(|state| !state.open));
    }

    async fn a_line_that_breaks_after_the_message_was_taken_sends_no_second_text_message(test: TestDb) {
        let twilio = FakeTwilio::start().await;
        let app = App::start(&test, &by_twilio(&twilio)).await;
        twilio.mishaps([Mishap::ResetAfterAccept]);
        let id = app.send(app.sms("+351912345678")).await;
        app.work().await;
        assert_eq!((app.state(id).await.as_str(), twilio.taken().len()), ("queued", 1));
        app.work_later().await;
        assert_eq!((app.state(id).await.as_str(), twilio.taken().len(), twilio.offers()), ("sent", 1, 1));
        assert_eq!(app.stored::<String>(id, "provider_reference").await, twilio.taken()[0].reference);
    }

    async fn silence_is_waited_for_so_long_and_then_nobody_knows(test: TestDb) {
        let (sendgrid, twilio) = (FakeSendGrid::start().await, FakeTwilio::start().await);
        let app = App::start(&test, &NotifyConfig { twilio: by_twilio(&twilio).twilio, ..by_sendgrid(&sendgrid) }).await;
        sendgrid.mishaps([Mishap::Hang]);
        twilio.mishaps([Mishap::HangAfterAccept]);
        let (mail, sms) = (app.send(app.mail("zoe@example.com")).await, app.send(app.sms("+351912345678")).await);
        app.work().await;
        for id in [mail, sms] {
            assert_eq!(app.state(id).await, "queued");
            assert_eq!(app.stored::<String>(id, "last_error").await.split_once(": ").map(|(_, why)| why.to_owned()).as_deref(), Some("no answer in time"));
        }
        app.work_later().await;
        // One has to be sent again, the other is found where it was sent.
        assert_eq!((app.state(mail).await.as_str(), sendgrid.offers(), sendgrid.taken().len()), ("sent", 2, 1));
        assert_eq!((app.state(sms).await.as_str(), twilio.offers(), twilio.taken().len()), ("sent", 1, 1));
    }

    async fn an_account_that_may_not_send_is_the_operators_business_and_loses_nothing(test: TestDb) {
        let (sendgrid, twilio) = (FakeSendGrid::start().await, FakeTwilio::start().await);
        let mut wrong = NotifyConfig { twilio: by_twilio(&twilio).twilio, ..by_sendgrid(&sendgrid) };
        wrong.sendgrid.api_key = Secret::new("SG.revoked");
        wrong.twilio.auth_token = Secret::new("revoked");
        let app = App::start(&test, &wrong).await;
        let (mail, sms) = (app.send(app.mail("zoe@example.com")).await, app.send(app.sms("+351912345678")).await);
        app.work().await;
        for (id, word) in [(mail, "401"), (sms, "20003")] {
            let why: String = app.stored(id, "last_error").await;
            assert!(why.contains(word) && !why.contains("revoked,") && !why.contains("SG."), "{why}");
            assert_eq!(app.state(id).await, "queued");
        }
        assert_eq!(app.count("suppressions").await, 0);
        // Mended, and sent without anybody's doing.
        let app = App::start(&test, &NotifyConfig { twilio: by_twilio(&twilio).twilio, ..by_sendgrid(&sendgrid) }).await;
        app.work_later().await;
        assert_eq!((app.state(mail).await.as_str(), app.state(sms).await.as_str()), ("sent", "sent"));
    }

    async fn an_earlier_message_that_says_the_same_is_not_taken_for_this_one(test: TestDb) {
        let twilio = FakeTwilio::start().await;
        let app = App::start(&test, &by_twilio(&twilio)).await;
        app.send(app.sms("+351912345678")).await;
        app.work().await;
        app.clock.advance(std::time::Duration::from_secs(600));
        twilio.mishaps([Mishap::DropBeforeAccept]);
        let id = app.send(app.sms("+351912345678")).await;
        app.work().await;
        app.work_later().await;
        assert_eq!((app.state(id).await.as_str(), twilio.taken().len()), ("sent", 2));
    }

    async fn nobody_else_is_asked_while_the_first_may_have_the_message(test: TestDb) {
        let (sendgrid, server) = (FakeSendGrid::start().await, SmtpServer::start(&[]).await);
        let app = App::start(&test, &NotifyConfig { smtp_url: by_smtp(server.port).smtp_url, ..by_sendgrid(&sendgrid) }).await;
        sendgrid.mishaps([Mishap::ResetAfterAccept, Mishap::status(500)]);
        let id = app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        app.work_later().await;
        assert_eq!((app.state(id).await.as_str(), server.offers(), sendgrid.offers()), ("queued", 0, 2));
        // Then the second is better than none.
        app.clock.advance(std::time::Duration::from_secs(600));
        sendgrid.mishaps([Mishap::status(500)]);
        app.work().await;
        assert_eq!((app.state(id).await.as_str(), server.offers()), ("sent", 1));
    }

    async fn numbers_that_cannot_get_text_messages_are_not_tried_again(test: TestDb) {
        let twilio = FakeTwilio::start().await;
        let mut config = by_twilio(&twilio);
        config.sms_guard.countries = vec!["US".into()];
        let app = App::start(&test, &config).await;
        for (number, reason) in [("+15005550001", "bounced"), ("+15005550009", "bounced"), ("+15005550004", "opted-out")] {
            let id = app.send(app.sms(number)).await;
            app.work().await;
            assert_eq!(app.state(id).await, "failed", "{number}");
            let shown = format!("+150…0{}", &number[11..]);
            assert_eq!(app.count(&format!("suppressions WHERE shown = '{shown}' AND reason = '{reason}'")).await, 1);
            assert!(!app.stored::<String>(id, "last_error").await.contains(number));
            let again = app.send(app.sms(number)).await;
            app.work().await;
            assert_eq!(app.state(again).await, "suppressed", "{number}");
        }
        // What the account may not do can be mended.
        let id = app.send(app.sms("+15005550003")).await;
        app.work().await;
        assert_eq!((app.state(id).await.as_str(), app.count("suppressions").await), ("queued", 3));
    }

    async fn a_provider_of_ones_own_gets_the_message_with_a_key_that_tells_doubles(test: TestDb) {
        let upstream = Upstream::start().await;
        let provider = HttpProviderConfig {
            channel: Channel::Sms,
            url: format!("{}/messages", upstream.url()),
            headers: BTreeMap::from([("X-Api-Key".to_owned(), Secret::new("s3cret"))]),
            body: json!({ "recipients": ["{to}"], "message": "{text}", "sender": "{from}" }),
            id: "/target".into(),
            ..HttpProviderConfig::default()
        };
        let mut config = NotifyConfig { http: BTreeMap::from([("gateway".to_owned(), provider)]), ..NotifyConfig::default() };
        config.sms_guard.countries = vec!["PT".into()];
        let app = App::start(&test, &config).await;
        let id = app.send(app.sms("+351912345678")).await;
        app.work().await;
        let received = upstream.last();
        assert_eq!((received.header("x-api-key"), received.header("idempotency-key")), (Some("s3cret"), Some(id.to_string().as_str())));
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        assert_eq!(body, json!({ "recipients": ["+351912345678"], "message": "482913 para +351912345678", "sender": "" }));
        assert_eq!((app.state(id).await.as_str(), app.stored::<String>(id, "provider_reference").await.as_str()), ("sent", "/messages"));
    }

    async fn a_look_at_the_providers_sends_nothing(test: TestDb) {
        let (sendgrid, twilio, server) = (FakeSendGrid::start().await, FakeTwilio::start().await, SmtpServer::start(&[]).await);
        let mut config = NotifyConfig { smtp_url: by_smtp(server.port).smtp_url, twilio: by_twilio(&twilio).twilio, ..by_sendgrid(&sendgrid) };
        let app = App::start(&test, &config).await;
        let checks = app.notify.check_providers().await;
        assert_eq!(checks.iter().map(|check| check.provider.as_str()).collect::<Vec<_>>(), ["sendgrid", "smtp", "twilio"]);
        assert!(checks.iter().all(|check| check.result.is_ok()), "{checks:?}");
        assert_eq!((sendgrid.offers(), twilio.offers(), server.offers()), (0, 0, 0));

        config.sendgrid.api_key = Secret::new("SG.wrong");
        config.twilio.auth_token = Secret::new("wrong");
        config.smtp_url = Secret::new("smtp://127.0.0.1:1");
        let checks = App::start(&test, &config).await.notify.check_providers().await;
        let said: String = checks.into_iter().map(|check| check.result.unwrap_err()).collect();
        assert!(said.contains("401") && said.contains("revoked") && said.contains("Authenticate") && !said.contains("SG.wrong"), "{said}");
    }
}
