use std::time::Duration;

use baluarte_notify::{Channel, Message, NotifyConfig};
use baluarte_testkit::each_backend;

use crate::{ALL, by_smtp, mail, notify, send, smtp_server::SmtpServer, stored};

each_backend! {
    async fn without_a_provider_the_outbox_is_the_delivery(test: TestDb) {
        let db = test.open(ALL).await;
        let notify = notify(&db, &NotifyConfig { dev_outbox: Some(true), ..Default::default() });
        assert!(notify.delivers(Channel::Email) && notify.delivers(Channel::Sms));
        send(&notify, &db, &test.clock, mail(&test.clock, "first@example.com")).await;
        test.clock.advance(Duration::from_secs(1));
        let sms = Message { channel: Channel::Sms, html: None, ..mail(&test.clock, "+351900000000") };
        send(&notify, &db, &test.clock, sms).await;
        assert_eq!(notify.deliver_due(&test.clock).await.unwrap(), 0);

        let items = notify.outbox(10).await.unwrap();
        let shown = serde_json::to_value(&items).unwrap();
        assert_eq!((items.len(), &shown[0]["channel"], &shown[0]["to"]), (2, &"sms".into(), &"+351900000000".into()));
        assert_eq!(shown[1]["subject"], "Confirmação");
        assert_eq!(shown[1]["html"], "<p>t0ken</p>");
        assert_eq!(shown[1]["created_at"], "2027-01-15T08:00:00Z");
        let newest = notify.outbox(1).await.unwrap();
        assert_eq!((newest.len(), &newest[0].id), (1, &items[0].id));
    }

    async fn with_a_provider_the_outbox_keeps_what_was_sent(test: TestDb) {
        let (db, mut server) = (test.open(ALL).await, SmtpServer::start(&[]).await);
        let notify = notify(&db, &NotifyConfig { dev_outbox: Some(true), ..by_smtp(server.port) });
        send(&notify, &db, &test.clock, mail(&test.clock, "zoe@example.com")).await;
        notify.deliver_due(&test.clock).await.unwrap();
        server.next().await;
        assert_eq!(stored::<String>(&db, "state").await, "sent");
        assert_eq!(notify.outbox(10).await.unwrap().len(), 1);
    }
}
