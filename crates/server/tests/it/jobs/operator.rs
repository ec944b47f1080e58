//! `/api/v1/admin/jobs` and `/workers`, as their callers see them.

use baluarte_testkit::{Baluarte, Receiver, Reply, each_process_backend};
use http::Method;
use serde_json::{Value, json};

use super::{ADMIN_JOBS, admin, call, enqueue, tomorrow, until, with_app};
use crate::{bin, outside::PASSWORD};

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = object.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys
}

const JOB: [&str; 19] = [
    "attempts",
    "cancel_requested",
    "created_at",
    "error",
    "expires_at",
    "finished_at",
    "id",
    "kind",
    "max_attempts",
    "priority",
    "progress",
    "request_id",
    "run_at",
    "started_at",
    "state",
    "tags",
    "unique_key",
    "worker",
    "",
];

each_process_backend! {
    async fn operators_list_read_retry_edit_and_cancel_jobs_and_each_change_is_recorded(backend) {
        let shop = Receiver::start().await;
        let app = Baluarte::builder(bin()).backend(backend).config(&with_app(&shop.url())).start().await;
        let admin = admin(&app).await;
        shop.plan([Reply::Status(500)]);
        let dead = enqueue(&admin, call("/dead")).await;
        let shown = until(&app, &admin, &dead, "dead").await;
        assert_eq!(keys(&shown).iter().filter(|key| !JOB.contains(key)).collect::<Vec<_>>(), [&"errors", &"payload", &"sealed"], "{shown}");
        assert_eq!((&shown["payload"], &shown["sealed"], &shown["attempts"], &shown["max_attempts"]), (&json!(null), &json!(true), &json!(1), &json!(1)));
        assert_eq!((&shown["errors"][0]["attempt"], &shown["errors"][0]["error"]), (&json!(1), &json!("answered 500")));
        assert!(shown["errors"][0]["at"].is_string() && shown["request_id"].is_string() && shown["finished_at"].is_string());
        let later = enqueue(&admin, json!({"endpoint": "app", "path": "/later", "run_at": tomorrow(), "unique_key": "k"})).await;
        let done = enqueue(&admin, call("/done")).await;
        until(&app, &admin, &done, "done").await;

        let kind = "kind=jobs.call_http";
        let listed = admin.get(&format!("{ADMIN_JOBS}?{kind}")).await.expect_status(200).json();
        let ids: Vec<_> = listed["items"].as_array().into_iter().flatten().map(|job| job["id"].as_str().unwrap_or_default().to_owned()).collect();
        assert_eq!(ids, [done.clone(), later.clone(), dead.clone()], "{listed}");
        assert_eq!(keys(&listed["items"][0]), JOB[..18]);
        assert_eq!(listed["next_cursor"], json!(null));
        let tag = listed["items"][0]["tags"][0].as_str().unwrap_or_default().to_owned();
        assert!(tag.starts_with("by:usr-"), "{listed}");
        let tag = tag.replace("usr-", "usr_");
        for (query, expected) in [("state=dead", vec![&dead]), ("state=scheduled", vec![&later]), ("state=running", vec![]), (&*format!("tag={tag}&state=done"), vec![&done]), ("tag=by", vec![])] {
            let found = admin.get(&format!("{ADMIN_JOBS}?{kind}&{query}")).await.expect_status(200).json();
            assert_eq!(found["items"].as_array().into_iter().flatten().map(|job| &job["id"]).collect::<Vec<_>>(), expected, "{query}");
        }
        let page = admin.get(&format!("{ADMIN_JOBS}?{kind}&limit=2")).await.expect_status(200).json();
        let cursor = page["next_cursor"].as_str().unwrap_or_default();
        let rest = admin.get(&format!("{ADMIN_JOBS}?{kind}&limit=2&cursor={cursor}")).await.expect_status(200).json();
        assert_eq!((rest["items"][0]["id"].as_str(), rest["items"].as_array().map(Vec::len)), (Some(dead.as_str()), Some(1)));
        for (query, field) in [("state=lost", "state"), ("limit=0", "limit"), ("limit=201", "limit")] {
            let refused = admin.get(&format!("{ADMIN_JOBS}?{query}")).await.expect_problem(422, "web.invalid_fields").json();
            assert!(refused["errors"][0].to_string().contains(field), "{refused}");
        }
        let counts = admin.get(&format!("{ADMIN_JOBS}/counts")).await.expect_status(200).json();
        let of = |state: &str| counts["items"].as_array().into_iter().flatten().find(|it| it["kind"] == "jobs.call_http" && it["state"] == state).cloned();
        for state in ["dead", "scheduled", "done"] {
            assert_eq!(of(state).map(|it| it["jobs"].clone()), Some(json!(1)), "{state}: {counts}");
        }
        assert_eq!(of("dead").as_ref().map(keys), Some(vec!["jobs", "kind", "oldest_seconds", "state"]));

        admin.post_json(&format!("{ADMIN_JOBS}/{done}/retry"), &json!({})).await.expect_problem(409, "jobs.not_retryable");
        admin.post_json(&format!("{ADMIN_JOBS}/{done}/cancel"), &json!({})).await.expect_problem(409, "jobs.not_cancelable");
        admin.get(&format!("{ADMIN_JOBS}/job_0192f0c1d2e37000a1b2c3d4e5f60718")).await.expect_problem(404, "jobs.job_not_found");
        admin.post_json(&format!("{ADMIN_JOBS}/retry"), &json!({"state": "done"})).await.expect_problem(422, "jobs.bad_filter");
        let patch = admin.patch_json(&format!("{ADMIN_JOBS}/{dead}"), &json!({"payload": {"url": 7}})).await.expect_problem(422, "jobs.bad_payload").json();
        assert_eq!(patch["errors"][0]["pointer"], "/payload", "{patch}");

        shop.plan([Reply::Status(500)]);
        let retried = admin.post_json(&format!("{ADMIN_JOBS}/{dead}/retry"), &json!({})).await.expect_status(200).json();
        assert_eq!(retried["max_attempts"], 2, "one more than there were: {retried}");
        until(&app, &admin, &dead, "dead").await;
        let edited = json!({"payload": {"endpoint": "app", "path": "/edited", "method": "PUT"}});
        admin.patch_json(&format!("{ADMIN_JOBS}/{dead}"), &edited).await.expect_status(200);
        assert_eq!(until(&app, &admin, &dead, "done").await["attempts"], 3);
        assert!(shop.received().iter().any(|sent| sent.target == "/edited" && sent.method == "PUT"));
        let canceled = admin.post_json(&format!("{ADMIN_JOBS}/{later}/cancel"), &json!({})).await.expect_status(200).json();
        assert_eq!(canceled["state"], "canceled");
        let bulk = admin.post_json(&format!("{ADMIN_JOBS}/retry"), &json!({"state": "canceled", "kind": "jobs.call_http"})).await.expect_status(200).json();
        assert_eq!(bulk, json!({"retried": 1}));
        until(&app, &admin, &later, "done").await;

        // What runs is asked to stop, and is canceled when its time is up.
        shop.plan([Reply::Silence]);
        let silent = enqueue(&admin, call("/silent")).await;
        until(&app, &admin, &silent, "running").await;
        assert_eq!(admin.post_json(&format!("{ADMIN_JOBS}/{silent}/cancel"), &json!({})).await.expect_status(202).json()["cancel_requested"], true);
        until(&app, &admin, &silent, "canceled").await;

        let audited = admin.get("/api/v1/admin/audit?resource_kind=job&limit=200").await.expect_status(200).json();
        let mut actions: Vec<_> = audited["items"].as_array().into_iter().flatten().filter_map(|it| it["action"].as_str()).filter(|it| it.starts_with("jobs.job.")).collect();
        actions.reverse();
        assert_eq!(actions, ["jobs.job.retried", "jobs.job.edited", "jobs.job.canceled", "jobs.job.canceled"], "{audited}");

        // Nobody else, and nothing of it.
        app.create_user("ana@example.com", PASSWORD, "user");
        let ana = app.sign_in("ana@example.com", PASSWORD).await;
        for (method, path) in [
            (Method::GET, ADMIN_JOBS.to_owned()),
            (Method::GET, format!("{ADMIN_JOBS}/counts")),
            (Method::GET, format!("{ADMIN_JOBS}/{dead}")),
            (Method::PATCH, format!("{ADMIN_JOBS}/{dead}")),
            (Method::POST, format!("{ADMIN_JOBS}/{dead}/retry")),
            (Method::POST, format!("{ADMIN_JOBS}/{dead}/cancel")),
            (Method::POST, format!("{ADMIN_JOBS}/retry")),
            (Method::GET, "/api/v1/admin/workers".to_owned()),
            (Method::GET, "/api/v1/admin/schedules".to_owned()),
            (Method::POST, "/api/v1/admin/schedules/audit.prune/run".to_owned()),
        ] {
            let body = json!({"state": "dead", "payload": {}});
            ana.send(method.clone(), &path, |request| request.json(&body)).await.expect_problem(403, "web.forbidden");
            app.client().send(method, &path, |request| request.json(&body)).await.expect_status(401);
        }
    }
}
