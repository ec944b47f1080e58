//! The proxies, each doing its share of the same work, and the app behind them.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Result, bail};

use crate::{
    Plan, http,
    machine::Cores,
    process::{Folder, Server, free_port},
};

pub(crate) fn email(person: usize) -> String {
    format!("person{person}@example.com")
}

pub(crate) const PASSWORD: &str = "correct horse battery staple 7";

/// A proxy and the request to measure it with.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) server: Server,
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<String>,
}

/// nginx with a 200-byte answer, on the load generator's cores.
pub(crate) fn upstream(cores: &Cores, folder: &Folder) -> Result<Server> {
    let port = free_port()?;
    let body = "x".repeat(200);
    let site = format!("server {{ listen 127.0.0.1:{port} reuseport; location / {{ default_type text/plain; return 200 '{body}'; }} }}");
    let config = nginx_config(folder.path(), &format!("upstream-{port}"), 2, "", &site)?;
    nginx(cores.for_load("nginx"), &config, port)
}

/// `proxy_pass` with keep-alive to the upstream and nothing else.
pub(crate) fn plain_nginx(cores: &Cores, folder: &Folder, upstream: u16) -> Result<Peer> {
    let port = free_port()?;
    let config = nginx_config(folder.path(), "plain", cores.proxy_count, "", &nginx_proxy(port, upstream, "access_log off;"))?;
    Ok(Peer { name: "nginx, plain", server: nginx(cores.for_proxy("nginx"), &config, port)?, path: "/", headers: Vec::new() })
}

/// nginx doing what it can of a gateway's work: a limit for each client, an access log, request ids. It checks no token.
pub(crate) fn full_nginx(cores: &Cores, folder: &Folder, upstream: u16) -> Result<Peer> {
    let port = free_port()?;
    let log = folder.path().join("nginx-access.log");
    let zone = "limit_req_zone $binary_remote_addr zone=clients:1m rate=1000000r/s;";
    let extra = format!("access_log {}; limit_req zone=clients burst=1000000 nodelay;", log.display());
    let config = nginx_config(folder.path(), "full", cores.proxy_count, zone, &nginx_proxy(port, upstream, &extra))?;
    Ok(Peer { name: "nginx, limit_req + log", server: nginx(cores.for_proxy("nginx"), &config, port)?, path: "/", headers: Vec::new() })
}

pub(crate) fn haproxy(cores: &Cores, folder: &Folder, upstream: u16) -> Result<Peer> {
    let port = free_port()?;
    let config = folder.path().join("haproxy.cfg");
    let threads = cores.proxy_count;
    fs::write(
        &config,
        format!(
            "global\n  maxconn 4096\n  nbthread {threads}\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n  \
             http-reuse always\nfrontend in\n  bind 127.0.0.1:{port}\n  default_backend app\nbackend app\n  server app 127.0.0.1:{upstream}\n"
        ),
    )?;
    let mut command = cores.for_proxy("haproxy");
    command.args(["-db", "-q", "-f"]).arg(&config).stdin(Stdio::null()).stderr(Stdio::null());
    Ok(Peer { name: "HAProxy", server: Server::start(&mut command, port)?, path: "/", headers: Vec::new() })
}

/// Baluarte as in production: JSON log (to a file), metrics, limits, security headers, request ids.
pub(crate) struct Baluarte {
    folder: PathBuf,
    bin: PathBuf,
}

impl Baluarte {
    /// An installation of its own with so many accounts, named after what it is measured for.
    pub(crate) fn prepare(plan: &Plan, folder: &Folder, name: &str, upstream: u16, people: usize) -> Result<Self> {
        let baluarte = Self { folder: folder.path().join(name), bin: plan.bin.clone() };
        fs::create_dir_all(&baluarte.folder)?;
        fs::write(baluarte.folder.join("baluarte.toml"), config(upstream))?;
        let command = |args: &[&str], input: &str| -> Result<()> {
            let mut child = baluarte
                .command(Command::new(&baluarte.bin))
                .args(args)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes())).transpose()?;
            let output = child.wait_with_output()?;
            if !output.status.success() {
                bail!(
                    "baluarte {}: {}{}",
                    args.join(" "),
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            Ok(())
        };
        for person in 0..people {
            command(&["user", "create", &email(person), "--password-stdin"], &format!("{PASSWORD}\n"))?;
        }
        Ok(baluarte)
    }

