//! The servers that tests talk to: what runs already is used; what does not is started in private, and ended afterwards.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    install::{debian_packages, is_root},
    run::{command, env, find, output},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Both addresses, and what has to be ended when this is dropped.
pub(crate) struct Services {
    pub(crate) database_url: String,
    pub(crate) redis_url: String,
    _postgres: Option<PrivatePostgres>,
    _redis: Option<PrivateRedis>,
}

/// Whether a PostgreSQL of our own waits for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    Full,
    None,
}

impl Services {
    pub(crate) fn start(durability: Durability) -> Result<Self> {
        let (database_url, postgres) = match running_postgres() {
            Some(url) => (url, None),
            None => {
                let server = PrivatePostgres::start(durability)?;
                (server.url(), Some(server))
            }
        };
        let (redis_url, redis) = match running_redis() {
            Some(url) => (url, None),
            None => {
                let server = PrivateRedis::start()?;
                (server.url(), Some(server))
            }
        };
        for (name, url, private) in [("PostgreSQL", &database_url, postgres.is_some()), ("Redis", &redis_url, redis.is_some())] {
            eprintln!("{name}: {url} ({})", if private { "started for this run" } else { "was running" });
        }
        Ok(Self { database_url, redis_url, _postgres: postgres, _redis: redis })
    }
}

/// One that lets us make databases.
fn running_postgres() -> Option<String> {
    let psql = find("psql")?;
    let candidates = [env("TEST_DATABASE_URL"), Some("postgres://postgres@127.0.0.1:5432/postgres".to_owned())];
    candidates.into_iter().flatten().find(|url| {
        let question = "SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user";
        let answer = output(command(&psql, &["-w", "-At", "-c", question, url]).env("PGCONNECT_TIMEOUT", "3"));
        answer.is_ok_and(|answer| answer.trim() == "t")
    })
}

fn running_redis() -> Option<String> {
    let candidates = [env("TEST_REDIS_URL"), Some("redis://127.0.0.1:6379".to_owned())];
    candidates.into_iter().flatten().find(|url| {
        let address = url.trim_start_matches("redis://").split('/').next().unwrap_or_default();
        address.parse().is_ok_and(redis_answers)
    })
}

fn redis_answers(address: SocketAddr) -> bool {
    let ping = || -> std::io::Result<bool> {
        let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        connection.set_read_timeout(Some(Duration::from_secs(2)))?;
        connection.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        connection.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG\r\n")
    };
    ping().unwrap_or(false)
}

struct PrivatePostgres {
    folder: PathBuf,
    port: u16,
    pg_ctl: PathBuf,
}

impl PrivatePostgres {
    fn start(durability: Durability) -> Result<Self> {
        debian_packages(&[("initdb", "postgresql"), ("psql", "postgresql-client")])?;
        let pg_ctl = find("pg_ctl").context("PostgreSQL's pg_ctl is not where Debian puts it")?;
        let initdb = find("initdb").context("PostgreSQL's initdb is not where Debian puts it")?;
        let folder = private_folder("postgres")?;
        if is_root() {
            output(&mut command("chown", &["postgres", &folder.to_string_lossy()]))?;
        }
        let server = Self { folder, port: free_port()?, pg_ctl };
        let data = server.data();
        eprintln!("\nPostgreSQL is not running: starting one of our own on port {}", server.port);
        output(&mut as_postgres(&initdb, &["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]))?;
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync={} -c max_connections=300",
            server.port,
            server.folder.display(),
            if durability == Durability::Full { "on" } else { "off" }
        );
        let log = server.folder.join("log");
        let log = log.to_string_lossy();
        output(&mut as_postgres(&server.pg_ctl, &["-D", &data, "-w", "-t", "60", "-l", &log, "-o", &options, "start"]))?;
        Ok(server)
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> String {
        self.folder.join("data").to_string_lossy().into_owned()
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        if output(&mut as_postgres(&self.pg_ctl, &["-D", &self.data(), "-m", "immediate", "-w", "stop"])).is_ok() {
            std::fs::remove_dir_all(&self.folder).ok();
        }
    }
}

/// PostgreSQL refuses to run as root. Its output goes to files: a server that inherits a pipe keeps it open.
fn as_postgres(program: &PathBuf, args: &[&str]) -> Command {
    let mut command = if is_root() {
        let mut command = command("runuser", &["-u", "postgres", "--"]);
        command.arg(program).args(args);
        command
    } else {
        command(program, args)
    };
    command.current_dir(std::env::temp_dir()).stdout(Stdio::null());
    command
}

struct PrivateRedis {
    folder: PathBuf,
    port: u16,
    process: Child,
}

impl PrivateRedis {
    fn start() -> Result<Self> {
        debian_packages(&[("redis-server", "redis-server")])?;
        let (folder, port) = (private_folder("redis")?, free_port()?);
        eprintln!("\nRedis is not running: starting one of our own on port {port}");
        let process = command("redis-server", &["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { folder, port, process };
        let deadline = Instant::now() + PATIENCE;
        while !redis_answers((Ipv4Addr::LOCALHOST, port).into()) {
            if Instant::now() > deadline {
                bail!("redis-server does not answer");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn private_folder(name: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("baluarte-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
