use std::time::Duration;

use baluarte_notify::{Channel, NotifyConfig};
use baluarte_testkit::each_backend;

use crate::{App, by_smtp, smtp_server::SmtpServer};

each_backend! {
    async fn without_a_provider_the_outbox_is_the_delivery(test: TestDb) {
        let app = App::start(&test, &NotifyConfig { dev_outbox: Some(true), ..Default::default() }).await;
        assert!(app.notify.delivers(Channel::Email) && app.notify.delivers(Channel::Sms));
        app.send(app.mail("first@example.com")).await;
        app.clock.advance(Duration::from_secs(1));
        app.send(app.sms("+351 900 000 000")).await;
        assert_eq!(app.work().await, 0);

        let items = app.notify.outbox(10).await.unwrap();
        let shown = serde_json::to_value(&items).unwrap();
        assert_eq!((items.len(), &shown[0]["channel"], &shown[0]["to"]), (2, &"sms".into(), &"+351900000000".into()));
        assert_eq!(shown[1]["subject"], "Confirmação");
        assert_eq!(shown[1]["html"], "<p>t0ken</p>");
        assert_eq!(shown[1]["created_at"], "2027-01-15T08:00:00Z");
        let newest = app.notify.outbox(1).await.unwrap();
        assert_eq!((newest.len(), &newest[0].id), (1, &items[0].id));
    }

    async fn with_a_provider_the_outbox_keeps_what_was_sent(test: TestDb) {
        let mut server = SmtpServer::start(&[]).await;
        let app = App::start(&test, &NotifyConfig { dev_outbox: Some(true), ..by_smtp(server.port) }).await;
        let id = app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        server.next().await;
        assert_eq!(app.state(id).await, "sent");
        assert_eq!(app.notify.outbox(10).await.unwrap().len(), 1);
    }
}
