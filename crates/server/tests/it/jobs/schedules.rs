//! `[jobs.schedules]`, from the configuration to the call.

use std::collections::BTreeSet;

use baluarte_testkit::{Backend, Baluarte, Exit, Receiver, each_process_backend};
use serde_json::{Value, json};

use super::{LIMITS, admin};
use crate::{bin, shutdown::config_file};

const SCHEDULES: &str = "/api/v1/admin/schedules";

fn config(url: &str) -> String {
    format!(
        "{LIMITS}[jobs.endpoints.app]\nurl = \"{url}\"\n\
         [jobs.schedules.often]\ncron = \"* * * * * *\"\nendpoint = \"app\"\npath = \"/often\"\n\
         [jobs.schedules.yearly]\ncron = \"30 2 1 1 *\"\ntime_zone = \"America/Sao_Paulo\"\nmissed = \"skip\"\nendpoint = \"app\"\npath = \"/yearly\"\n"
    )
}

fn named<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    list["items"].as_array().into_iter().flatten().find(|it| it["name"] == name)
}

each_process_backend! {
    async fn a_configured_schedule_is_listed_runs_is_run_by_hand_and_leaves_with_the_configuration(backend) {
        let shop = Receiver::start().await;
        let mut app = Baluarte::builder(bin()).backend(backend).config(&config(&shop.url())).start().await;
        let replica = if backend == Backend::PostgresRedis { Some(app.replica().await) } else { None };
        let admin = admin(&app).await;
        shop.wait_for(3).await;
        let listed = app.eventually(&admin, SCHEDULES, |answer| {
            named(&answer.json(), "jobs.schedules.often").is_some_and(|it| it["last_outcome"] == "done")
        }).await.json();
        let often = named(&listed, "jobs.schedules.often").expect("it is listed");
        assert_eq!((&often["kind"], &often["cron"], &often["time_zone"]), (&json!("jobs.call_scheduled"), &json!("* * * * * *"), &json!("UTC")));
        let yearly = named(&listed, "jobs.schedules.yearly").expect("it is listed");
        assert_eq!((&yearly["last_at"], &yearly["last_job"], &yearly["last_outcome"], &yearly["missed"]), (&json!(null), &json!(null), &json!(null), &json!(0)));
        assert!(yearly["next_at"].as_str().is_some_and(|at| at.ends_with("-01-01T05:30:00Z")), "{yearly}");
        let printed = app.run(&["jobs", "schedules"], "").expect_code(0).stdout;
        assert!(printed.contains("jobs.schedules.yearly  30 2 1 1 * America/Sao_Paulo  next ") && printed.contains("last never ran  missed 0"), "{printed}");

        let run = admin.post_json(&format!("{SCHEDULES}/jobs.schedules.yearly/run"), &json!({})).await.expect_status(202).json();
        let id = run["job_id"].as_str().unwrap_or_default().to_owned();
        let job = app.eventually(&admin, &format!("/api/v1/jobs/{id}"), |answer| answer.json()["state"] == "done").await.json();
        assert_eq!((&job["url"], &job["method"]), (&json!(format!("{}/yearly", shop.url())), &json!("POST")));
        let audited = admin.get("/api/v1/admin/audit?action=jobs.schedule.run").await.expect_status(200).json();
        assert_eq!(audited["items"][0]["resource"]["id"], "jobs.schedules.yearly", "{audited}");
        admin.post_json(&format!("{SCHEDULES}/jobs.schedules.nobody/run"), &json!({})).await.expect_problem(404, "jobs.schedule_not_found");

        // One call for each second at most, however many replicas there are: each run is a job of its own, made once.
        let calls: Vec<_> = shop.received().iter().filter_map(|sent| sent.header("webhook-id").map(str::to_owned)).collect();
        assert_eq!(calls.iter().collect::<BTreeSet<_>>().len(), calls.len());

        drop(replica);
        let file = config_file(&app);
        let text = std::fs::read_to_string(&file).expect("the harness wrote it");
        let (before, _) = text.split_once("[jobs.schedules.often]").expect("it is there");
        let (_, rest) = text.split_once("[jobs.schedules.yearly]").expect("it is there");
        std::fs::write(&file, format!("{before}[jobs.schedules.yearly]{rest}")).expect("our own file");
        assert_eq!(app.stop().await, Exit::Code(0));
        app.start().await;
        let listed = app.eventually(&admin, SCHEDULES, |answer| named(&answer.json(), "jobs.schedules.often").is_none()).await.json();
        assert!(named(&listed, "jobs.schedules.yearly").is_some_and(|it| it["last_outcome"] == "done"), "{listed}");
    }
}
