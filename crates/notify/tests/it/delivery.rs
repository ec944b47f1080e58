use baluarte_kernel::Ctx;
use baluarte_notify::{Channel, NotifyConfig};
use baluarte_testkit::each_backend;

use crate::{App, by_smtp, smtp_server::SmtpServer};

each_backend! {
    async fn a_message_is_delivered_and_its_content_erased(test: TestDb) {
        let mut server = SmtpServer::start(&[]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        assert!(app.notify.email_configured() && !app.notify.sms_configured());
        let id = app.send(app.mail("zoe@example.com")).await;
        let sealed: String = app.stored(id, "sealed").await;
        assert!(sealed.starts_with("v1.") && !sealed.contains("t0ken"));

        assert_eq!(app.work().await, 1);
        let mail = server.next().await;
        for part in ["From: Shop <shop@example.com>", "To: zoe@example.com", "Subject: =?utf-8?", "Auto-Submitted: auto-generated", "text/plain", "text/html", "token=t0ken"] {
            assert!(mail.replace("=3D", "=").contains(part), "{part}: {mail}");
        }
        assert!(!mail.contains("List-"), "{mail}");
        assert_eq!(app.state(id).await, "sent");
        assert_eq!(app.stored::<String>(id, "provider").await, "smtp");
        assert_eq!(app.stored::<Option<String>>(id, "sealed").await, None);
        assert_eq!(app.count("jobs WHERE payload LIKE '%t0ken%' OR payload LIKE '%zoe%'").await, 0);
        assert_eq!(app.work_later().await, 0);
    }

    async fn a_message_of_a_transaction_that_failed_is_never_sent(test: TestDb) {
        let server = SmtpServer::start(&[]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let tx = app.db.begin().await.unwrap();
        app.notify.send(&Ctx::system(app.clock.clone()), &tx, app.mail("zoe@example.com")).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!((app.work().await, server.offers(), app.count("messages").await), (0, 0, 0));
    }

    async fn a_refusal_for_now_is_tried_again_later_with_the_same_message_id(test: TestDb) {
        let mut server = SmtpServer::start(&["451 busy", "535 who are you"]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let id = app.send(app.mail("zoe@example.com")).await;
        assert_eq!(app.work().await, 1);
        assert!(app.stored::<String>(id, "last_error").await.contains("451"));
        assert_eq!(app.work().await, 0, "not before its time");
        assert_eq!(app.work_later().await, 1);
        assert!(app.stored::<String>(id, "last_error").await.contains("535"));
        assert_eq!((app.state(id).await.as_str(), app.stored::<i64>(id, "attempts").await), ("queued", 2));
        assert_eq!(app.work_later().await, 1);
        assert!(server.next().await.contains(&format!("Message-ID: <{id}@example.com>")));
        assert_eq!(app.state(id).await, "sent");
    }

    async fn a_refusal_for_good_ends_it_and_the_log_of_it_names_nobody(test: TestDb) {
        let server = SmtpServer::start(&["554 <gone@example.com>: no thanks"]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let id = app.send(app.mail("gone@example.com")).await;
        app.work().await;
        assert_eq!(app.state(id).await, "failed");
        let error: String = app.stored(id, "last_error").await;
        assert!(error.contains("<g…@example.com>: no thanks") && !error.contains("gone@"), "{error}");
        assert_eq!(app.count("job_errors WHERE error LIKE '%gone@%'").await + app.count("jobs WHERE error LIKE '%gone@%'").await, 0);
        assert_eq!(app.count("suppressions").await, 0, "it is about this mail, not about the address");
        assert_eq!((app.work_later().await, server.offers()), (0, 1));
    }

    async fn nothing_is_sent_to_a_mailbox_that_does_not_exist_until_that_is_forgotten(test: TestDb) {
        let server = SmtpServer::start(&["550 5.1.1 user unknown"]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        app.send(app.mail("gone@example.com")).await;
        app.work().await;
        let id = app.send(app.mail("Gone@Example.com")).await;
        app.work().await;
        assert_eq!((app.state(id).await.as_str(), server.offers()), ("suppressed", 1));
        app.clock.advance(std::time::Duration::from_secs(31 * 86_400));
        let id = app.send(app.mail("gone@example.com")).await;
        app.work().await;
        assert_eq!((app.state(id).await.as_str(), server.offers()), ("sent", 2));
    }

    async fn an_unreachable_server_loses_nothing(test: TestDb) {
        let away = App::start(&test, &by_smtp(1)).await;
        let id = away.send(away.mail("zoe@example.com")).await;
        assert_eq!(away.work().await, 1);
        assert_eq!(away.state(id).await, "queued");
        let mut server = SmtpServer::start(&[]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        assert_eq!(app.work_later().await, 1);
        server.next().await;
    }

    async fn a_message_that_is_no_longer_useful_is_dropped(test: TestDb) {
        let server = SmtpServer::start(&[]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let id = app.send(app.mail("zoe@example.com")).await;
        app.clock.advance(std::time::Duration::from_secs(3_600));
        assert_eq!(app.work().await, 1);
        assert_eq!((app.state(id).await.as_str(), server.offers()), ("expired", 0));
        assert_eq!(app.stored::<Option<String>>(id, "sealed").await, None);
    }

    async fn a_job_that_runs_twice_sends_once(test: TestDb) {
        let server = SmtpServer::start(&[]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        // As after a worker that died between the deed and the word.
        app.execute("UPDATE jobs SET state = 'ready'").await;
        assert_eq!((app.work().await, server.offers()), (1, 1));
    }

    async fn a_message_that_was_being_handed_over_when_its_process_died_waits_for_a_report_and_is_sent_again(test: TestDb) {
        let mut server = SmtpServer::start(&[]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let id = app.send(app.mail("zoe@example.com")).await;
        app.execute(&format!("UPDATE messages SET attempts = 1, provider = 'smtp', trying_since = {}", app.clock.now().micros())).await;
        assert_eq!((app.work().await, server.offers()), (1, 0));
        assert_eq!(app.work_later().await, 1);
        assert!(server.next().await.contains(&format!("Message-ID: <{id}@example.com>")));
    }

    async fn a_channel_without_a_provider_delivers_nothing_and_says_so(test: TestDb) {
        let app = App::start(&test, &NotifyConfig::default()).await;
        assert!(!app.notify.email_configured() && !app.notify.delivers(Channel::Email));
        let id = app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        assert_eq!(app.stored::<String>(id, "last_error").await, "no provider is configured");
        assert_eq!(app.state(id).await, "queued");
        assert!(app.notify.outbox(10).await.unwrap().is_empty());
    }

    async fn an_address_with_a_line_break_reaches_no_header(test: TestDb) {
        let server = SmtpServer::start(&[]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let id = app.send(app.mail("zoe@example.com\r\nBcc: all@example.com")).await;
        app.work().await;
        assert_eq!((app.state(id).await.as_str(), server.offers()), ("failed", 0));
    }
}
