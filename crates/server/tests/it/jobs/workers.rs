//! `baluarte worker` and `serve --roles`: stopped well, and lost.

use std::time::Duration;

use baluarte_testkit::{Baluarte, Exit, Receiver, Reply, each_process_backend};
use rustix::process::Signal;
use serde_json::json;

use super::{admin, call, enqueue, listed, paths, scrape, until, with_app};
use crate::bin;

const WORKERS: &str = "/api/v1/admin/workers";

/// One job at a time, so that there is one that waits.
fn one_at_a_time(url: &str) -> String {
    with_app(url).replace("[jobs]\n", "[jobs]\nconcurrency = 1\n")
}

/// The web alone, and a process that works.
async fn with_worker(app: &Baluarte, launch: &[&str]) -> Baluarte {
    let mut worker = app.replica_as(launch);
    worker.spawn();
    worker.wait_for_log("ready").await;
    worker
}

each_process_backend! {
    async fn a_worker_told_to_stop_finishes_what_it_began_and_takes_nothing_more(backend) {
        for launch in [&["worker"][..], &["serve", "--roles", "worker"], &["serve", "--roles", "web,worker"]] {
            let shop = Receiver::start().await;
            shop.otherwise(Reply::Slow(Duration::from_millis(700), 204));
            let app = Baluarte::builder(bin()).backend(backend).config(&one_at_a_time(&shop.url())).arg("--roles").arg("web").start().await;
            let admin = admin(&app).await;
            let (first, second) = (enqueue(&admin, call("/first")).await, enqueue(&admin, call("/second")).await);
            let mut worker = with_worker(&app, launch).await;
            shop.wait_for(1).await;
            worker.signal(Signal::TERM);
            assert_eq!(worker.wait().await, Exit::Code(0), "{}", worker.logs());
            let (first, second) = (listed(&app, &first), listed(&app, &second));
            assert_eq!((&first["state"], &first["attempts"]), (&json!("done"), &json!(1)), "{launch:?}");
            assert_eq!((&second["state"], &second["attempts"]), (&json!("ready"), &json!(0)), "{launch:?}");
            assert_eq!(paths(&shop), ["/first"]);
            assert!(admin.get(WORKERS).await.expect_status(200).json()["items"].as_array().is_some_and(Vec::is_empty), "it has signed off");
        }
    }

    async fn what_a_stopped_worker_cannot_finish_goes_back_without_counting(backend) {
        let shop = Receiver::start().await;
        shop.plan([Reply::Silence]);
        let config = one_at_a_time(&shop.url()) + "[server]\nshutdown_grace = \"1s\"\n";
        let app = Baluarte::builder(bin()).backend(backend).config(&config).arg("--roles").arg("web").start().await;
        let admin = admin(&app).await;
        let id = enqueue(&admin, call("/silent")).await;
        let mut worker = with_worker(&app, &["worker"]).await;
        shop.wait_for(1).await;
        assert_eq!(worker.stop().await, Exit::Code(0), "{}", worker.logs());
        assert!(worker.logs().contains("unfinished jobs are back in the queue"), "{}", worker.logs());
        let job = listed(&app, &id);
        assert_eq!((&job["state"], &job["attempts"], &job["worker"]), (&json!("ready"), &json!(0), &json!(null)));
        worker.spawn();
        assert_eq!(until(&app, &admin, &id, "done").await["attempts"], 1);
        worker.stop().await;
    }

    async fn a_worker_is_seen_and_missed_and_its_jobs_are_done_by_another(backend) {
        let shop = Receiver::start().await;
        shop.plan([Reply::Silence]);
        let app = Baluarte::builder(bin()).backend(backend).config(&with_app(&shop.url())).arg("--roles").arg("web").start().await;
        let admin = admin(&app).await;
        let mut worker = with_worker(&app, &["worker"]).await;
        let id = enqueue(&admin, json!({"endpoint": "app", "path": "/x", "max_attempts": 2})).await;
        shop.wait_for(1).await;
        let busy = app.eventually(&admin, WORKERS, |answer| answer.json()["items"][0]["running"] == 1).await.json();
        let seen = &busy["items"][0];
        assert!(seen["name"].as_str().is_some_and(|name| name.ends_with(&format!(":{}", worker.pid()))), "{busy}");
        assert_eq!((&seen["state"], &seen["concurrency"], &seen["lost_at"]), (&json!("alive"), &json!(100), &json!(null)));
        assert!(seen["id"].is_string() && seen["version"].is_string() && seen["started_at"].is_string());
        app.eventually(&admin, WORKERS, |answer| answer.json()["items"][0]["seen_at"] != seen["seen_at"]).await;

        worker.kill9();
        app.wait_for_log("a worker is lost: no sign of life; its jobs go to others").await;
        let lost = admin.get(WORKERS).await.expect_status(200).json();
        assert_eq!(lost["items"][0]["state"], "lost", "{lost}");
        assert!(scrape(&app).await.contains("baluarte_jobs_workers_lost_total 1"));
        until(&app, &admin, &id, "retrying").await;
        app.wait_for_log("jobs wait and no worker is there: start one with `baluarte worker`").await;
        worker.spawn();
        let job = until(&app, &admin, &id, "done").await;
        assert_eq!((&job["attempts"], &job["errors"][0]["error"]), (&json!(2), &json!("its worker was lost")), "the attempt counts");
        worker.stop().await;
    }
}

#[tokio::test]
async fn the_heartbeat_comes_from_the_environment_too() {
    let app = Baluarte::builder(bin()).env("WORKER_HEARTBEAT_INTERVAL", "45").prepare().await;
    assert!(app.run(&["config", "show"], "").expect_code(0).stdout.contains("jobs.heartbeat = \"45s\""));
    let refused = Baluarte::builder(bin()).env("WORKER_HEARTBEAT_INTERVAL", "601").prepare().await.run(&["check"], "").expect_code(2);
    assert!(refused.stderr.contains("jobs.heartbeat: found") && refused.stderr.contains("allowed is 1s to 10m"), "{}", refused.stderr);
}