    /// With `serve`, on a free port, on these cores.
    pub(crate) fn start(&self, program: impl FnOnce(&str) -> Command) -> Result<Server> {
        let (port, metrics) = (free_port()?, free_port()?);
        let log = fs::File::create(self.folder.join("log"))?;
        let mut command = self.command(program(&self.bin.to_string_lossy()));
        command
            .arg("serve")
            .env("BALUARTE__SERVER__LISTEN", format!("127.0.0.1:{port}"))
            .env("BALUARTE__SERVER__METRICS_LISTEN", format!("127.0.0.1:{metrics}"))
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log);
        let server = Server::start(&mut command, port);
        let mut server = server.map_err(|err| err.context(fs::read_to_string(self.folder.join("log")).unwrap_or_default()))?;
        server.metrics = Some(metrics);
        Ok(server)
    }

    /// With `worker`, on the SQLite file of the installation or another database.
    pub(crate) fn work(&self, database: Option<&str>) -> Result<Server> {
        let metrics = free_port()?;
        let log = fs::File::create(self.folder.join("log"))?;
        let mut command = self.command(Command::new(&self.bin));
        command
            .arg("worker")
            .env("BALUARTE__SERVER__METRICS_LISTEN", format!("127.0.0.1:{metrics}"))
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log);
        if let Some(url) = database {
            command.env("BALUARTE__DATABASE__URL", url);
        }
        Server::start(&mut command, metrics).map_err(|err| err.context(fs::read_to_string(self.folder.join("log")).unwrap_or_default()))
    }

    /// The public route, and the one with everything on, as two peers on processes of their own.
    pub(crate) fn peers(&self, cores: &Cores) -> Result<[Peer; 2]> {
        let server = self.start(|bin| cores.for_proxy(bin))?;
        let public = Peer { name: "Baluarte, public route", server, path: "/public", headers: Vec::new() };
        Ok([public, self.peer(cores, "/full")?])
    }

    /// A process of its own, asked for `path` by somebody signed in.
    pub(crate) fn peer(&self, cores: &Cores, path: &'static str) -> Result<Peer> {
        let server = self.start(|bin| cores.for_proxy(bin))?;
        let token = http::sign_in(server.port, &email(0), PASSWORD)?;
        let headers = vec![format!("Authorization: Bearer {token}")];
        Ok(Peer { name: "Baluarte, everything on", server, path, headers })
    }

    fn command(&self, mut command: Command) -> Command {
        command.current_dir(&self.folder).env("SECRET_KEY", "5c2f0a91d7e84b36a1f09c7d2e5b8843c6d1e0f7a2948b5d");
        command
    }
}

/// The limits are there and are counted, but never reached.
fn config(upstream: u16) -> String {
    format!(
        r#"environment = "production"
[server]
public_url = "http://127.0.0.1"
allow_insecure = true
[database]
url = "sqlite:baluarte.db"
[edge]
max_connections = 10000
max_connections_per_client = 10000
[identity]
email_verification = "off"
[limits.user]
key = "user"
rate = "1000000/s"
burst = 100000
[limits.login]
rate = "1000000/s"
burst = 100000
[limits.api]
rate = "1000000/s"
burst = 100000
[gateway.upstreams.app]
servers = ["http://127.0.0.1:{upstream}"]
[[gateway.routes]]
path = "/public"
upstream = "app"
access = "public"
limits = []
[[gateway.routes]]
path = "/full"
upstream = "app"
access = "signed-in"
limits = ["user"]
[[gateway.routes]]
path = "/audited"
upstream = "app"
access = "signed-in"
limits = ["user"]
audit = "all"
"#
    )
}

fn nginx_proxy(port: u16, upstream: u16, extra: &str) -> String {
    format!(
        "upstream app {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}\n\
         server {{ listen 127.0.0.1:{port} reuseport; {extra}\n\
         location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host; \
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Request-ID $request_id; }} }}"
    )
}

fn nginx_config(folder: &Path, name: &str, workers: usize, http: &str, site: &str) -> Result<PathBuf> {
    let home = folder.join(name);
    fs::create_dir_all(&home)?;
    let file = home.join("nginx.conf");
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", home.display()))
        .collect();
    fs::write(
        &file,
        format!(
            "worker_processes {workers};\ndaemon off;\npid {home}/pid;\nerror_log {home}/error.log;\nevents {{ worker_connections 8192; }}\n\
             http {{\naccess_log off;\nkeepalive_requests 1000000000;\n{paths}{http}\n{site}\n}}\n",
            home = home.display()
        ),
    )?;
    Ok(file)
}

fn nginx(mut command: Command, config: &Path, port: u16) -> Result<Server> {
    Server::start(command.arg("-c").arg(config).stdin(Stdio::null()).stderr(Stdio::null()), port)
}
