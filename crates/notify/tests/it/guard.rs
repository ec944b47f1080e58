//! Text messages cost money: what may be spent.

use std::time::Duration;

use baluarte_kernel::Rate;
use baluarte_notify::{NotifyError, SmsRefused};
use baluarte_telemetry::Metrics;
use baluarte_testkit::{FakeTwilio, each_backend};

use crate::{App, by_twilio};

const HOUR: Duration = Duration::from_secs(3_600);

each_backend! {
    async fn a_run_of_sms_pumping_stops_at_its_budget_and_raises_the_alarm(test: TestDb) {
        let twilio = FakeTwilio::start().await;
        let mut config = by_twilio(&twilio);
        config.sms_guard.per_block = vec![Rate::per_hour(1_000)];
        config.sms_guard.total = vec![Rate::per_hour(20)];
        let (app, replica) = (App::start(&test, &config).await, App::start(&test, &config).await);
        let metrics = Metrics::default();
        app.notify.report(&metrics);
        replica.notify.report(&metrics);
        // Numbers that follow each other, as whoever rents a range has them.
        for n in 0..60 {
            app.send(app.sms(&format!("+35191234{n:04}"))).await;
        }
        let workers = futures::future::join(app.work(), replica.work()).await;
        assert_eq!(workers.0 + workers.1, 60);
        assert_eq!((twilio.taken().len(), twilio.offers()), (20, 20), "not one more than the budget");
        assert_eq!(app.count("messages WHERE state = 'refused'").await, 40);
        assert_eq!(app.count("sms_spendings WHERE bucket = 'country:PT' AND messages = 20").await, 1, "what is refused takes from no budget");
        let shown = metrics.render();
        assert!(shown.contains("baluarte_notify_sms_refused_total{reason=\"total_budget\"} 40"), "{shown}");
        assert!(shown.contains("baluarte_notify_sms_stopped 1"), "{shown}");

        // With the next window it goes on.
        app.clock.advance(HOUR);
        let id = app.send(app.sms("+351912345678")).await;
        app.work().await;
        assert_eq!(app.state(id).await, "sent");
    }

    async fn each_budget_holds_by_itself_and_a_refusal_takes_from_none(test: TestDb) {
        let twilio = FakeTwilio::start().await;
        let mut config = by_twilio(&twilio);
        config.sms_guard.per_number = vec![Rate::per_hour(2)];
        config.sms_guard.per_block = vec![Rate::per_hour(3)];
        let app = App::start(&test, &config).await;
        for _ in 0..3 {
            app.send(app.sms("+351912340001")).await;
        }
        app.work().await;
        assert_eq!(twilio.taken().len(), 2, "the number's own budget");
        for n in 2..9 {
            app.send(app.sms(&format!("+35191234000{n}"))).await;
        }
        app.work().await;
        assert_eq!(twilio.taken().len(), 3, "the block's: the refused message was not counted");
        let id = app.send(app.sms("+351969990000")).await;
        app.work().await;
        assert_eq!(app.state(id).await, "sent");
        assert_eq!(app.count("sms_spendings WHERE bucket LIKE '%912%'").await, 0, "the table names no number");
    }

    async fn money_is_counted_by_country(test: TestDb) {
        let twilio = FakeTwilio::start().await;
        let mut config = by_twilio(&twilio);
        config.sms_guard.countries = vec!["PT".into(), "BR".into()];
        config.sms_guard.price = 0.10;
        config.sms_guard.prices = [("PT".to_owned(), 0.04)].into();
        config.sms_guard.hourly_budget = 0.30;
        let app = App::start(&test, &config).await;
        for n in 0..2 {
            app.send(app.sms(&format!("+5511{n}61234567"))).await;
        }
        app.work().await;
        for n in 1..6 {
            app.send(app.sms(&format!("+3519123{n}0001"))).await;
        }
        app.work().await;
        // Two for 0.10 and two for 0.04; a third for 0.04 would make 0.32.
        assert_eq!(twilio.taken().len(), 4);
    }

    async fn where_text_messages_do_not_go_is_said_at_once(test: TestDb) {
        let twilio = FakeTwilio::start().await;
        let app = App::start(&test, &by_twilio(&twilio)).await;
        let tx = app.db.begin().await.unwrap();
        for (number, wanted) in [("+447400123456", SmsRefused::Country), ("+351760123456", SmsRefused::Premium), ("912345678", SmsRefused::BadNumber)] {
            let refused = app.notify.send(&app.ctx(), &tx, app.sms(number)).await.unwrap_err();
            assert!(matches!(refused, NotifyError::Sms(why) if why == wanted), "{number}: {refused}");
        }
        tx.commit().await.unwrap();
        assert_eq!((app.work().await, app.count("messages").await), (0, 0));
    }
}
