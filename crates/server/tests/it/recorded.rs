//! Every operation that changes something leaves an entry in the audit log: the document says which operations there are, so that a
//! new one cannot be forgotten.

use std::collections::BTreeSet;

use baluarte_testkit::{Answer, Baluarte, Client, each_process_backend};
use http::Method;
use serde_json::{Value, json};

use crate::{bin, operations::changing_operations, outside::PASSWORD};

/// Operations that need no entry, with the reason. This list may only shrink.
const UNRECORDED: &[(&str, &str)] =
    &[("POST /api/v1/auth/refresh", "moves a session on that has an entry, four times an hour and device; a token used twice has one")];

/// Operations that cannot be performed here, with what shows their entry instead. This list may only shrink.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "POST /api/v1/mfa/email/confirm",
        "only where addresses need no confirmation; identity: an_address_that_nobody_confirmed_becomes_a_factor_with_a_code",
    ),
    // Browsers know passkeys where a site has a name, and this server has an address; identity's `passkeys` shows the entries.
    (
        "POST /api/v1/auth/passkey/options",
        "writes nothing: a challenge is not stored; identity: damaged_credentials_are_refused_and_asking_writes_nothing",
    ),
    ("POST /api/v1/auth/passkey", "identity: every_act_with_a_passkey_leaves_its_entry"),
    ("POST /api/v1/mfa/passkeys", "identity: every_act_with_a_passkey_leaves_its_entry"),
    ("POST /api/v1/mfa/passkeys/confirm", "identity: every_act_with_a_passkey_leaves_its_entry"),
    ("PATCH /api/v1/mfa/passkeys/{id}", "identity: every_act_with_a_passkey_leaves_its_entry"),
    ("DELETE /api/v1/mfa/passkeys/{id}", "identity: every_act_with_a_passkey_leaves_its_entry"),
    (
        "POST /api/v1/auth/end-session",
        "needs a second browser's mail; identity: asvs_6_3_5_a_sign_in_in_a_new_browser_is_told_with_a_link_that_ends_it",
    ),
    ("POST /api/v1/auth/unlock/ask", "recorded after it has answered; identity: a_link_from_the_mailbox_lets_an_owner_in_where_they_are"),
    ("POST /api/v1/auth/unlock", "identity: a_link_from_the_mailbox_lets_an_owner_in_where_they_are"),
    (
        "DELETE /api/v1/users/me/logins/{id}",
        "only a provider can connect one; identity: an_account_without_a_password_keeps_its_last_way_in",
    ),
    (
        "POST /api/v1/admin/messages/{id}/resend",
        "needs a message that nobody took; notify: what_nobody_took_can_be_sent_again_while_it_is_useful",
    ),
    (
        "POST /api/v1/notify/callbacks/sendgrid",
        "only a provider can sign it; what it changes is the list of suppressed addresses; notify: sendgrid_reports_arrivals_bounces_and_complaints",
    ),
    ("POST /api/v1/notify/callbacks/twilio", "likewise; notify: twilio_reports_a_dead_telephone_and_nothing_more_goes_there"),
];

const CONFIG: &str = r#"
[identity]
registration = "open"
email_verification = "required"
mfa = { staff = "required" }
magic_link = "on"
[limits.mfa]
key = "ip"
rate = "100000/s"
burst = 100000
[limits.api]
key = "ip"
rate = "100000/s"
burst = 100000
[limits.account]
key = "ip"
rate = "100000/s"
burst = 100000
[limits.login]
key = "ip"
rate = "100000/s"
burst = 100000
[limits.forgot-password]
key = "ip"
rate = "100000/s"
burst = 100000
"#;

struct Walk {
    app: Baluarte,
    admin: Client,
    done: BTreeSet<String>,
}

