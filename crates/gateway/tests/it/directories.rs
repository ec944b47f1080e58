//! Files: exactly those of the directory.

use std::os::unix::fs::symlink;

use crate::harness::*;

fn config(folder: &Folder, more: &str) -> String {
    format!(
        "[[gateway.routes]]\npath = \"/static\"\nstrip_prefix = true\ndirectory = {:?}\nlimits = []\n{more}",
        folder.0.display().to_string()
    )
}

#[test]
fn a_file_has_a_type_validators_and_a_cache_time() {
    run(|control| async move {
        let folder = Folder::new();
        folder.write("css/site.css", "body{}");
        let world = world(control, &config(&folder, "cache = \"1y\"")).await;
        let seen = world.get("/static/css/site.css", &[]).await;
        assert_eq!((seen.status, seen.text().as_str()), (200, "body{}"));
        assert_eq!(seen.header("content-type"), Some("text/css; charset=utf-8"));
        assert_eq!(seen.header("cache-control"), Some("public, max-age=31536000, immutable"));
        let (etag, modified) = (seen.header("etag").unwrap(), seen.header("last-modified").unwrap());
        assert!(etag.starts_with('"'));
        for (condition, status) in [
            (format!("if-none-match: {etag}"), 304),
            (format!("if-none-match: \"x\", W/{etag}"), 304),
            ("if-none-match: *".to_owned(), 304),
            ("if-none-match: \"x\"".to_owned(), 200),
            (format!("if-modified-since: {modified}"), 304),
            ("if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), 200),
            ("if-match: \"x\"".to_owned(), 412),
            ("if-unmodified-since: Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), 412),
        ] {
            let seen = world.get("/static/css/site.css", &[&condition]).await;
            assert_eq!(seen.status, status, "{condition}");
            assert!(status == 200 || seen.body.is_empty());
        }
        let seen = world.send("HEAD", "/static/css/site.css", &[], "").await;
        assert_eq!((seen.status, seen.header("content-length"), seen.body.len()), (200, Some("6"), 0));
        let seen = world.send("POST", "/static/css/site.css", &[], "x").await;
        assert_eq!((seen.status, seen.header("allow")), (405, Some("GET, HEAD")));
    });
}

#[test]
fn a_refused_range_or_condition_is_not_cached_like_the_file() {
    run(|control| async move {
        let folder = Folder::new();
        folder.write("app.js", "0123456789");
        let world = world(control, &config(&folder, "cache = \"1y\"")).await;
        for (asks, status) in [("range: bytes=20-", 416), ("if-match: \"other\"", 412)] {
            let seen = world.get("/static/app.js", &[asks]).await;
            assert_eq!((seen.status, seen.header("cache-control")), (status, Some("no-store")), "{asks}");
        }
        let seen = world.get("/static/app.js", &["range: bytes=2-4"]).await;
        assert_eq!((seen.status, seen.header("cache-control")), (206, Some("public, max-age=31536000, immutable")));
    });
}

#[test]
fn ranges_of_small_and_large_files() {
    run(|control| async move {
        let folder = Folder::new();
        folder.write("small.bin", b"0123456789");
        let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        folder.write("large.bin", &large);
        let world = world(control, &config(&folder, "")).await;
        let seen = world.get("/static/small.bin", &["range: bytes=2-4"]).await;
        assert_eq!((seen.status, seen.text().as_str(), seen.header("content-range")), (206, "234", Some("bytes 2-4/10")));
        let seen = world.get("/static/small.bin", &["range: bytes=20-"]).await;
        assert_eq!((seen.status, seen.header("content-range")), (416, Some("bytes */10")));
        let seen = world.get("/static/small.bin", &["range: bytes=2-4", "if-range: \"other\""]).await;
        assert_eq!((seen.status, seen.body.len()), (200, 10));
        assert_eq!(world.get("/static/large.bin", &[]).await.body, large);
        let seen = world.get("/static/large.bin", &["range: bytes=1000000-2999998"]).await;
        assert_eq!((seen.status, &seen.body[..]), (206, &large[1_000_000..=2_999_998]));
    });
}

#[test]
fn nothing_outside_hidden_or_special_is_served() {
    run(|control| async move {
        let (folder, outside) = (Folder::new(), Folder::new());
        outside.write("secret", "secret");
        folder.write("public.txt", "public");
        folder.write(".env", "secret");
        folder.write(".git/config", "secret");
        symlink(outside.0.join("secret"), folder.0.join("absolute")).unwrap();
        let relative = format!("../{}/secret", outside.0.file_name().unwrap().to_str().unwrap());
        symlink(relative, folder.0.join("relative")).unwrap();
        symlink(&outside.0, folder.0.join("folder")).unwrap();
        symlink("public.txt", folder.0.join("inside.txt")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.0.join("pipe"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        let world = world(control, &config(&folder, "")).await;
        for path in [
            "/static/.env",
            "/static/.git/config",
            "/static/absolute",
            "/static/relative",
            "/static/folder/secret",
            "/static/pipe",
            "/static/%2eenv",
            "/static",
            "/static/",
            "/static/public.txt/",
            "/static/public.txt/x",
            "/static/nothing",
            "/static/public.txt%00",
            "/static/../static/public.txt",
            "/static/%2e%2e/secret",
            "/static/..%2fsecret",
            "/static//public.txt",
            "/static/public%2etxt%2f",
        ] {
            let seen = world.get(path, &[]).await;
            assert!(matches!(seen.status, 400 | 404) && !seen.text().contains("secret"), "{path}: {seen:?}");
        }
        assert_eq!(world.get("/static/public.txt", &[]).await.text(), "public");
        assert_eq!(world.get("/static/inside.txt", &[]).await.text(), "public", "a link that stays inside is the operator's own");
    });
}

#[test]
fn compressed_siblings_are_used_when_they_are_wanted_and_fresh() {
    run(|control| async move {
        let folder = Folder::new();
        folder.write("app.js", "plain");
        folder.write("app.js.br", "brotli");
        folder.write("app.js.gz", "gzip");
        folder.write("old.js.gz", "stale");
        let file = std::fs::File::options().write(true).open(folder.0.join("old.js.gz")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        folder.write("old.js", "fresh");
        let world = world(control, &config(&folder, "")).await;
        for (path, accepted, text, encoding) in [
            ("/static/app.js", "gzip, br;q=0.5", "brotli", Some("br")),
            ("/static/app.js", "gzip, br;q=0", "gzip", Some("gzip")),
            ("/static/app.js", "identity", "plain", None),
            ("/static/old.js", "gzip", "fresh", None),
        ] {
            let seen = world.get(path, &[&format!("accept-encoding: {accepted}")]).await;
            assert_eq!((seen.text().as_str(), seen.header("content-encoding")), (text, encoding), "{path} {accepted}");
            assert_eq!(
                (seen.header("content-type"), seen.header("vary")),
                (Some("text/javascript; charset=utf-8"), Some("accept-encoding"))
            );
        }
    });
}

#[test]
fn directories_have_a_page_and_apps_a_fallback() {
    run(|control| async move {
        let folder = Folder::new();
        folder.write("index.html", "home");
        folder.write("docs/index.html", "docs");
        folder.write("empty/x.txt", "x");
        let world = world(control, &config(&folder, "fallback = \"index.html\"\ncache = \"30d\"")).await;
        let seen = world.get("/static/", &[]).await;
        assert_eq!((seen.text().as_str(), seen.header("cache-control")), ("home", Some("no-cache")));
        assert_eq!(world.get("/static/docs/", &[]).await.text(), "docs");
        for (path, with_slash) in [
            ("/static/docs?x=1", "/static/docs/?x=1"),
            ("/static", "/static/"),
            ("/static?next=//evil.example", "/static/?next=//evil.example"),
        ] {
            let seen = world.get(path, &[]).await;
            assert_eq!((seen.status, seen.header("location")), (308, Some(with_slash)), "or links in the page lead elsewhere: {path}");
        }
        assert_eq!(world.get("/static/some/page", &[]).await.text(), "home");
        assert_eq!(world.get("/static/empty/", &[]).await.text(), "home", "never a listing");
        assert_eq!(world.get("/static/missing.js", &[]).await.status, 404);
        assert_eq!(world.get("/static/api/orders", &["accept: application/json"]).await.status, 404, "a page is no data");
        assert_eq!(world.get("/static/some/page", &["accept: application/json, */*"]).await.text(), "home");
    });
}

#[test]
fn files_for_some_are_not_for_shared_caches() {
    run(|control| async move {
        let folder = Folder::new();
        folder.write("a.txt", "a");
        let world = world(control, &config(&folder, "cache = \"1h\"\naccess = \"signed-in\"")).await;
        assert_eq!(world.get("/static/a.txt", &[]).await.status, 401);
        let seen = world.get("/static/a.txt", &["authorization: Bearer ana"]).await;
        assert_eq!(seen.header("cache-control"), Some("private, max-age=3600, immutable"));
    });
}
