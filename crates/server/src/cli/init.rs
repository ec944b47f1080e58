//! `baluarte init`: a first configuration, after a few questions.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::Path,
};

use baluarte_db::DatabaseConfig;
use baluarte_kernel::{Findings, Secret};
use baluarte_web::WebConfig;
use clap::Args;

use super::{Failure, print};
use crate::{
    config::PublicUrl,
    private::{random_secret, write_private, write_public},
};

#[derive(Debug, Args)]
pub(super) struct Init {
    /// Take the defaults (or the flags below) instead of asking
    #[arg(long)]
    yes: bool,
    /// The domain people will use; empty: this machine only
    #[arg(long)]
    domain: Option<String>,
    /// What people call your product, for pages and mails; empty: the domain
    #[arg(long)]
    brand: Option<String>,
    /// Where your app answers
    #[arg(long)]
    upstream: Option<String>,
    /// The sender of e-mails: "Shop <no-reply@example.com>"
    #[arg(long)]
    email_from: Option<String>,
    /// Where everything is stored; a path that begins with / is the same from every folder
    #[arg(long, default_value = "sqlite:data/baluarte.db")]
    database: String,
}

struct Answers {
    domain: String,
    brand: String,
    upstream: String,
    email_from: String,
    database: String,
}

impl Init {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (config, dotenv) = (Path::new("baluarte.toml"), Path::new(".env"));
        for path in [config, dotenv] {
            if path.exists() {
                return Err(Failure::Failed(format!("{} exists already; nothing was written", path.display())));
            }
        }
        let answers = self.answers()?;
        write_private(dotenv, &dotenv_text(&answers))?;
        if let Err(err) = write_public(config, &config_text(&answers)) {
            // Both or none: half a configuration would be in the way of the next try.
            let _ = std::fs::remove_file(dotenv);
            return Err(err.into());
        }
        print(
            "wrote baluarte.toml and .env (which holds the secrets: keep it private, never commit it)\n\nnext:\n  baluarte check\n  baluarte user create you@example.com --role admin\n  baluarte serve\n",
        )
    }

    fn answers(self) -> Result<Answers, Failure> {
        let asking = !self.yes;
        if asking && !io::stdin().is_terminal() {
            return Err(Failure::Usage(
                "there is nobody to ask: use --yes, with --domain, --upstream and --email-from as needed".to_owned(),
            ));
        }
        let domain = ask(asking, self.domain, "Domain people will use (empty: only this machine)", "")?;
        // As long as a brand may be; whoever has a longer domain has a shorter name.
        let known_as = if domain.is_empty() || domain.len() > 40 { WebConfig::default().brand } else { domain.clone() };
        let answers = Answers {
            brand: ask(asking, self.brand, "Name of your product, as pages and mails say it", &known_as)?,
            domain,
            upstream: ask(asking, self.upstream, "Address of your app", "http://127.0.0.1:9000")?,
            email_from: ask(asking, self.email_from, "Sender of e-mails (empty: later)", "")?,
            database: self.database.trim().to_owned(),
        };
        let mut findings = Findings::default();
        WebConfig { brand: answers.brand.clone(), ..WebConfig::default() }.validate(&mut findings);
        if let Some(finding) = std::mem::take(&mut findings).into_vec().into_iter().next() {
            return Err(Failure::Usage(format!("--brand: {}", finding.problem)));
        }
        let database = DatabaseConfig { url: Secret::new(answers.database.as_str()), ..DatabaseConfig::default() };
        database.validate(&mut findings);
        if let Some(finding) = findings.into_vec().into_iter().next() {
            return Err(Failure::Usage(format!("--database: {}", finding.problem)));
        }
        // It would stand in a file that everybody may read.
        if !database.is_sqlite() {
            return Err(Failure::Usage("--database takes sqlite:PATH; put the address of PostgreSQL into .env as DATABASE_URL".to_owned()));
        }
        if !answers.domain.is_empty() && format!("https://{}", answers.domain).parse::<PublicUrl>().is_err() {
            return Err(Failure::Usage(format!("{:?} is not a domain such as shop.example.com", answers.domain)));
        }
        if answers.upstream.parse::<PublicUrl>().is_err() {
            return Err(Failure::Usage(format!("{:?} is not an address such as http://127.0.0.1:9000", answers.upstream)));
        }
        Ok(answers)
    }
}

fn ask(asking: bool, given: Option<String>, question: &str, default: &str) -> Result<String, Failure> {
    if let Some(given) = given {
        return Ok(given.trim().to_owned());
    }
    if !asking {
        return Ok(default.to_owned());
    }
    let mut out = io::stderr().lock();
    let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    write!(out, "{question}{shown}: ")?;
    out.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let line = line.trim();
    Ok(if line.is_empty() { default } else { line }.to_owned())
}

fn config_text(answers: &Answers) -> String {
    let mut out = String::from("# Written by `baluarte init`. Every key: `baluarte config example`.\n\n");
    if answers.domain.is_empty() {
        out.push_str("environment = \"development\"\n\n[server]\nlisten = \"127.0.0.1:8080\"\npublic_url = \"http://127.0.0.1:8080\"\n");
    } else {
        let _ = write!(
            out,
            "environment = \"production\"\n\n[server]\nlisten = \"127.0.0.1:8080\"             # your TLS proxy sends requests here\npublic_url = \"https://{}\"\ntrusted_proxies = [\"127.0.0.1/32\"]      # and its X-Forwarded-* is believed\n",
            answers.domain
        );
    }
    let _ = write!(out, "\n[web]\nbrand = {}\n", toml::Value::from(answers.brand.as_str()));
    let _ = write!(out, "\n[database]\nurl = {:?}\n", answers.database);
    if !answers.email_from.is_empty() {
        let _ = write!(out, "\n[notify]\nemail_from = {:?}\n", answers.email_from);
    }
    let _ = write!(
        out,
        "\n[gateway.upstreams.app]\nservers = [{:?}]\n\n[[gateway.routes]]\npath = \"/\"\nupstream = \"app\"\naccess = \"public\"                       # public | signed-in | role:NAME | plan:NAME | scope:NAME\nlimits = [\"pages\"]                      # a page comes with its pictures; an API does with \"general\"\n\n[limits.pages]\nrate = \"1200/min\"                       # of one address\nburst = 300\n",
        answers.upstream
    );
    out
}

fn dotenv_text(answers: &Answers) -> String {
    let mut out = format!(
        "# Secrets. Only the server's user may read this file.\nSECRET_KEY={}\nSECURITY_PASSWORD_SALT={}\n",
        random_secret(),
        random_secret()
    );
    if !answers.email_from.is_empty() {
        out.push_str("# SMTP_URL=smtp://USER:PASSWORD@HOST:587\n");
    }
    out
}
