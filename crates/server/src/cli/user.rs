//! `user`: the operator's administration of accounts.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _},
};

use baluarte_component::Tasks;
use baluarte_identity::{Act, Email, Identity, IdentityError, Name, NewAccount, NewInvitation, Reason, Role, User, UserFilter};
use baluarte_kernel::{Clock, Ctx, PageQuery, Secret};
use clap::{Args, Subcommand};
use tokio::runtime::Handle;

use super::{Failure, Global, import::Import, print};
use crate::{components, config::Config, serve, start};

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Create an account; without a password, a link to choose one is printed
    Create(Create),
    /// Take people over from another program, with the password hashes it made
    Import(Import),
    /// Invite somebody to create an account: the link is mailed and printed
    Invite {
        /// Where the link is sent
        email: String,
        /// `admin`, `user`, or a role of your own that routes ask for
        #[arg(long, default_value = "user")]
        role: String,
    },
    /// List accounts
    List {
        /// Part of the address or of the name
        #[arg(long)]
        query: Option<String>,
        /// Only this role
        #[arg(long)]
        role: Option<String>,
        /// Only those that are `active`, `disabled`, `unverified` or `reset_required`
        #[arg(long)]
        state: Option<String>,
        /// Only those with this second factor: `totp`, `email`, `sms`, `passkey`, `any` or `none`
        #[arg(long)]
        factor: Option<String>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// End all sessions of an account and let nobody sign in to it
    Disable {
        /// The account's address
        email: String,
        /// Why: kept in the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a disabled account sign in again
    Enable {
        /// The account's address
        email: String,
        /// Why: kept in the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Sign somebody out everywhere
    EndSessions {
        /// The account's address
        email: String,
        /// Why: kept in the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Make somebody's password void and mail them a link to choose another one; ends all sessions
    RequireReset {
        /// The account's address
        email: String,
        /// Why: kept in the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Clear the counts of failed attempts that keep somebody out
    Unblock {
        /// The account's address
        email: String,
        /// Why: kept in the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Give an account another role
    SetRole {
        /// The account's address
        email: String,
        /// `owner`, `admin`, `support`, `read-only`, `user`, or a role of your own that routes ask for
        role: String,
        /// Why: kept in the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Take away all second factors of somebody who has lost them; ends all sessions of the account and tells its owner
    ResetMfa {
        /// The account's address
        email: String,
        /// How it was made sure that it is the owner who asks: kept in the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Delete an account and everything that is known of its owner, for good
    Delete {
        /// The account's address
        email: String,
        /// Do it; otherwise it is only said what would be deleted
        #[arg(long)]
        yes: bool,
    },
    /// Put an account on a plan (comes with billing; until then everybody is on `free`)
    SetPlan {
        /// The account's address
        email: String,
        /// The plan's name
        plan: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The account's address
    email: String,
    /// What people see; the part before the @ when absent
    #[arg(long)]
    name: Option<String>,
    /// `owner`, `admin`, `support`, `read-only`, `user`, or a role of your own that routes ask for
    #[arg(long, default_value = "user")]
    role: String,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

impl UserCommand {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        if let Self::SetPlan { .. } = self {
            return Err(Failure::Failed("plans by hand come with billing; until then everybody is on the plan \"free\"".to_owned()));
        }
        let config = global.load()?.config;
        let runtime = serve::control_runtime().map_err(Failure::chain)?;
        let output = runtime.block_on(self.act(&config))?;
        print(&output)
    }

    async fn act(self, config: &Config) -> Result<String, Failure> {
        let tasks = Tasks::new(Handle::current());
        let kit = start::open(config, &Ctx::operator(Clock::System), tasks.clone()).await.map_err(Failure::chain)?;
        let identity = components::identity(&kit, config).await.map_err(Failure::chain)?;
        let ctx = Ctx::operator(kit.clock.clone());
        let output = match self {
            Self::Create(create) => create.act(&ctx, &identity).await,
            Self::Import(import) => import.act(&ctx, &identity).await,
            Self::Invite { email, role } => invite(&ctx, &identity, &email, &role).await,
            Self::List { query, role, state, factor, json } => {
                let filter = UserFilter {
                    query,
                    role: role.map(|role| role.parse().map_err(Failure::usage)).transpose()?,
                    state: state.map(|state| state.parse().map_err(Failure::usage)).transpose()?,
                    factor: factor.map(|factor| factor.parse().map_err(Failure::usage)).transpose()?,
                    ..UserFilter::default()
                };
                list(&ctx, &identity, &filter, json).await
            }
            Self::Disable { email, reason } => {
                act(&ctx, &identity, &email, Act::Disable, reason, |user| format!("{} is disabled and signed out everywhere\n", user.email))
                    .await
            }
            Self::Enable { email, reason } => {
                act(&ctx, &identity, &email, Act::Enable, reason, |user| format!("{} may sign in again\n", user.email)).await
            }
            Self::EndSessions { email, reason } => {
                act(&ctx, &identity, &email, Act::EndSessions, reason, |user| format!("{} is signed out everywhere\n", user.email)).await
            }
            Self::RequireReset { email, reason } => {
                let done = |user: &User| format!("{} has to choose a new password: a link was mailed\n", user.email);
                act(&ctx, &identity, &email, Act::RequireReset, reason, done).await
            }
            Self::Unblock { email, reason } => {
                act(&ctx, &identity, &email, Act::Unblock, reason, |user| format!("failed attempts on {} are forgotten\n", user.email))
                    .await
            }
            Self::SetRole { email, role, reason } => {
                let role: Role = role.parse().map_err(Failure::usage)?;
                let done = |user: &User| format!("{} has the role {}\n", user.email, user.role.as_str());
                act(&ctx, &identity, &email, Act::SetRole(role), reason, done).await
            }
            Self::ResetMfa { email, reason } => {
                let done = |user: &User| format!("{} has no second factor any more and is signed out everywhere\n", user.email);
                act(&ctx, &identity, &email, Act::RemoveFactors, reason, done).await
            }
            Self::Delete { email, yes } => {
                let user = find(&ctx, &identity, &email).await?;
                if yes {
                    identity.delete_user(&ctx, user.id).await.map_err(refused).map(|()| format!("deleted {} ({})\n", user.email, user.id))
                } else {
                    Err(Failure::Usage(format!(
                        "{} ({}, role {}) would be deleted for good: say so with --yes",
                        user.email,
                        user.id,
                        user.role.as_str()
                    )))
                }
            }
            Self::SetPlan { .. } => Ok(String::new()),
        };
        // What the use case left to be done, such as telling other replicas.
        tasks.stop().await;
        kit.db.close().await;
        output
    }
}

impl Create {
    async fn act(self, ctx: &Ctx, identity: &Identity) -> Result<String, Failure> {
        let email: Email = self.email.parse().map_err(Failure::usage)?;
        let name = self.name.unwrap_or_else(|| self.email.split('@').next().unwrap_or_default().to_owned());
        let name: Name = name.parse().map_err(Failure::usage)?;
        let role: Role = self.role.parse().map_err(Failure::usage)?;
        let password = if self.password_stdin { Some(password_from_stdin()?) } else { None };
        let created = identity.create_user(ctx, NewAccount { email, name, role, password }).await.map_err(refused)?;
        let mut out = format!("created {} ({}, role {})\n", created.user.email, created.user.id, created.user.role.as_str());
        if let Some(url) = created.set_password_url {
            let _ = writeln!(out, "choose a password, once, at:\n  {}", url.expose());
        }
        Ok(out)
    }
}

async fn invite(ctx: &Ctx, identity: &Identity, email: &str, role: &str) -> Result<String, Failure> {
    let email: Email = email.parse().map_err(Failure::usage)?;
    let role: Role = role.parse().map_err(Failure::usage)?;
    let new = NewInvitation { email: Some(email.clone()), role, max_uses: 1, expires_at: None, locale: None };
    let created = identity.invite(ctx, new).await.map_err(refused)?;
    let invitation = &created.invitation;
    let mut out = format!("invited {email} ({}, role {}) until {}\n", invitation.id, invitation.role, invitation.expires_at);
    let _ = writeln!(out, "a mail is on its way; the link in it works once:\n  {}", created.url.expose());
    Ok(out)
}

/// Does something to the account with this address and says so.
async fn act(
    ctx: &Ctx,
    identity: &Identity,
    email: &str,
    act: Act,
    reason: Option<String>,
    said: impl FnOnce(&User) -> String,
) -> Result<String, Failure> {
    let reason = Reason::optional(reason.as_deref().unwrap_or_default()).map_err(Failure::usage)?;
    let user = find(ctx, identity, email).await?;
    identity.act(ctx, user.id, act, reason.as_ref()).await.map(|user| said(&user)).map_err(refused)
}

async fn list(ctx: &Ctx, identity: &Identity, filter: &UserFilter, json: bool) -> Result<String, Failure> {
    let mut page = PageQuery { limit: Some(PageQuery::MAX), cursor: None };
    let mut out = String::new();
    loop {
        let found = identity.list_users(ctx, filter, &page).await.map_err(refused)?;
        for user in found.items {
            line(&mut out, &user, json);
        }
        match found.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => return Ok(out),
        }
    }
}

fn line(out: &mut String, user: &User, json: bool) {
    let disabled = user.disabled_at.is_some();
    let _ = if json {
        let view = serde_json::json!({
            "id": user.id, "email": user.email.to_string(), "name": user.name.to_string(), "role": user.role.as_str(),
            "disabled": disabled, "reset_required": user.reset_required_at.is_some(), "created_at": user.created_at,
        });
        writeln!(out, "{view}")
    } else {
        let state = match user.reset_required_at {
            _ if disabled => "  disabled",
            Some(_) => "  reset required",
            None => "",
        };
        writeln!(out, "{}  {:<8}  {}  {}{state}", user.id, user.role.as_str(), user.email, user.name)
    };
}

async fn find(ctx: &Ctx, identity: &Identity, email: &str) -> Result<User, Failure> {
    let email: Email = email.parse().map_err(Failure::usage)?;
    let found = identity.find_user_by_email(ctx, &email).await.map_err(refused)?;
    found.ok_or_else(|| Failure::Failed(format!("there is no account with the address {email}")))
}

fn password_from_stdin() -> Result<Secret, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::Usage("--password-stdin: standard input held no password".to_owned()));
    }
    Ok(Secret::new(password))
}

fn refused(err: IdentityError) -> Failure {
    Failure::chain(anyhow::Error::new(err))
}
