use baluarte_identity::NewAccount;
use baluarte_testkit::each_backend;
use serde_json::{Value, json};

use crate::app::{App, Client, PASSWORD, Reply, home, token_in};

const USERS: &str = "/api/v1/admin/users";

async fn admin(app: &App) -> Client {
    app.account("root@example.com", "admin").await;
    app.sign_in("root@example.com").await.0
}

fn emails(reply: &Reply) -> Vec<&str> {
    reply.json["items"].as_array().unwrap().iter().map(|it| it["email"].as_str().unwrap()).collect()
}

each_backend! {
    async fn asvs_8_2_1_only_administrators_administer(test: TestDb) {
        let app = App::start(test).await;
        let user = app.user("zoe@example.com").await;
        let (client, _) = app.sign_in("zoe@example.com").await;
        let one = format!("{USERS}/{}", user.id);
        for (who, status, code) in [(&home(), 401, "web.sign_in_required"), (&client, 403, "web.forbidden")] {
            app.get(who, USERS).await.is(status, code);
            app.get(who, &one).await.is(status, code);
            app.post(who, USERS, json!({"email": "a@b.c", "name": "A"})).await.is(status, code);
            app.patch(who, &one, json!({"role": "admin"})).await.is(status, code);
            app.delete(who, &format!("{one}/sessions"), None).await.is(status, code);
        }
        let ctx = app.ctx(&client).await;
        assert!(app.identity.set_role(&ctx, user.id, "admin".parse().unwrap()).await.is_err());
        assert!(app.identity.find_user_by_email(&ctx, &"zoe@example.com".parse().unwrap()).await.is_err());
    }

    async fn accounts_are_listed_newest_first_and_found_by_part_of_name_or_address(test: TestDb) {
        let app = App::start(test).await;
        let admin = admin(&app).await;
        for name in ["ana", "bruno", "carla"] {
            app.user(&format!("{name}@example.com")).await;
        }
        app.account("dora@shop.example", "staff").await;
        let all = app.get(&admin, USERS).await;
        assert_eq!(emails(&all), ["dora@shop.example", "carla@example.com", "bruno@example.com", "ana@example.com", "root@example.com"]);
        assert_eq!(emails(&app.get(&admin, &format!("{USERS}?query=RUN")).await), ["bruno@example.com"]);
        assert_eq!(emails(&app.get(&admin, &format!("{USERS}?query=%25")).await), [] as [&str; 0]);
        assert_eq!(emails(&app.get(&admin, &format!("{USERS}?role=staff")).await), ["dora@shop.example"]);
        let first = app.get(&admin, &format!("{USERS}?limit=3")).await;
        let rest = app.get(&admin, &format!("{USERS}?limit=3&cursor={}", first.text("/next_cursor"))).await;
        assert_eq!([emails(&first), emails(&rest)].concat(), emails(&all));
        assert_eq!(rest.json["next_cursor"], Value::Null);
        app.get(&admin, &format!("{USERS}?cursor=bm9uc2Vuc2U")).await.is(422, "web.invalid_fields");
        for limit in ["0", "201", "ten", "-1"] {
            assert_eq!(app.get(&admin, &format!("{USERS}?limit={limit}")).await.is(422, "web.invalid_fields").pointers, ["limit"]);
        }
        app.get(&admin, &format!("{USERS}?role=A+B")).await.is(422, "web.invalid_fields");
        app.get(&admin, &format!("{USERS}/usr_00000000000000000000000000000000")).await.is(404, "identity.user_not_found");
    }

    async fn an_administrator_changes_roles_and_disables_accounts(test: TestDb) {
        let app = App::start(test).await;
        let admin = admin(&app).await;
        let user = app.user("zoe@example.com").await;
        let (client, _) = app.sign_in("zoe@example.com").await;
        let path = format!("{USERS}/{}", user.id);
        let changed = app.patch(&admin, &path, json!({"role": "staff", "disabled": true})).await;
        changed.is(200, "");
        assert_eq!(changed.text("/role"), "staff");
        assert!(changed.json["disabled_at"].is_string());
        assert!(!app.is_signed_in(&client).await);
        assert_eq!(emails(&app.get(&admin, &format!("{USERS}?disabled=true")).await), ["zoe@example.com"]);
        app.patch(&admin, &path, json!({"disabled": false})).await.is(200, "");
        app.sign_in("zoe@example.com").await;
        assert_eq!(app.patch(&admin, &path, json!({"role": "Not A Role"})).await.is(422, "web.invalid_fields").pointers, ["/role"]);
    }

    async fn asvs_7_4_5_an_administrator_signs_somebody_out_everywhere(test: TestDb) {
        let app = App::start(test).await;
        let admin = admin(&app).await;
        let user = app.user("zoe@example.com").await;
        let (program, refresh) = app.sign_in("zoe@example.com").await;
        let browser = app.sign_in_with_cookie("zoe@example.com").await;
        app.delete(&admin, &format!("{USERS}/{}/sessions", user.id), None).await.is(204, "");
        assert!(!app.is_signed_in(&program).await && !app.is_signed_in(&browser).await);
        app.refresh(&refresh).await.is(401, "identity.refresh_invalid");
        assert!(app.is_signed_in(&admin).await);
    }

    async fn somebody_always_stays_administrator(test: TestDb) {
        let app = App::start(test).await;
        let root = app.account("root@example.com", "admin").await;
        let (client, _) = app.sign_in("root@example.com").await;
        let path = format!("{USERS}/{}", root.id);
        app.patch(&client, &path, json!({"role": "user"})).await.is(409, "identity.last_admin");
        app.patch(&client, &path, json!({"disabled": true})).await.is(409, "identity.last_admin");
        app.delete(&client, "/api/v1/users/me", Some(json!({"password": PASSWORD}))).await.is(409, "identity.last_admin");
        // Two that remove each other at the same time: one stays.
        let second = app.account("second@example.com", "admin").await;
        let (replica, operator) = (app.replica().await, app.operator());
        let user = || "user".parse().unwrap();
        let (one, two) = tokio::join!(app.identity.set_role(&operator, root.id, user()), replica.identity.set_role(&operator, second.id, user()));
        assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "{one:?} {two:?}");
        assert_eq!(app.count("users", "role", "admin").await, 1);
    }

    async fn asvs_6_3_2_there_is_no_account_until_the_operator_makes_one(test: TestDb) {
        let app = App::start(test).await;
        let root = NewAccount { email: "root@example.com".parse().unwrap(), name: "Root".parse().unwrap(), role: "admin".parse().unwrap(), password: None };
        assert!(app.identity.list_users(&app.operator(), &Default::default(), &Default::default()).await.unwrap().items.is_empty());
        let created = app.identity.create_user(&app.operator(), root.clone()).await.unwrap();
        assert!(created.user.role.is_admin());
        let url = created.set_password_url.unwrap();
        assert!(url.expose().starts_with("https://shop.example/auth/reset-password?token="));
        app.try_sign_in(&home(), "root@example.com", "").await.is(401, "identity.wrong_credentials");
        let token = token_in(url.expose());
        app.post(&home(), "/auth/reset-password", json!({"token": token, "password": PASSWORD})).await.is(204, "");
        app.sign_in("root@example.com").await;
        assert!(app.identity.create_user(&app.operator(), root).await.is_err(), "the address is taken");
    }

    async fn an_administrator_creates_accounts_even_where_nobody_may_register(test: TestDb) {
        let app = App::with(test, |config| config.registration = baluarte_identity::Registration::Closed).await;
        let admin = admin(&app).await;
        let reply = app.post(&admin, USERS, json!({"email": "new@example.com", "name": "New"})).await;
        reply.is(201, "");
        assert!(reply.text("/set_password_url").contains("?token="));
        let wrong = app.post(&admin, USERS, json!({"email": "x", "name": "", "role": "A B"})).await;
        assert_eq!(wrong.is(422, "web.invalid_fields").pointers, ["/email", "/name", "/role"]);
    }
}
