//! `messages`: what they look like, and whether a provider takes one.

use std::fmt::Write as _;

use baluarte_component::Tasks;
use baluarte_kernel::{Clock, Ctx, Locale};
use baluarte_notify::{Channel, Message};
use clap::{Args, Subcommand};
use tokio::runtime::Handle;

use super::{Failure, Global, print};
use crate::{components, config::Config, serve, start};

#[derive(Debug, Subcommand)]
pub(super) enum MessagesCommand {
    /// List every kind of message
    List,
    /// Print a message with made-up values
    Preview(Preview),
    /// Send one message with made-up values to an address of your own
    Test(Test),
}

#[derive(Debug, Args)]
pub(super) struct Preview {
    /// As `messages list` names it: identity.verify_email
    name: String,
    /// `en`, `es` or `pt`
    #[arg(long, default_value = "en", value_parser = language)]
    lang: Locale,
    /// The HTML form instead of the text
    #[arg(long)]
    html: bool,
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// Your own address, or your own number: +351912345678
    #[arg(long)]
    to: String,
    /// Only this provider; otherwise the first that takes it, in the configured order
    #[arg(long)]
    provider: Option<String>,
    /// Which message, as `messages list` names it; otherwise a short one
    #[arg(long)]
    name: Option<String>,
    /// `en`, `es` or `pt`
    #[arg(long, default_value = "en", value_parser = language)]
    lang: Locale,
}

impl MessagesCommand {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let config = global.load()?.config;
        match self {
            Self::List => print(&list(&config)),
            Self::Preview(preview) => print(&preview.show(&config)?),
            Self::Test(test) => {
                let runtime = serve::control_runtime().map_err(Failure::chain)?;
                print(&runtime.block_on(test.send(&config))?)
            }
        }
    }
}

fn samples(config: &Config, locale: Locale) -> Vec<Message> {
    components::samples(config.server.public_url.as_str(), config.web.brand.trim(), locale, Clock::System.now())
}

fn list(config: &Config) -> String {
    let mut out = String::new();
    for message in samples(config, Locale::En) {
        let _ = writeln!(out, "{:<28} {:<5} {}", message.kind, message.channel.as_str(), title(&message));
    }
    out
}

/// A text message has no subject.
fn title(message: &Message) -> &str {
    if message.subject.is_empty() { message.text.lines().next().unwrap_or_default() } else { &message.subject }
}

fn find(config: &Config, name: &str, lang: Locale) -> Result<Message, Failure> {
    let samples = samples(config, lang);
    let names: Vec<&str> = samples.iter().map(|sample| sample.kind).collect();
    let unknown = Failure::Usage(format!("there is no message {name:?}; there are: {}", names.join(", ")));
    samples.into_iter().find(|sample| sample.kind == name).ok_or(unknown)
}

impl Preview {
    fn show(self, config: &Config) -> Result<String, Failure> {
        let message = find(config, &self.name, self.lang)?;
        if self.html {
            return message.html.ok_or_else(|| Failure::Failed("a text message has no HTML".to_owned()));
        }
        let subject = if message.subject.is_empty() { String::new() } else { format!("Subject: {}\n\n", message.subject) };
        Ok(format!("{subject}{}\n", message.text.trim_end()))
    }
}

impl Test {
    async fn send(self, config: &Config) -> Result<String, Failure> {
        let channel = if self.to.contains('@') { Channel::Email } else { Channel::Sms };
        let message = match &self.name {
            Some(name) => find(config, name, self.lang)?,
            None => a_short_one(channel, config, self.lang),
        };
        if message.channel != channel {
            return Err(Failure::Usage(format!("{} is for {}, and {} is not", message.kind, message.channel.as_str(), self.to)));
        }
        let tasks = Tasks::new(Handle::current());
        let kit = start::open(config, &Ctx::operator(Clock::System), tasks.clone()).await.map_err(Failure::chain)?;
        let result = match channel {
            Channel::Sms => kit.notify.check_sms(&self.to).map(|_| ()).map_err(|refused| Failure::Failed(refused.to_string())),
            Channel::Email => Ok(()),
        };
        let result = match result {
            Ok(()) => {
                let ctx = Ctx::operator(kit.clock.clone());
                let sent = kit.notify.send_now(&Message { to: self.to, ..message }, self.provider.as_deref(), &ctx).await;
                sent.map(|said| lines(&said)).map_err(|said| Failure::Failed(said.join("; ")))
            }
            Err(refused) => Err(refused),
        };
        tasks.stop().await;
        kit.db.close().await;
        result
    }
}

fn lines(said: &[String]) -> String {
    said.iter().map(|line| format!("{line}\n")).collect()
}

fn a_short_one(channel: Channel, config: &Config, locale: Locale) -> Message {
    let url = config.server.public_url.as_str();
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let brand = config.web.brand.trim();
    let text = format!("This is a test message from {host}. Messages arrive.");
    let now = Clock::System.now();
    let subject = match channel {
        Channel::Email => format!("Test message from {brand}"),
        Channel::Sms => String::new(),
    };
    let useful_until = now.plus(std::time::Duration::from_secs(600));
    Message { channel, to: String::new(), locale, subject, text, html: None, kind: "notify.test", useful_until, about: None }
}

fn language(text: &str) -> Result<Locale, String> {
    Locale::from_tag(text).ok_or_else(|| "expected en, es or pt".to_owned())
}
