//! People who come from another program, and their passwords.

use baluarte_identity::{Identity, ImportLine, ImportReport};
use baluarte_testkit::each_backend;

use crate::app::{App, home};

/// As the programs themselves made them: `src/password/vectors/make.py`.
const VECTORS: &str = include_str!("../../src/password/vectors/hashes.txt");

fn vectors(password: &str) -> Vec<(&'static str, &'static str)> {
    let columns = VECTORS.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect::<Vec<_>>());
    columns.filter(|columns| columns[1] == password).map(|columns| (columns[0], columns[2])).collect()
}

fn line(email: &str, hash: &str) -> ImportLine {
    ImportLine { email: email.to_owned(), password_hash: hash.to_owned(), email_verified: "true".to_owned(), ..ImportLine::default() }
}

async fn import(app: &App, lines: Vec<ImportLine>, update: bool) -> ImportReport {
    let users: Vec<_> = lines.into_iter().map(|line| line.judge(app.clock.now()).unwrap()).collect();
    assert!(users.len() <= Identity::IMPORT_BATCH);
    app.identity.import_users(&app.operator(), &users, update).await.unwrap()
}

fn report(created: usize, updated: usize, unchanged: usize) -> ImportReport {
    ImportReport { created, updated, unchanged }
}

async fn hash_of(app: &App, email: &str) -> String {
    app.text("SELECT password_hash || ' ' || COALESCE(password_scheme, 'ours') FROM users WHERE email = $1", email).await
}

each_backend! {
    async fn each_hash_signs_in_and_becomes_one_of_ours(test: TestDb) {
        let app = App::start(test).await;
        let vectors = vectors("correct horse");
        let address = |n: usize| format!("person{n}@example.com");
        let lines = vectors.iter().enumerate().map(|(n, (_, hash))| line(&address(n), hash)).collect();
        assert_eq!(import(&app, lines, false).await, report(vectors.len(), 0, 0));
        for (n, (by, _)) in vectors.iter().enumerate() {
            assert!(hash_of(&app, &address(n)).await.starts_with("imported:"), "{by}");
            app.try_sign_in(&home(), &address(n), "correct horsf").await.is(401, "identity.wrong_credentials");
            app.try_sign_in(&home(), &address(n), "correct horse").await.is(200, "");
            let now = hash_of(&app, &address(n)).await;
            assert!(now.starts_with("$argon2id$") && now.ends_with(" ours"), "{by}: {now}");
            app.try_sign_in(&home(), &address(n), "correct horse").await.is(200, "");
        }
        assert_eq!(app.count("audit_entries", "action", "identity.user.imported").await, 1);
    }

    async fn the_same_file_again_changes_nothing_and_an_update_only_what_nobody_has_used(test: TestDb) {
        let app = App::start(test).await;
        let hash = vectors("correct horse")[0].1;
        let both = || vec![line("ana@example.com", hash), line("bob@example.com", hash)];
        assert_eq!(import(&app, both(), false).await, report(2, 0, 0));
        assert_eq!(import(&app, both(), false).await, report(0, 0, 2));
        app.try_sign_in(&home(), "ana@example.com", "correct horse").await.is(200, "");
        let renamed: Vec<_> = both().into_iter().map(|line| ImportLine { name: "Another Name".to_owned(), ..line }).collect();
        assert_eq!(import(&app, renamed, true).await, report(0, 1, 1));
        assert_eq!(app.text("SELECT name FROM users WHERE email = $1", "bob@example.com").await, "Another Name");
        assert_eq!(app.text("SELECT name FROM users WHERE email = $1", "ana@example.com").await, "ana");
        assert!(hash_of(&app, "ana@example.com").await.ends_with(" ours"));
    }

    async fn without_a_hash_a_password_is_chosen_by_mail(test: TestDb) {
        let app = App::start(test).await;
        import(&app, vec![line("ana@example.com", "")], false).await;
        app.try_sign_in(&home(), "ana@example.com", "correct horse").await.is(401, "identity.wrong_credentials");
        app.post(&home(), "/auth/forgot-password", serde_json::json!({"email": "ana@example.com"})).await.is(202, "");
        let token = app.mailed_token("ana@example.com").await;
        let chosen = serde_json::json!({"token": token, "password": "another long password"});
        app.post(&home(), "/auth/reset-password", chosen).await.is(204, "");
        app.try_sign_in(&home(), "ana@example.com", "another long password").await.is(200, "");
    }

    async fn nobody_but_the_operator_imports(test: TestDb) {
        let app = App::start(test).await;
        app.user("ana@example.com").await;
        let (ana, _) = app.sign_in("ana@example.com").await;
        let refused = app.identity.import_users(&app.ctx(&ana).await, &[], false).await;
        assert!(refused.is_err());
    }
}
