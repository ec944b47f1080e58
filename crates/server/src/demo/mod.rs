//! `baluarte demo`: a whole system in a temporary folder, gone when it ends.

mod catalogue;
mod html;
mod shop;

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    thread::JoinHandle,
};

use anyhow::{Context as _, Result};
use baluarte_identity::{Identity, NewAccount};
use baluarte_kernel::{Clock, Ctx, Secret};
use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    components,
    config::{self, Config, Inputs, Loaded},
    private::{self, TemporaryFolder},
    serve, start,
};

/// What the demo may be told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Where the demo listens.
    pub(crate) listen: SocketAddr,
}

/// Runs until Ctrl-C. `say` prints to the person at the terminal.
pub(crate) fn run(options: Options, say: impl Fn(&str)) -> Result<()> {
    let folder = TemporaryFolder::create("demo")?;
    let shop = Shop::open()?;
    let (loaded, inputs) = configuration(options, folder.path(), shop.address)?;
    let people = create_people(&loaded.config)?;
    let greeting = greeting(&loaded.config, shop.address, &people);
    let ended = serve::run(loaded, &inputs, serve::Mode { hangup_stops: true, ..serve::Mode::default() }, |_| say(&greeting));
    shop.close();
    drop(folder);
    if ended.is_ok() {
        say("\nThe demo has ended; nothing of it is left.\n");
    }
    ended
}

/// The app that the demo puts itself in front of, on a thread and a port of its own.
struct Shop {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Shop {
    fn open() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the sample shop finds no free port")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("shop".to_owned()).spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async move {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                tokio::select! {
                    // Open keep-alive connections would hold a graceful end up; nobody misses this shop.
                    _ = shop::serve(listener, std::future::pending()) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, stop, thread })
    }

    fn close(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

/// Written to a file, so that a curious person can read it while the demo runs.
fn configuration(options: Options, folder: &Path, shop: SocketAddr) -> Result<(Loaded, Inputs)> {
    let file = folder.join("baluarte.toml");
    private::write_private(&file, &configuration_text(options, folder, shop))?;
    // Nothing of the person's own environment or `.env` has a say in the demo.
    let inputs = Inputs { file, file_required: true, dotenv: folder.join(".env"), ..Inputs::default() };
    let loaded = config::load(&inputs)?;
    Ok((loaded, inputs))
}

fn configuration_text(options: Options, folder: &Path, shop: SocketAddr) -> String {
    let (listen, port) = (options.listen, options.listen.port());
    // By its name, not by its address: browsers know passkeys only for names.
    let local = listen.ip().is_unspecified() || listen.ip() == Ipv4Addr::LOCALHOST;
    let public = if local { format!("localhost:{port}") } else { listen.to_string() };
    let database = folder.join("baluarte.db");
    let mut out = format!(
        r#"environment = "development"

[server]
listen = "{listen}"
public_url = "http://{public}"
metrics_listen = ""
shutdown_grace = "3s"

[secrets]
secret_key = "{key}"
password_salt = "{salt}"

[database]
url = "sqlite:{database}"

[notify]
email_from = "Corner Shop <shop@example.com>"
dev_outbox = true

[identity]
email_verification = "required"
magic_link = "on"

[telemetry]
log_level = "warn"

[web]
brand = "Corner Shop"

[billing.plans.pro]
rank = 1
title = "Pro"
rate = "1000/min"

[gateway.upstreams.shop]
servers = ["http://{shop}"]
health = {{ path = "/healthz", every = "10s" }}
"#,
        key = private::random_secret(),
        salt = private::random_secret(),
        database = database.display(),
    );
    // A page comes with its pictures: the limit for APIs would refuse some of them.
    out.push_str("\n[limits.pages]\nrate = \"1200/min\"\nburst = 300\n");
    for (path, access) in ROUTES {
        let _ = write!(out, "\n[[gateway.routes]]\npath = \"{path}\"\nupstream = \"shop\"\naccess = \"{access}\"\nlimits = [\"pages\"]\n");
    }
    out
}

/// A route of every kind of access.
const ROUTES: [(&str, &str); 7] = [
    ("/", "public"),
    ("/basket", "signed-in"),
    ("/orders", "signed-in"),
    ("/reports", "plan:pro"),
    ("/admin", "role:admin"),
    ("/export", "scope:orders"),
    ("/stream", "public"),
];

/// Somebody who can sign in to the demo.
struct Somebody {
    email: &'static str,
    name: &'static str,
    role: &'static str,
    password: String,
}

fn create_people(config: &Config) -> Result<Vec<Somebody>> {
    let people: Vec<Somebody> = [
        ("ana@example.com", "Ana", "user"),
        ("bruno@example.com", "Bruno", "user"),
        ("admin@example.com", "Ada the administrator", "admin"),
    ]
    .into_iter()
    .map(|(email, name, role)| Somebody { email, name, role, password: private::random_secret()[..16].to_owned() })
    .collect();
    let runtime = serve::control_runtime()?;
    runtime.block_on(async {
        let tasks = baluarte_component::Tasks::new(Handle::current());
        let kit = start::open(config, &Ctx::system(Clock::System), tasks.clone()).await?;
        let identity = components::identity(&kit, config).await?;
        let ctx = Ctx::operator(kit.clock.clone());
        for somebody in &people {
            create(&ctx, &identity, somebody).await.with_context(|| format!("the account of {}", somebody.name))?;
        }
        tasks.stop().await;
        kit.db.close().await;
        Ok(people)
    })
}

async fn create(ctx: &Ctx, identity: &Identity, somebody: &Somebody) -> Result<()> {
    let account = NewAccount {
        email: somebody.email.parse()?,
        name: somebody.name.parse()?,
        role: somebody.role.parse()?,
        password: Some(Secret::new(somebody.password.as_str())),
    };
    identity.create_user(ctx, account).await?;
    Ok(())
}

fn greeting(config: &Config, shop: SocketAddr, people: &[Somebody]) -> String {
    let url = config.server.public_url.as_str();
    let mut out = format!(
        "
Baluarte demo: a small shop that knows nothing of passwords, behind Baluarte.

  The shop            {url}/
  Sign in             {url}/auth/login
  Mails it would send {url}/dev/outbox
  API documentation   {url}/docs
  The shop itself     http://{shop}/   (what Baluarte protects; nobody else should reach it)

"
    );
    for somebody in people {
        let _ = writeln!(out, "  {:<20}{:<20}  {}", somebody.role, somebody.email, somebody.password);
    }
    let _ = write!(
        out,
        "\n  Anybody           /  /whoami  /stream\n  Signed in         /orders  /basket\n  Plan pro          /reports   (nobody has it yet: refused)\n  Role admin        /admin\n  Scope orders      /export    (for programs: make a key with that scope at /auth/account/api-keys)\n\nCtrl-C ends it and leaves nothing behind.\n"
    );
    out
}
