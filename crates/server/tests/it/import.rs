//! `user import`: people from another program.

use std::fmt::Write as _;

use baluarte_testkit::{Baluarte, each_process_backend};
use serde_json::json;

use crate::bin;

/// `correct horse`, by werkzeug and by Django.
const WERKZEUG: &str = "pbkdf2:sha256:1000$S94471LQOWCIb5wg$a0ca335d09c9d4e72c7c2f3aa6705a52c0ae0856eae14340a2d4eabd160f4ca6";
const DJANGO: &str = "pbkdf2_sha256$1000$saltsaltsaltsaltsalt22$gO2QBfDGYVYjWMWu8/Vd5fKzH8Jg+zluhGr0LyKkkY0=";

each_process_backend! {
    async fn people_come_with_their_passwords_and_every_bad_line_is_named(backend) {
        let app = Baluarte::builder(bin()).backend(backend).start().await;
        let import = |more: &[&str], text: &str| app.run(&[&["user", "import", "-"], more].concat(), text);
        let csv = format!(
            "email,name,password_hash,email_verified\r\nana@example.com,\"Ana, the \"\"first\"\"\",{WERKZEUG},true\r\nnobody,X,,\r\nbob@example.com,Bob,md5$x$0123abcd,\r\nonly-one-column\r\n"
        );
        let dry = import(&["--format", "csv", "--dry-run"], &csv).expect_code(1);
        for line in ["line 3: email: not an e-mail address", "line 4: password_hash: none of the known forms", "line 5: has 1 columns"] {
            assert!(dry.stderr.contains(line), "{line} in {}", dry.stderr);
        }
        assert!(!dry.stderr.contains("0123abcd") && dry.stderr.contains("4 lines read, 3 bad; nothing was written"), "{}", dry.stderr);
        // One bad line holds back those that go with it.
        let held = import(&["--format", "csv"], &csv).expect_code(1);
        assert!(held.stderr.contains("1 good lines were held back"), "{}", held.stderr);
        let login = json!({ "email": "ana@example.com", "password": "correct horse" });
        app.client().post_json("/api/v1/auth/login", &login).await.expect_status(401);

        let good = format!("email,name,password_hash\nana@example.com,\"Ana, the \"\"first\"\"\",{WERKZEUG}\n");
        let done = import(&["--format", "csv"], &good).expect_code(0).stdout;
        assert!(done.contains("1 lines read, 1 accounts created, 0 updated, 0 there already, 0 bad"), "{done}");
        let user = app.client().post_json("/api/v1/auth/login", &login).await.expect_status(200).json();
        assert_eq!(user["user"]["name"], "Ana, the \"first\"");

        let ndjson = format!("\n{{\"email\":\"bob@example.com\",\"password_hash\":\"{DJANGO}\",\"email_verified\":true}}\n{{\"mail\":\"x\"}}\n[1]\n");
        let bad = import(&["--format", "ndjson"], &ndjson).expect_code(1).stderr;
        assert!(bad.contains("line 3: \"mail\" is none of email, name") && bad.contains("line 4: is not a JSON object"), "{bad}");
        import(&["--format", "ndjson"], ndjson.lines().nth(1).unwrap_or_default()).expect_code(0);
        let login = json!({ "email": "bob@example.com", "password": "correct horse" });
        app.client().post_json("/api/v1/auth/login", &login).await.expect_status(200);
    }

    async fn a_long_file_goes_in_pieces_and_what_is_there_stays(backend) {
        let app = Baluarte::builder(bin()).backend(backend).start().await;
        let mut text = "email\n".to_owned();
        for n in 0..2_500 {
            let _ = writeln!(text, "{}", if n == 1_200 { "broken".to_owned() } else { format!("person{n}@example.com") });
        }
        let first = app.run(&["user", "import", "-", "--format", "csv"], &text).expect_code(1).stderr;
        assert!(first.contains("line 1202: email") && first.contains("1500 accounts created") && first.contains("999 good lines"), "{first}");
        let again = app.run(&["user", "import", "-", "--format", "csv"], &text.replace("broken", "person1200@example.com")).expect_code(0).stdout;
        assert!(again.contains("1000 accounts created, 0 updated, 1500 there already, 0 bad"), "{again}");
        // A quotation mark without its fellow does not swallow the rest.
        let open = format!("email\nx@example.com\n\"{}", "y".repeat(100_000));
        let refused = app.run(&["user", "import", "-", "--format", "csv"], &open).expect_code(1).stderr;
        assert!(refused.contains("is a quotation mark missing"), "{refused}");
    }
}
