use std::time::Duration;

use baluarte_db::sea_orm::ConnectionTrait as _;
use baluarte_kernel::Ctx;
use baluarte_notify::{Channel, NotifyConfig};
use baluarte_testkit::each_backend;
use tokio_util::sync::CancellationToken;

use crate::{ALL, by_smtp, mail, notify, send, smtp_server::SmtpServer, stored};

const LATER: Duration = Duration::from_secs(60);

each_backend! {
    async fn a_message_is_delivered_and_its_content_erased(test: TestDb) {
        let (db, mut server) = (test.open(ALL).await, SmtpServer::start(&[]).await);
        let notify = notify(&db, &by_smtp(server.port));
        assert!(notify.email_configured() && !notify.sms_configured());
        send(&notify, &db, &test.clock, mail(&test.clock, "zoe@example.com")).await;
        let sealed: String = stored(&db, "sealed").await;
        assert!(sealed.starts_with("v1.") && !sealed.contains("t0ken"));

        assert_eq!(notify.deliver_due(&test.clock).await.unwrap(), 1);
        let mail = server.next().await;
        for part in ["From: Shop <shop@example.com>", "To: zoe@example.com", "Subject: =?utf-8?", "Auto-Submitted: auto-generated", "text/plain", "text/html", "token=t0ken"] {
            assert!(mail.replace("=3D", "=").contains(part), "{part}: {mail}");
        }
        assert_eq!(stored::<String>(&db, "state").await, "sent");
        assert_eq!(stored::<Option<String>>(&db, "sealed").await, None);
        assert_eq!(notify.deliver_due(&test.clock).await.unwrap(), 0);
    }

    async fn a_message_of_a_transaction_that_failed_is_never_sent(test: TestDb) {
        let (db, server) = (test.open(ALL).await, SmtpServer::start(&[]).await);
        let notify = notify(&db, &by_smtp(server.port));
        let tx = db.begin().await.unwrap();
        notify.send(&Ctx::system(test.clock.clone()), &tx, mail(&test.clock, "zoe@example.com")).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(notify.deliver_due(&test.clock).await.unwrap(), 0);
        assert_eq!(server.offers(), 0);
    }

    async fn a_refusal_for_now_is_tried_again_later_with_the_same_message_id(test: TestDb) {
        let (db, mut server) = (test.open(ALL).await, SmtpServer::start(&["451 busy", "535 who are you"]).await);
        let notify = notify(&db, &by_smtp(server.port));
        send(&notify, &db, &test.clock, mail(&test.clock, "zoe@example.com")).await;
        for attempt in 1..=2 {
            assert_eq!(notify.deliver_due(&test.clock).await.unwrap(), 1);
            assert_eq!(stored::<String>(&db, "state").await, "waiting");
            assert_eq!(stored::<i64>(&db, "attempts").await, attempt);
            assert!(stored::<String>(&db, "last_error").await.contains(if attempt == 1 { "451" } else { "535" }));
            assert_eq!(notify.deliver_due(&test.clock).await.unwrap(), 0, "not before its time");
            test.clock.advance(LATER);
        }
        let id: String = stored(&db, "id").await;
        assert_eq!(notify.deliver_due(&test.clock).await.unwrap(), 1);
        assert!(server.next().await.contains(&format!("Message-ID: <{id}@example.com>")));
        assert_eq!(stored::<String>(&db, "state").await, "sent");
    }

    async fn a_refusal_for_good_ends_it(test: TestDb) {
        let (db, server) = (test.open(ALL).await, SmtpServer::start(&["550 nobody here"]).await);
        let notify = notify(&db, &by_smtp(server.port));
        send(&notify, &db, &test.clock, mail(&test.clock, "gone@example.com")).await;
        notify.deliver_due(&test.clock).await.unwrap();
        assert_eq!(stored::<String>(&db, "state").await, "failed");
        assert_eq!(stored::<Option<String>>(&db, "sealed").await, None);
        test.clock.advance(LATER);
        assert_eq!(notify.deliver_due(&test.clock).await.unwrap(), 0);
    }

    async fn an_unreachable_server_loses_nothing(test: TestDb) {
        let db = test.open(ALL).await;
        let away = notify(&db, &by_smtp(1));
        send(&away, &db, &test.clock, mail(&test.clock, "zoe@example.com")).await;
        assert_eq!(away.deliver_due(&test.clock).await.unwrap(), 1);
        let mut server = SmtpServer::start(&[]).await;
        test.clock.advance(LATER);
        assert_eq!(notify(&db, &by_smtp(server.port)).deliver_due(&test.clock).await.unwrap(), 1);
        server.next().await;
    }

    async fn a_message_that_is_no_longer_useful_is_dropped(test: TestDb) {
        let (db, server) = (test.open(ALL).await, SmtpServer::start(&[]).await);
        let notify = notify(&db, &by_smtp(server.port));
        send(&notify, &db, &test.clock, mail(&test.clock, "zoe@example.com")).await;
        test.clock.advance(Duration::from_secs(3_600));
        assert_eq!(notify.deliver_due(&test.clock).await.unwrap(), 1);
        assert_eq!((stored::<String>(&db, "state").await.as_str(), server.offers()), ("expired", 0));
        assert_eq!(stored::<Option<String>>(&db, "sealed").await, None);
    }

    async fn replicas_that_deliver_at_once_send_each_message_once(test: TestDb) {
        let (db, mut server) = (test.open(ALL).await, SmtpServer::start(&[]).await);
        let replicas = [notify(&db, &by_smtp(server.port)), notify(&test.open(ALL).await, &by_smtp(server.port)), notify(&test.open(ALL).await, &by_smtp(server.port))];
        for n in 0..30 {
            send(&replicas[0], &db, &test.clock, mail(&test.clock, &format!("u{n}@example.com"))).await;
        }
        let mut taken = 0;
        while taken < 30 {
            let turns = futures::future::join_all(replicas.iter().map(|replica| replica.deliver_due(&test.clock))).await;
            taken += turns.into_iter().map(Result::unwrap).sum::<usize>();
        }
        assert_eq!((taken, server.offers()), (30, 30));
        let mut recipients = std::collections::HashSet::new();
        for _ in 0..30 {
            let mail = server.next().await;
            assert!(recipients.insert(mail.lines().find(|line| line.starts_with("To: ")).unwrap().to_owned()));
        }
        assert!(server.is_empty());
    }

    async fn a_message_that_somebody_is_delivering_is_nobody_elses_until_the_lease_ends(test: TestDb) {
        let (db, mut server) = (test.open(ALL).await, SmtpServer::start(&[""]).await);
        let (slow, other) = (notify(&db, &by_smtp(server.port)), notify(&db, &by_smtp(server.port)));
        send(&slow, &db, &test.clock, mail(&test.clock, "zoe@example.com")).await;
        let clock = test.clock.clone();
        let stuck = tokio::spawn(async move { slow.deliver_due(&clock).await });
        while server.offers() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(other.deliver_due(&test.clock).await.unwrap(), 0);
        test.clock.advance(Duration::from_secs(120));
        assert_eq!(other.deliver_due(&test.clock).await.unwrap(), 1);
        server.next().await;
        assert_eq!(stored::<i64>(&db, "attempts").await, 2);
        stuck.abort();
    }

    async fn what_a_dead_replica_had_taken_is_delivered_by_another(test: TestDb) {
        let (db, mut server) = (test.open(ALL).await, SmtpServer::start(&[]).await);
        let notify = notify(&db, &by_smtp(server.port));
        send(&notify, &db, &test.clock, mail(&test.clock, "zoe@example.com")).await;
        // Killed between taking the message and sending it.
        let tx = db.begin().await.unwrap();
        let until = test.clock.now().plus(Duration::from_secs(120)).micros();
        tx.execute_unprepared(&format!("UPDATE messages SET attempts = 1, claim = 'dead', next_attempt_at = {until}")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(notify.deliver_due(&test.clock).await.unwrap(), 0);
        test.clock.advance(Duration::from_secs(120));
        assert_eq!(notify.deliver_due(&test.clock).await.unwrap(), 1);
        server.next().await;
    }

    async fn the_loop_delivers_until_it_is_told_to_stop(test: TestDb) {
        let (db, mut server) = (test.open(ALL).await, SmtpServer::start(&[]).await);
        let notify = notify(&db, &by_smtp(server.port));
        let stopping = CancellationToken::new();
        let running = tokio::spawn(notify.clone().run(test.clock.clone(), stopping.clone()));
        for n in 0..3 {
            send(&notify, &db, &test.clock, mail(&test.clock, &format!("u{n}@example.com"))).await;
            assert!(server.next().await.contains(&format!("To: u{n}@example.com")));
        }
        stopping.cancel();
        running.await.unwrap();
    }

    async fn a_channel_without_a_provider_delivers_nothing_and_says_so(test: TestDb) {
        let db = test.open(ALL).await;
        let notify = notify(&db, &NotifyConfig::default());
        assert!(!notify.email_configured() && !notify.delivers(Channel::Email));
        send(&notify, &db, &test.clock, mail(&test.clock, "zoe@example.com")).await;
        notify.deliver_due(&test.clock).await.unwrap();
        assert_eq!(stored::<String>(&db, "last_error").await, "no provider is configured");
        assert!(notify.outbox(10).await.unwrap().is_empty());
    }

    async fn messages_are_forgotten_after_thirty_days(test: TestDb) {
        let (db, server) = (test.open(ALL).await, SmtpServer::start(&[]).await);
        let notify = notify(&db, &by_smtp(server.port));
        send(&notify, &db, &test.clock, mail(&test.clock, "old@example.com")).await;
        test.clock.advance(Duration::from_secs(29 * 86_400));
        send(&notify, &db, &test.clock, mail(&test.clock, "new@example.com")).await;
        assert_eq!(notify.prune(test.clock.now()).await.unwrap(), 0);
        test.clock.advance(Duration::from_secs(2 * 86_400));
        assert_eq!(notify.prune(test.clock.now()).await.unwrap(), 1);
        assert_eq!(stored::<String>(&db, "recipient").await, "new@example.com");
    }

    async fn an_address_with_a_line_break_reaches_no_header(test: TestDb) {
        let (db, server) = (test.open(ALL).await, SmtpServer::start(&[]).await);
        let notify = notify(&db, &by_smtp(server.port));
        send(&notify, &db, &test.clock, mail(&test.clock, "zoe@example.com\r\nBcc: all@example.com")).await;
        notify.deliver_due(&test.clock).await.unwrap();
        assert_eq!((stored::<String>(&db, "state").await.as_str(), server.offers()), ("failed", 0));
    }
}
