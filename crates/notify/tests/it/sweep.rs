//! What is put in order every minute.

use std::time::Duration;

use baluarte_testkit::each_backend;

use crate::{App, by_smtp, smtp_server::SmtpServer};

const DAY: Duration = Duration::from_secs(86_400);

each_backend! {
    async fn what_an_earlier_version_left_waiting_is_delivered_once(test: TestDb) {
        let mut server = SmtpServer::start(&[]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let (free, taken) = (app.send(app.mail("free@example.com")).await, app.send(app.mail("taken@example.com")).await);
        // As the loop of that version had them: one due, one that its other replica is delivering just now.
        app.execute("DELETE FROM jobs").await;
        app.execute("UPDATE messages SET state = 'waiting'").await;
        let lease = app.clock.now().plus(Duration::from_secs(120)).micros();
        app.execute(&format!("UPDATE messages SET claim = 'msg_x', next_attempt_at = {lease} WHERE recipient = 'taken@example.com'")).await;
        app.notify.sweep(&app.ctx()).await.unwrap();
        assert_eq!(app.work().await, 1);
        assert!(server.next().await.contains("To: free@example.com"));
        assert_eq!((app.state(free).await.as_str(), app.state(taken).await.as_str()), ("sent", "waiting"));
        app.clock.advance(Duration::from_secs(120));
        app.notify.sweep(&app.ctx()).await.unwrap();
        app.notify.sweep(&app.ctx()).await.unwrap();
        assert_eq!((app.work().await, app.state(taken).await.as_str()), (1, "sent"));
    }

    async fn a_message_whose_job_is_gone_ends_when_its_moment_has_passed(test: TestDb) {
        let app = App::start(&test, &by_smtp(1)).await;
        let id = app.send(app.mail("zoe@example.com")).await;
        app.execute("DELETE FROM jobs").await;
        app.clock.advance(Duration::from_secs(3_600));
        app.notify.sweep(&app.ctx()).await.unwrap();
        assert_eq!((app.state(id).await.as_str(), app.stored::<Option<String>>(id, "sealed").await), ("expired", None));
    }

    async fn content_is_kept_for_sending_again_only_as_long_as_that_makes_sense(test: TestDb) {
        let server = SmtpServer::start(&["554 no"]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let id = app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        app.notify.sweep(&app.ctx()).await.unwrap();
        assert!(app.stored::<Option<String>>(id, "sealed").await.is_some());
        app.clock.advance(Duration::from_secs(3_600));
        app.notify.sweep(&app.ctx()).await.unwrap();
        assert_eq!(app.stored::<Option<String>>(id, "sealed").await, None);
    }

    async fn rows_are_forgotten_after_thirty_days_and_only_those(test: TestDb) {
        let server = SmtpServer::start(&["550 5.1.1 unknown"]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        app.send(app.mail("old@example.com")).await;
        app.work().await;
        app.clock.advance(DAY * 29);
        let new = app.send(app.mail("new@example.com")).await;
        app.work().await;
        app.notify.sweep(&app.ctx()).await.unwrap();
        assert_eq!((app.count("messages").await, app.count("suppressions").await), (2, 1));
        app.clock.advance(DAY * 2);
        app.notify.sweep(&app.ctx()).await.unwrap();
        assert_eq!((app.count("messages").await, app.count("suppressions").await), (1, 0));
        assert_eq!(app.stored::<String>(new, "recipient").await, "new@example.com");
    }

    async fn the_sweep_has_a_timetable(test: TestDb) {
        let app = App::start(&test, &by_smtp(1)).await;
        assert!(format!("{:?}", app.registry).contains("notify.sweep"), "{:?}", app.registry);
    }
}