impl Walk {
    /// Performs an operation as the right person and looks for the entry that its request left.
    async fn does(&mut self, who: &Client, operation: &str, path: &str, body: Option<Value>) -> Answer {
        let method: Method = operation.split(' ').next().and_then(|word| word.parse().ok()).expect("a method");
        let answer = who
            .send(method, path, |request| match &body {
                Some(body) => request.json(body),
                None => request,
            })
            .await;
        assert!((200..300).contains(&answer.status), "{operation}: {} {}", answer.status, answer.text());
        self.done.insert(operation.to_owned());
        if !UNRECORDED.iter().any(|(name, _)| *name == operation) {
            let id = answer.header("x-request-id").expect("every answer names its request").to_owned();
            let path = format!("/api/v1/admin/audit?request_id={id}");
            // What goes on after the answer is recorded when it is done.
            let found =
                self.app.eventually(&self.admin, &path, |answer| !answer.json()["items"].as_array().is_none_or(Vec::is_empty)).await;
            let entry = &found.json()["items"][0];
            assert_eq!(entry["status"], "success", "{operation}: {entry}");
            // Somebody who deletes their account is erased from the log a moment later.
            assert!(entry["ip"].is_string() || entry["erased_by"].is_number(), "{operation}: {entry}");
        }
        answer
    }

    /// The code that was mailed to somebody, in the subject of the mail.
    async fn code(&self, address: &str) -> String {
        for _ in 0..200 {
            let subject = self.app.mail_to(address).await["subject"].as_str().unwrap_or_default().to_owned();
            let first = subject.split(' ').next().unwrap_or_default();
            if first.len() == 6 && first.bytes().all(|byte| byte.is_ascii_digit()) {
                return first.to_owned();
            }
        }
        panic!("no code was mailed to {address}")
    }

    /// Everything about second factors.
    async fn factors(&mut self, ana: &Client, admin: &Client) {
        let anybody = self.app.client();
        let codes = self.does(ana, "POST /api/v1/mfa/email", "/api/v1/mfa/email", None).await.json();
        let path = "/api/v1/auth/step-up/challenge";
        self.does(ana, "POST /api/v1/auth/step-up/challenge", path, Some(json!({ "method": "email" }))).await;
        let proof = json!({ "method": "recovery", "code": codes["recovery_codes"][0] });
        self.does(ana, "POST /api/v1/auth/step-up", "/api/v1/auth/step-up", Some(proof)).await;
        let login = json!({ "email": "ana@example.com", "password": PASSWORD, "session": "cookie" });
        let step = self.does(&anybody, "POST /api/v1/auth/login", "/api/v1/auth/login", Some(login)).await.json();
        let challenge = json!({ "mfa_token": step["mfa_token"], "method": "email" });
        self.does(&anybody, "POST /api/v1/auth/mfa/challenge", "/api/v1/auth/mfa/challenge", Some(challenge)).await;
        let code = self.code("ana@example.com").await;
        let answer = json!({ "mfa_token": step["mfa_token"], "method": "email", "code": code, "trust_device": true });
        self.does(&anybody, "POST /api/v1/auth/mfa/verify", "/api/v1/auth/mfa/verify", Some(answer)).await;
        let trusted = ana.get("/api/v1/mfa/trusted-devices").await.json();
        let path = format!("/api/v1/mfa/trusted-devices/{}", trusted["items"][0]["id"].as_str().expect("a trusted device"));
        self.does(ana, "DELETE /api/v1/mfa/trusted-devices/{id}", &path, None).await;
        self.does(ana, "POST /api/v1/mfa/recovery-codes", "/api/v1/mfa/recovery-codes", None).await;
        let totp = self.does(ana, "POST /api/v1/mfa/totp", "/api/v1/mfa/totp", None).await.json();
        let secret = totp_rs::Secret::try_from_base32(totp["secret"].as_str().expect("a secret")).expect("base32");
        let now = u64::try_from(baluarte_kernel::Clock::System.now().unix_seconds()).expect("after 1970");
        let code = totp_rs::Builder::new().with_secret(secret).build().expect("long enough").generate(now).to_string();
        self.does(ana, "POST /api/v1/mfa/totp/confirm", "/api/v1/mfa/totp/confirm", Some(json!({ "code": code }))).await;
        self.does(ana, "DELETE /api/v1/mfa/totp", "/api/v1/mfa/totp", None).await;
        let phone = json!({ "phone": "+351912345678" });
        self.does(ana, "POST /api/v1/mfa/sms", "/api/v1/mfa/sms", Some(phone)).await;
        let text = self.app.mail_to("+351912345678").await["text"].as_str().unwrap_or_default().to_owned();
        let code = json!({ "code": text.rsplit('#').next() });
        self.does(ana, "POST /api/v1/mfa/sms/confirm", "/api/v1/mfa/sms/confirm", Some(code)).await;
        self.does(ana, "DELETE /api/v1/mfa/sms", "/api/v1/mfa/sms", None).await;
        self.does(ana, "DELETE /api/v1/mfa/email", "/api/v1/mfa/email", None).await;

        let staff = json!({ "email": "max@example.com", "name": "Max", "password": PASSWORD, "role": "staff" });
        self.does(admin, "POST /api/v1/admin/users", "/api/v1/admin/users", Some(staff)).await;
        let login = json!({ "email": "max@example.com", "password": PASSWORD });
        let step = self.does(&anybody, "POST /api/v1/auth/login", "/api/v1/auth/login", Some(login)).await.json();
        let enrol = json!({ "mfa_token": step["mfa_token"], "method": "totp" });
        self.does(&anybody, "POST /api/v1/auth/mfa/enrol", "/api/v1/auth/mfa/enrol", Some(enrol)).await;
    }

