//! What is kept about people, what becomes of it when they leave, and who notices that nothing gets through to them.

use std::time::Duration;

use baluarte_db::{sea_orm::ConnectionTrait as _, sql};
use baluarte_kernel::{Event, PageQuery, UserId};
use baluarte_notify::{Channel, SuppressionId};
use baluarte_telemetry::Metrics;
use baluarte_testkit::each_backend;
use tokio_util::sync::CancellationToken;

use crate::{App, MINUTE, by_smtp, smtp_server::SmtpServer};

impl App {
    async fn delete(&self, user_id: UserId) {
        let tx = self.db.begin().await.unwrap();
        self.jobs.publish(&self.ctx(), &tx, Event::UserDeleted { user_id }).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Every text of both tables.
    async fn dump(&self) -> String {
        let mut text = String::new();
        for table in ["messages", "suppressions", "audit_entries"] {
            for row in self.db.read().query_all_raw(sql(self.db.read(), &format!("SELECT * FROM {table}"), [])).await.unwrap() {
                for column in row.column_names() {
                    text.push_str(&row.try_get::<Option<String>>("", &column).ok().flatten().unwrap_or_default());
                    text.push(' ');
                }
            }
        }
        text
    }
}

each_backend! {
    async fn who_is_gone_gets_no_message_and_leaves_none(test: TestDb) {
        let server = SmtpServer::start(&["250 ok", "451 later", "550 5.1.1 unknown"]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let (zoe, ana) = (UserId::generate(), UserId::generate());
        let sent = app.send(app.mail("zoe@example.com").about(zoe)).await;
        app.work().await;
        let waiting = app.send(app.mail("zoe@example.com").about(zoe)).await;
        app.work().await;
        assert_eq!((app.state(sent).await.as_str(), app.state(waiting).await.as_str()), ("sent", "queued"));
        let other = app.send(app.mail("ana@example.com").about(ana)).await;
        app.work().await;
        assert_eq!((app.state(other).await.as_str(), server.offers()), ("failed", 3));

        app.delete(zoe).await;
        app.work().await;
        app.work_later().await;
        assert_eq!((app.count("messages").await, server.offers()), (1, 3));
        let dump = app.dump().await;
        assert!(!dump.contains("zoe@") && !dump.contains("z…@") && dump.contains("ana@example.com"), "{dump}");
        // Written by a request that had begun before: gone with the second look.
        app.send(app.mail("zoe@example.com").about(zoe)).await;
        app.execute("UPDATE jobs SET state = 'canceled' WHERE kind = 'notify.deliver'").await;
        app.clock.advance(MINUTE * 10);
        app.work().await;
        assert_eq!(app.count("messages").await, 1);
    }

    async fn a_dead_address_is_stored_as_a_hash_and_recognised_after_its_owner_has_left(test: TestDb) {
        let server = SmtpServer::start(&["550 5.1.1 <gone@example.com> unknown"]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let zoe = UserId::generate();
        app.send(app.mail("gone@example.com").about(zoe)).await;
        app.work().await;
        let list = || async { app.notify.list_suppressions(&app.ctx(), None, Some("Gone@example.com"), &PageQuery::default()).await.unwrap().items };
        assert_eq!(list().await[0].address, "g…@example.com");
        assert_eq!(app.count("suppressions WHERE address LIKE 'h1.%'").await, 1);

        app.delete(zoe).await;
        app.work().await;
        let dump = app.dump().await;
        assert!(!dump.contains("gone@"), "{dump}");
        let held = list().await.remove(0);
        assert_eq!((held.address.as_str(), held.reason.as_str(), held.detail), ("…", "bounced", None));
        // They come back with the same address, which is as dead as before.
        let id = app.send(app.mail("gone@example.com").about(UserId::generate())).await;
        app.work().await;
        assert_eq!((app.state(id).await.as_str(), server.offers()), ("suppressed", 1));
    }

    async fn addresses_that_an_earlier_version_kept_in_clear_count_and_become_hashes(test: TestDb) {
        let server = SmtpServer::start(&[]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let far = app.clock.now().plus(MINUTE * 600).micros();
        for address in ["zoe@example.com", "ana@example.com"] {
            let id = SuppressionId::generate();
            let row = format!("('{id}', 'email', '{address}', 'bounced', 0, {far})");
            app.execute(&format!("INSERT INTO suppressions (id, channel, address, reason, created_at, expires_at) VALUES {row}")).await;
        }
        let id = app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        assert_eq!(app.state(id).await, "suppressed");
        app.notify.add_suppression(&app.ctx(), Channel::Email, "ana@example.com", None).await.unwrap();
        app.notify.sweep(&app.ctx()).await.unwrap();
        assert_eq!((app.count("suppressions").await, app.count("suppressions WHERE address LIKE 'h1.%'").await), (2, 2));
        let id = app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        assert_eq!((app.state(id).await.as_str(), server.offers()), ("suppressed", 0));
    }

    async fn messages_that_do_not_get_through_raise_an_alarm_that_says_why(test: TestDb) {
        let server = SmtpServer::start(&["451 try later"; 50]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let none = app.notify.waiting(app.clock.now()).await.unwrap();
        assert!(none.iter().all(|it| it.messages == 0 && it.oldest == Duration::ZERO && !app.notify.is_alarming(it)));
        app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        app.clock.advance(MINUTE * 2);
        app.send(app.mail("ana@example.com")).await;
        let [email, sms] = app.notify.waiting(app.clock.now()).await.unwrap();
        assert_eq!((email.messages, email.oldest, sms.messages, app.notify.is_alarming(&email)), (2, MINUTE * 2, 0, false));
        assert!(email.last_error.as_deref().is_some_and(|error| error.contains("451") && !error.contains("zoe@")), "{email:?}");
        app.clock.advance(MINUTE * 3);
        let [email, _] = app.notify.waiting(app.clock.now()).await.unwrap();
        assert!(app.notify.is_alarming(&email));

        let (metrics, stopping) = (Metrics::default(), CancellationToken::new());
        app.notify.report(&metrics);
        let watch = tokio::spawn(app.notify.clone().watch(stopping.clone()));
        for line in ["baluarte_notify_waiting{channel=\"email\"} 2", "baluarte_notify_oldest_seconds{channel=\"email\"} 300"] {
            while !metrics.render().contains(line) {
                tokio::task::yield_now().await;
            }
        }
        stopping.cancel();
        watch.await.unwrap();
    }

    async fn a_message_that_an_operator_sends_again_has_waited_since_then(test: TestDb) {
        let server = SmtpServer::start(&["554 no", "451 later"]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let id = app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        app.clock.advance(MINUTE * 30);
        app.notify.resend_message(&app.ctx(), id).await.unwrap();
        app.work().await;
        let [email, _] = app.notify.waiting(app.clock.now()).await.unwrap();
        assert_eq!((email.messages, email.oldest), (1, Duration::ZERO));
    }
}
