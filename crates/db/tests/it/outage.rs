//! PostgreSQL goes away and comes back: refused fast meanwhile, well again without a restart.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use baluarte_db::{Db, DbError, sea_orm::ConnectionTrait as _};
use baluarte_kernel::Secret;
use baluarte_testkit::{Dialect, TestDb};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{NOTES, count, insert};

/// Generous: the machine may be busy. What is bounded here would otherwise hang for a quarter of an hour.
const SOON: Duration = Duration::from_secs(30);

async fn until_well(db: &Db) {
    let since = Instant::now();
    while let Err(err) = db.ping().await {
        assert!(since.elapsed() < SOON, "still {err:?}");
    }
}

#[tokio::test]
async fn a_database_that_went_away_is_refused_and_recovers_alone() {
    let test = TestDb::create(Dialect::Postgres).await;
    let db = test.open(&[NOTES]).await;
    insert(&db, 1, "one").await.unwrap();
    let held = db.begin().await.unwrap();
    test.go_away().await;
    assert!(matches!(db.ping().await, Err(DbError::Unavailable(_))));
    assert!(matches!(db.begin().await, Err(DbError::Unavailable(_))));
    let lost = held.execute_unprepared("INSERT INTO notes VALUES (2, 'two', 'x', 2, true)").await.unwrap_err();
    assert!(matches!(DbError::from(lost), DbError::Unavailable(_)));
    drop(held);
    test.come_back().await;
    until_well(&db).await;
    insert(&db, 3, "three").await.unwrap();
    assert_eq!(count(&db).await, 2);
}

#[tokio::test]
async fn while_it_is_known_to_be_away_nobody_waits_to_be_refused() {
    let test = TestDb::create(Dialect::Postgres).await;
    let db = test.open(&[NOTES]).await;
    test.go_away().await;
    while !db.is_away() {
        assert!(matches!(db.ping().await, Err(DbError::Unavailable(_))));
    }
    // Three seconds each, if each had to find out.
    for _ in 0..1000 {
        assert!(matches!(db.begin().await, Err(DbError::Unavailable(_))));
    }
    test.come_back().await;
    until_well(&db).await;
    assert!(!db.is_away());
}

#[tokio::test]
async fn a_cut_connection_is_no_absence() {
    let test = TestDb::create(Dialect::Postgres).await;
    let db = test.open(&[NOTES]).await;
    let held = db.begin().await.unwrap();
    test.cut().await;
    assert!(held.execute_unprepared("SELECT 1").await.is_err());
    drop(held);
    until_well(&db).await;
    assert!(!db.is_away());
}

/// Passes bytes on until told to swallow them: to both ends the connection looks alive.
async fn swallowing_proxy(server: String) -> (u16, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (swallow, state) = watch::channel(false);
    let server = Arc::new(server);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (server, mut state) = (Arc::clone(&server), state.clone());
            tokio::spawn(async move {
                let mut upstream = TcpStream::connect(server.as_str()).await.unwrap();
                let passing = async {
                    let _ = copy_bidirectional(&mut client, &mut upstream).await;
                };
                tokio::select! {
                    () = passing => return,
                    _ = state.wait_for(|swallow| *swallow) => {}
                }
                // Both sockets stay open and nobody reads them, for ever.
                std::future::pending::<()>().await;
            });
        }
    });
    (port, swallow)
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed_and_no_connection_stays_lost() {
    let test = TestDb::create(Dialect::Postgres).await;
    test.open(&[NOTES]).await.close().await;
    let url = test.config.url.expose().to_owned();
    let (address, name) = url.rsplit_once('@').map_or(("", ""), |(_, rest)| rest.split_once('/').unwrap());
    let (port, swallow) = swallowing_proxy(address.to_owned()).await;
    let mut config = test.config.clone();
    config.url = Secret::new(format!("postgres://postgres@127.0.0.1:{port}/{name}"));
    let db = Db::open(&config).await.unwrap();

    // Every connection of the pool is open and in the middle of something when the network goes.
    let mut held = Vec::new();
    for _ in 0..config.connections {
        held.push(db.begin().await.unwrap());
    }
    swallow.send(true).unwrap();
    let started = Instant::now();
    let results = futures::future::join_all(held.iter().map(|tx| tx.execute_unprepared("SELECT 1"))).await;
    assert!(results.into_iter().all(|result| matches!(result.map_err(DbError::from), Err(DbError::Unavailable(_)))));
    assert!(matches!(db.ping().await, Err(DbError::Unavailable(_))));
    assert!(started.elapsed() < SOON);

    // The network is back for new connections; the swallowed ones never answer again.
    drop(held);
    swallow.send(false).unwrap();
    until_well(&db).await;
    insert(&db, 1, "one").await.unwrap();
}