    /// How people open their account to a program, and from another mailbox.
    async fn ways_in(&mut self, ana: &Client) {
        let anybody = self.app.client();
        let key = json!({ "name": "Nightly export", "scopes": ["profile"] });
        let key = self.does(ana, "POST /api/v1/api-keys", "/api/v1/api-keys", Some(key)).await.json();
        let path = format!("/api/v1/api-keys/{}/rotate", key["id"].as_str().expect("an id"));
        let next = self.does(ana, "POST /api/v1/api-keys/{id}/rotate", &path, Some(json!({}))).await.json();
        let path = format!("/api/v1/api-keys/{}", next["id"].as_str().expect("an id"));
        self.does(ana, "DELETE /api/v1/api-keys/{id}", &path, None).await;

        let (mine, wanted) = ("/api/v1/users/me/email", |address: &str| Some(json!({ "email": address })));
        self.does(ana, "POST /api/v1/users/me/email", mine, wanted("ana.1@example.com")).await;
        self.does(ana, "DELETE /api/v1/users/me/email", mine, None).await;
        for (answer, address) in [("refuse", "ana.2@example.com"), ("confirm", "ana.3@example.com")] {
            self.does(ana, "POST /api/v1/users/me/email", mine, wanted(address)).await;
            let token = json!({ "token": self.token(address).await });
            let path = format!("/api/v1/auth/email/{answer}");
            self.does(&anybody, &format!("POST {path}"), &path, Some(token)).await;
        }

        self.app.create_user("mia@example.com", PASSWORD, "user");
        let email = json!({ "email": "mia@example.com" });
        self.does(&anybody, "POST /auth/magic-link", "/auth/magic-link", Some(email)).await;
        let token = json!({ "token": self.token("mia@example.com").await });
        self.does(&anybody, "POST /api/v1/auth/magic-link", "/api/v1/auth/magic-link", Some(token)).await;
    }

    /// Whom operators let in, and how they help.
    async fn people(&mut self, admin: &Client) {
        let (invitations, anybody) = ("/api/v1/admin/invitations", self.app.client());
        let made = self.does(admin, "POST /api/v1/admin/invitations", invitations, Some(json!({}))).await.json();
        let id = made["id"].as_str().or(made["invitation"]["id"].as_str()).unwrap_or_else(|| panic!("an id in {made}")).to_owned();
        self.does(admin, "DELETE /api/v1/admin/invitations/{id}", &format!("{invitations}/{id}"), None).await;
        let eva = json!({ "email": "eva@example.com" });
        self.does(admin, "POST /api/v1/admin/invitations", invitations, Some(eva)).await;
        let accepted = json!({ "token": self.token("eva@example.com").await, "name": "Eva", "password": PASSWORD });
        self.does(&anybody, "POST /api/v1/auth/invitation", "/api/v1/auth/invitation", Some(accepted)).await;
        let eva = self.app.sign_in("eva@example.com", PASSWORD).await;
        eva.post_json("/api/v1/mfa/email", &json!({})).await.expect_status(200);
        let me = eva.get("/api/v1/users/me").await.json();
        let id = me["id"].as_str().or(me["user"]["id"].as_str()).unwrap_or_else(|| panic!("an id in {me}")).to_owned();
        for act in ["unblock", "remove-factor", "require-reset"] {
            let why = json!({ "reason": "she called from the number on file" });
            let path = format!("/api/v1/admin/users/{id}/{act}");
            self.does(admin, &format!("POST /api/v1/admin/users/{{id}}/{act}"), &path, Some(why)).await;
        }
    }

