//! What becomes of messages, on both databases, with a mail server on a real socket.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod delivery;
mod outbox;
mod smtp_server;

use std::time::Duration;

use baluarte_db::{
    Db, Migrations,
    sea_orm::{ConnectionTrait as _, TryGetable},
    sql,
};
use baluarte_kernel::{Clock, Ctx, Locale, Secret};
use baluarte_notify::{Channel, MIGRATIONS, Message, Notify, NotifyConfig};
use baluarte_secrets::Secrets;

const ALL: &[Migrations] = &[MIGRATIONS];

fn notify(db: &Db, config: &NotifyConfig) -> Notify {
    Notify::new(config, db.clone(), Secrets::new(&Secret::new("k"), &Secret::new("s"))).unwrap()
}

fn by_smtp(port: u16) -> NotifyConfig {
    NotifyConfig {
        email_from: "Shop <shop@example.com>".into(),
        smtp_url: Secret::new(format!("smtp://127.0.0.1:{port}")),
        ..Default::default()
    }
}

fn mail(clock: &Clock, to: &str) -> Message {
    Message {
        channel: Channel::Email,
        to: to.into(),
        locale: Locale::Pt,
        subject: "Confirmação".into(),
        text: "https://shop.example/verify?token=t0ken".into(),
        html: Some("<p>t0ken</p>".into()),
        kind: "identity.verify_email",
        useful_until: clock.now().plus(Duration::from_secs(3_600)),
    }
}

async fn send(notify: &Notify, db: &Db, clock: &Clock, message: Message) {
    let tx = db.begin().await.unwrap();
    notify.send(&Ctx::system(clock.clone()), &tx, message).await.unwrap();
    tx.commit().await.unwrap();
}

/// The column of the only message.
async fn stored<T: TryGetable>(db: &Db, column: &str) -> T {
    let row = db.read().query_one_raw(sql(db.read(), &format!("SELECT {column} FROM messages"), [])).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}
