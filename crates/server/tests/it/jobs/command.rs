//! `baluarte jobs …`, with and without a server.

use baluarte_testkit::{Baluarte, Receiver, Reply, each_process_backend};
use serde_json::{Value, json};

use super::{admin, call, enqueue, listed, paths, tomorrow, until, with_app};
use crate::bin;

each_process_backend! {
    async fn the_queue_is_looked_at_and_changed_at_the_command_line(backend) {
        let shop = Receiver::start().await;
        let mut app = Baluarte::builder(bin()).backend(backend).config(&with_app(&shop.url())).start().await;
        let admin = admin(&app).await;
        shop.plan([Reply::Status(500)]);
        let dead = enqueue(&admin, call("/dead")).await;
        until(&app, &admin, &dead, "dead").await;
        let later = enqueue(&admin, json!({"endpoint": "app", "path": "/later", "run_at": tomorrow()})).await;
        let workers = app.run(&["jobs", "workers"], "").expect_code(0).stdout;
        assert!(workers.contains(&format!(":{}  alive  0/100  seen ", app.pid())), "{workers}");
        // Retried here, run there: the worker hears of it.
        assert_eq!(app.run(&["jobs", "retry", &dead], "").expect_code(0).stdout, format!("{dead} is ready\n"));
        until(&app, &admin, &dead, "done").await;
        assert_eq!(paths(&shop), ["/dead", "/dead"]);
        app.stop().await;

        let run = |args: &[&str]| app.run(args, "");
        let text = run(&["jobs", "list", "--kind", "jobs.call_http"]).expect_code(0).stdout;
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.len() == 2 && lines[0].starts_with(&later) && lines[1].starts_with(&dead), "{text}");
        assert!(lines[0].contains("  scheduled  jobs.call_http  0/1") || lines[0].contains("  scheduled  jobs.call_http  0/20"), "{text}");
        assert!(lines[1].contains("  done       jobs.call_http  2/2  "), "{text}");
        let one = run(&["jobs", "list", "--state", "done", "--kind", "jobs.call_http", "--limit", "1", "--json"]).expect_code(0).stdout;
        let one: Value = serde_json::from_str(one.trim()).expect("one JSON object a line");
        assert_eq!((&one["id"], &one["state"], &one["attempts"]), (&json!(dead), &json!("done"), &json!(2)));
        assert!(run(&["jobs", "list", "--tag", "nobody"]).expect_code(0).stdout.is_empty());
        let shown: Value = serde_json::from_str(&run(&["jobs", "show", &dead]).expect_code(0).stdout).expect("JSON");
        assert_eq!((&shown["payload"], &shown["sealed"], &shown["errors"][0]["error"]), (&json!(null), &json!(true), &json!("answered 500")));
        assert_eq!(run(&["jobs", "cancel", &later]).expect_code(0).stdout, format!("{later} is canceled\n"));
        assert_eq!(listed(&app, &later)["state"], "canceled");
        assert!(run(&["jobs", "cancel", &later]).expect_code(1).stderr.contains("the job is over"));
        assert!(run(&["jobs", "retry", &dead]).expect_code(1).stderr.contains("waits, runs or is done already"));
        let nobody = "job_0192f0c1d2e37000a1b2c3d4e5f60718";
        for command in ["show", "retry", "cancel"] {
            let refused = run(&["jobs", command, nobody]).expect_code(1).stderr;
            assert!(refused.contains(&format!("no job {nobody}")), "{refused}");
            run(&["jobs", command, "nonsense"]).expect_code(2);
        }
        let refused = run(&["jobs", "list", "--state", "lost"]).expect_code(2).stderr;
        assert!(refused.contains("scheduled, retrying, ready, running, done, dead, canceled"), "{refused}");
        run(&["jobs", "list", "--limit", "201"]).expect_code(2);
        assert!(run(&["jobs", "workers"]).expect_code(0).stdout.is_empty(), "who stopped well has signed off");
        let schedules = run(&["jobs", "schedules"]).expect_code(0).stdout;
        assert!(schedules.contains("notify.sweep  * * * * * UTC  next "), "{schedules}");
    }
}