    /// What operators do with jobs and schedules.
    async fn queue(&mut self, admin: &Client) {
        let mut paths = Vec::new();
        for _ in 0..2 {
            let tomorrow = baluarte_kernel::Clock::System.now().plus(std::time::Duration::from_secs(86_400)).to_string();
            let job = json!({ "url": "https://app.example.com/hook", "run_at": tomorrow });
            let job = admin.post_json("/api/v1/jobs", &job).await.expect_status(202).json();
            paths.push(format!("/api/v1/admin/jobs/{}", job["id"].as_str().expect("an id")));
        }
        self.does(admin, "POST /api/v1/admin/jobs/{id}/cancel", &format!("{}/cancel", paths[0]), None).await;
        self.does(admin, "PATCH /api/v1/admin/jobs/{id}", &paths[0], Some(json!({ "payload": "[redacted]" }))).await;
        self.does(admin, "POST /api/v1/admin/jobs/{id}/retry", &format!("{}/retry", paths[1]), None).await;
        self.does(admin, "POST /api/v1/admin/jobs/retry", "/api/v1/admin/jobs/retry", Some(json!({ "state": "canceled" }))).await;
        let path = "/api/v1/admin/schedules/webhooks.prune/run";
        self.does(admin, "POST /api/v1/admin/schedules/{name}/run", path, None).await;
    }

    /// The token in the link of the last mail to somebody.
    async fn token(&self, address: &str) -> String {
        let mail = self.app.mail_to(address).await;
        let text = mail["text"].as_str().unwrap_or_default();
        let at = text.find("token=").unwrap_or_else(|| panic!("a link in {text}"));
        text[at + 6..].chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
    }
}

