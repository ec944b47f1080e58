//! What operators do with messages, and that the audit log hears of it.

use std::time::Duration;

use baluarte_kernel::{Actor, Ctx, PageQuery};
use baluarte_notify::{Channel, MessageFilter, NotifyError, State};
use baluarte_testkit::each_backend;

use crate::{App, by_smtp, smtp_server::SmtpServer};

each_backend! {
    async fn messages_are_found_by_what_became_of_them_page_by_page(test: TestDb) {
        let server = SmtpServer::start(&["554 no"]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        for n in 0..5 {
            app.send(app.mail(&format!("u{n}@example.com"))).await;
        }
        app.work().await;
        let failed = MessageFilter { state: Some(State::Failed), ..MessageFilter::default() };
        assert_eq!(app.notify.list_messages(&app.ctx(), &failed, &PageQuery::default()).await.unwrap().items.len(), 1);
        let to = MessageFilter { to: Some("u3@example.com".into()), channel: Some(Channel::Email), ..MessageFilter::default() };
        let found = app.notify.list_messages(&app.ctx(), &to, &PageQuery::default()).await.unwrap();
        assert_eq!((found.items.len(), found.items[0].redacted_to().as_str()), (1, "u…@example.com"));

        let (mut page, mut seen) = (PageQuery { limit: Some(2), cursor: None }, Vec::new());
        loop {
            let found = app.notify.list_messages(&app.ctx(), &MessageFilter::default(), &page).await.unwrap();
            seen.extend(found.items.into_iter().map(|message| message.to));
            match found.next_cursor {
                Some(cursor) => page.cursor = Some(cursor),
                None => break,
            }
        }
        assert_eq!(seen, ["u4@example.com", "u3@example.com", "u2@example.com", "u1@example.com", "u0@example.com"]);
    }

    async fn what_nobody_took_can_be_sent_again_while_it_is_useful(test: TestDb) {
        let mut server = SmtpServer::start(&["554 no", "554 no"]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let (id, late) = (app.send(app.mail("zoe@example.com")).await, app.send(app.mail("ana@example.com")).await);
        app.work().await;
        let message = app.notify.resend_message(&app.ctx(), id).await.unwrap();
        assert_eq!(message.state, State::Queued);
        assert_eq!(app.work().await, 1);
        assert!(server.next().await.contains("To: zoe@example.com"));
        let again = app.notify.resend_message(&app.ctx(), id).await;
        assert!(matches!(again, Err(NotifyError::CannotResend(State::Sent))));
        app.clock.advance(Duration::from_secs(3_600));
        assert!(matches!(app.notify.resend_message(&app.ctx(), late).await, Err(NotifyError::CannotResend(State::Failed))));
        assert_eq!(app.count("audit_entries WHERE action = 'notify.message.resent'").await, 1);
    }

    async fn an_address_is_put_on_the_list_and_taken_off_it(test: TestDb) {
        let server = SmtpServer::start(&[]).await;
        let app = App::start(&test, &by_smtp(server.port)).await;
        let held = app.notify.add_suppression(&app.ctx(), Channel::Email, "Zoe@Example.com", Some("asked us to".into())).await.unwrap();
        assert_eq!((held.address.as_str(), held.reason.as_str()), ("z…@example.com", "operator"));
        let again = app.notify.add_suppression(&app.ctx(), Channel::Email, "zoe@example.com", None).await.unwrap();
        assert_eq!(again.id, held.id);
        let id = app.send(app.mail("zoe@example.com")).await;
        app.work().await;
        assert_eq!(app.state(id).await, "suppressed");
        let found = app.notify.list_suppressions(&app.ctx(), None, Some("ZOE@example.com"), &PageQuery::default()).await.unwrap();
        assert_eq!(found.items.len(), 1);

        app.notify.remove_suppression(&app.ctx(), held.id).await.unwrap();
        assert!(matches!(app.notify.remove_suppression(&app.ctx(), held.id).await, Err(NotifyError::NotFound)));
        app.notify.resend_message(&app.ctx(), id).await.unwrap();
        app.work().await;
        assert_eq!(app.state(id).await, "sent");
        assert_eq!(app.count("audit_entries WHERE action LIKE 'notify.suppression.%'").await, 2);
    }

    async fn whom_a_message_was_for_is_shown_to_administrators_and_leaves_a_trace(test: TestDb) {
        let app = App::start(&test, &by_smtp(1)).await;
        let id = app.send(app.mail("zoe@example.com")).await;
        let anybody = Ctx { actor: Actor::Anonymous, ..app.ctx() };
        assert!(matches!(app.notify.find_message(&anybody, id, false).await, Err(NotifyError::Forbidden(_))));
        app.notify.find_message(&app.ctx(), id, false).await.unwrap();
        assert_eq!(app.count("audit_entries WHERE action LIKE 'notify.%'").await, 0);
        app.notify.find_message(&app.ctx(), id, true).await.unwrap();
        assert_eq!(app.count("audit_entries WHERE action = 'notify.message.revealed'").await, 1);
    }
}