each_process_backend! {
    async fn every_operation_that_changes_something_leaves_an_entry(backend) {
        let app = Baluarte::builder(bin()).backend(backend).config(CONFIG).start().await;
        app.create_user("root@example.com", PASSWORD, "admin");
        let admin = app.sign_in("root@example.com", PASSWORD).await;
        let anybody = app.client();
        let reader = app.sign_in("root@example.com", PASSWORD).await;
        let mut walk = Walk { app, admin: reader, done: BTreeSet::new() };
        let ana = json!({ "email": "ana@example.com", "password": PASSWORD, "name": "Ana" });

        walk.does(&anybody, "POST /api/v1/auth/register", "/api/v1/auth/register", Some(ana.clone())).await;
        walk.token("ana@example.com").await;
        walk.does(&anybody, "POST /api/v1/auth/verify-email/resend", "/api/v1/auth/verify-email/resend", Some(json!({ "email": "ana@example.com" }))).await;
        let token = walk.token("ana@example.com").await;
        walk.does(&anybody, "POST /api/v1/auth/verify-email", "/api/v1/auth/verify-email", Some(json!({ "token": token }))).await;
        let login = json!({ "email": "ana@example.com", "password": PASSWORD });
        let tokens = walk.does(&anybody, "POST /api/v1/auth/login", "/api/v1/auth/login", Some(login)).await.json();
        let refresh = json!({ "refresh_token": tokens["refresh_token"] });
        let tokens = walk.does(&anybody, "POST /api/v1/auth/refresh", "/api/v1/auth/refresh", Some(refresh)).await.json();
        let ana = walk.app.client().with_bearer(tokens["access_token"].as_str().expect("a token"));
        walk.does(&ana, "PATCH /api/v1/users/me", "/api/v1/users/me", Some(json!({ "name": "Ana María" }))).await;
        let change = json!({ "current_password": PASSWORD, "password": "another horse battery staple 8" });
        walk.does(&ana, "PUT /api/v1/users/me/password", "/api/v1/users/me/password", Some(change)).await;
        let other = walk.app.sign_in("ana@example.com", "another horse battery staple 8").await;
        let sessions = other.get("/api/v1/sessions").await.json();
        let old = sessions["items"].as_array().and_then(|all| all.iter().find(|it| it["current"] == false)).expect("the first device")["id"].clone();
        let path = format!("/api/v1/sessions/{}", old.as_str().expect("an id"));
        walk.does(&other, "DELETE /api/v1/sessions/{id}", &path, None).await;
        walk.does(&other, "POST /api/v1/auth/logout", "/api/v1/auth/logout", None).await;
        walk.does(&anybody, "POST /auth/forgot-password", "/auth/forgot-password", Some(json!({ "email": "ana@example.com" }))).await;
        let token = walk.token("ana@example.com").await;
        walk.does(&anybody, "POST /auth/reset-password", "/auth/reset-password", Some(json!({ "token": token, "password": PASSWORD }))).await;
        let ana = walk.app.sign_in("ana@example.com", PASSWORD).await;

        walk.factors(&ana, &admin).await;
        walk.ways_in(&ana).await;
        walk.people(&admin).await;

        let zoe = json!({ "email": "zoe@example.com", "name": "Zoë", "password": PASSWORD });
        let zoe = walk.does(&admin, "POST /api/v1/admin/users", "/api/v1/admin/users", Some(zoe)).await.json();
        let id = zoe["user"]["id"].as_str().expect("an id").to_owned();
        walk.does(&admin, "PATCH /api/v1/admin/users/{id}", &format!("/api/v1/admin/users/{id}"), Some(json!({ "disabled": true }))).await;
        walk.does(&admin, "DELETE /api/v1/admin/users/{id}/sessions", &format!("/api/v1/admin/users/{id}/sessions"), None).await;
        walk.does(&admin, "DELETE /api/v1/admin/users/{id}", &format!("/api/v1/admin/users/{id}"), None).await;
        walk.does(&admin, "POST /api/v1/admin/audit/checkpoints", "/api/v1/admin/audit/checkpoints", None).await;

        let address = json!({ "channel": "email", "address": "gone@example.com" });
        let held = walk.does(&admin, "POST /api/v1/admin/suppressions", "/api/v1/admin/suppressions", Some(address)).await.json();
        let path = format!("/api/v1/admin/suppressions/{}", held["id"].as_str().expect("an id"));
        walk.does(&admin, "DELETE /api/v1/admin/suppressions/{id}", &path, None).await;

        let tomorrow = baluarte_kernel::Clock::System.now().plus(std::time::Duration::from_secs(86_400)).to_string();
        let job = json!({ "url": "https://app.example.com/hook", "run_at": tomorrow });
        let job = walk.does(&admin, "POST /api/v1/jobs", "/api/v1/jobs", Some(job)).await.json();
        let job = job["id"].as_str().expect("an id").to_owned();
        walk.does(&admin, "DELETE /api/v1/jobs/{id}", &format!("/api/v1/jobs/{job}"), None).await;

        walk.queue(&admin).await;

        let hooks = "/api/v1/admin/webhooks";
        let hook = walk.does(&admin, "POST /api/v1/admin/webhooks", hooks, Some(json!({ "url": "https://app.example.com/hooks" }))).await.json();
        let hook = hook["id"].as_str().or(hook["endpoint"]["id"].as_str()).unwrap_or_else(|| panic!("an id in {hook}")).to_owned();
        let one = format!("{hooks}/{hook}");
        walk.does(&admin, "PATCH /api/v1/admin/webhooks/{id}", &one, Some(json!({ "description": "the shop" }))).await;
        walk.does(&admin, "POST /api/v1/admin/webhooks/{id}/rotate-secret", &format!("{one}/rotate-secret"), Some(json!({}))).await;
        let sent = walk.does(&admin, "POST /api/v1/admin/webhooks/{id}/test", &format!("{one}/test"), None).await.json();
        let sent = sent["id"].as_str().expect("an id").to_owned();
        let again = format!("{one}/deliveries/{sent}/replay");
        walk.does(&admin, "POST /api/v1/admin/webhooks/{id}/deliveries/{delivery}/replay", &again, None).await;
        let since = json!({ "since": "2026-01-01T00:00:00Z" });
        walk.does(&admin, "POST /api/v1/admin/webhooks/{id}/replay", &format!("{one}/replay"), Some(since)).await;
        walk.does(&admin, "DELETE /api/v1/admin/webhooks/{id}", &one, None).await;

        walk.does(&ana, "DELETE /api/v1/users/me", "/api/v1/users/me", Some(json!({ "password": PASSWORD }))).await;

        walk.done.extend(ELSEWHERE.iter().map(|(operation, _)| (*operation).to_owned()));
        let forgotten: Vec<_> = changing_operations().into_iter().filter(|operation| !walk.done.contains(operation)).collect();
        assert!(forgotten.is_empty(), "nothing shows that these leave an entry; perform them above: {forgotten:?}");
    }
}
