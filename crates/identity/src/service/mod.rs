//! What identity does, one method for each use case. Both doors, API and pages, come through here.

use std::sync::Arc;

use baluarte_component::{Component, Kit};
use baluarte_kernel::{Authenticator, Ctx, Entitlements, Page, PageQuery, Secret, SessionId, UserId};
use http::HeaderValue;

use crate::{
    CreatedAccount, Email, IdentityConfig, IdentityError, NewAccount, NewUser, Person, ProfileChange, Refreshed, Registered, Role, Session,
    SessionCookie, SignIn, SignedIn, User, UserFilter,
};

/// Accounts, sessions, tokens and passwords. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

struct Inner {
    config: IdentityConfig,
}

impl Identity {
    /// Loads keys and revocations and keeps both fresh. The tables must be there.
    pub async fn start(_kit: &Kit, _config: &IdentityConfig, _entitlements: Arc<dyn Entitlements>) -> Result<Self, IdentityError> {
        unimplemented!("identity")
    }

    pub fn component(&self) -> Component {
        unimplemented!("identity")
    }

    pub fn authenticator(&self) -> Arc<dyn Authenticator> {
        unimplemented!("identity")
    }

    pub fn config(&self) -> &IdentityConfig {
        &self.inner.config
    }

    // ── the cookie ──

    /// `__Host-baluarte`, or `baluarte` where the public URL is plain http.
    pub fn cookie_name(&self) -> &'static str {
        unimplemented!("identity")
    }

    /// `Set-Cookie` for somebody who has just signed in.
    pub fn session_cookie(&self, _cookie: &SessionCookie) -> HeaderValue {
        unimplemented!("identity")
    }

    /// `Set-Cookie` that makes the browser forget.
    pub fn forget_cookie(&self) -> HeaderValue {
        unimplemented!("identity")
    }

    // ── accounts ──

    /// Creates an account, or asks its owner to confirm the address first.
    pub async fn register_user(&self, _ctx: &Ctx, _new: NewUser) -> Result<Registered, IdentityError> {
        unimplemented!("identity")
    }

    pub async fn verify_email(&self, _ctx: &Ctx, _token: &Secret) -> Result<(), IdentityError> {
        unimplemented!("identity")
    }

    /// Sends the confirmation again; answers the same whether or not there is something to confirm.
    pub async fn resend_verification(&self, _ctx: &Ctx, _email: &str) -> Result<(), IdentityError> {
        unimplemented!("identity")
    }

    pub async fn find_me(&self, _ctx: &Ctx) -> Result<User, IdentityError> {
        unimplemented!("identity")
    }

    pub async fn update_profile(&self, _ctx: &Ctx, _change: ProfileChange) -> Result<User, IdentityError> {
        unimplemented!("identity")
    }

    /// Removes the caller's account and everything identity knows of it.
    pub async fn delete_me(&self, _ctx: &Ctx, _password: &Secret) -> Result<(), IdentityError> {
        unimplemented!("identity")
    }

    /// People whose name has a word that begins with `query`; without addresses.
    pub async fn list_people(&self, _ctx: &Ctx, _query: &str, _page: &PageQuery) -> Result<Page<Person>, IdentityError> {
        unimplemented!("identity")
    }

    /// The name of somebody's plan, as shown with an account.
    pub fn plan_of(&self, _user: UserId) -> Arc<str> {
        unimplemented!("identity")
    }

    // ── administration: administrators and the operator ──

    pub async fn list_users(&self, _ctx: &Ctx, _filter: &UserFilter, _page: &PageQuery) -> Result<Page<User>, IdentityError> {
        unimplemented!("identity")
    }

    pub async fn find_user(&self, _ctx: &Ctx, _id: UserId) -> Result<User, IdentityError> {
        unimplemented!("identity")
    }

    pub async fn find_user_by_email(&self, _ctx: &Ctx, _email: &Email) -> Result<Option<User>, IdentityError> {
        unimplemented!("identity")
    }

    pub async fn create_user(&self, _ctx: &Ctx, _new: NewAccount) -> Result<CreatedAccount, IdentityError> {
        unimplemented!("identity")
    }

    /// Ends all sessions; nobody can sign in to the account until it is enabled again.
    pub async fn disable_user(&self, _ctx: &Ctx, _id: UserId) -> Result<User, IdentityError> {
        unimplemented!("identity")
    }

    pub async fn enable_user(&self, _ctx: &Ctx, _id: UserId) -> Result<User, IdentityError> {
        unimplemented!("identity")
    }

    pub async fn set_role(&self, _ctx: &Ctx, _id: UserId, _role: Role) -> Result<User, IdentityError> {
        unimplemented!("identity")
    }

    /// Signs somebody out everywhere.
    pub async fn end_sessions(&self, _ctx: &Ctx, _id: UserId) -> Result<(), IdentityError> {
        unimplemented!("identity")
    }

    // ── sessions ──

    pub async fn sign_in(&self, _ctx: &Ctx, _attempt: SignIn) -> Result<SignedIn, IdentityError> {
        unimplemented!("identity")
    }

    /// Ends the session that asks, everywhere at once.
    pub async fn sign_out(&self, _ctx: &Ctx) -> Result<(), IdentityError> {
        unimplemented!("identity")
    }

    /// The next pair of tokens. The previous refresh token gets the same pair within ten seconds.
    pub async fn refresh(&self, _ctx: &Ctx, _refresh_token: &Secret) -> Result<Refreshed, IdentityError> {
        unimplemented!("identity")
    }

    /// The caller's devices, the latest first.
    pub async fn list_sessions(&self, _ctx: &Ctx, _page: &PageQuery) -> Result<Page<Session>, IdentityError> {
        unimplemented!("identity")
    }

    /// Signs one of the caller's devices out.
    pub async fn revoke_session(&self, _ctx: &Ctx, _id: SessionId) -> Result<(), IdentityError> {
        unimplemented!("identity")
    }

    /// Signs out every device of the caller but the one that asks.
    pub async fn revoke_other_sessions(&self, _ctx: &Ctx) -> Result<(), IdentityError> {
        unimplemented!("identity")
    }

    // ── passwords ──

    /// Mails a link to choose a new password, after it has answered: the same way whether or not there is an account.
    pub async fn forgot_password(&self, _ctx: &Ctx, _email: &str) -> Result<(), IdentityError> {
        unimplemented!("identity")
    }

    /// Takes the link's token and sets the password; all sessions end and nobody is signed in.
    pub async fn reset_password(&self, _ctx: &Ctx, _token: &Secret, _password: Secret) -> Result<(), IdentityError> {
        unimplemented!("identity")
    }

    /// All other sessions end.
    pub async fn change_password(&self, _ctx: &Ctx, _current: &Secret, _new: Secret) -> Result<(), IdentityError> {
        unimplemented!("identity")
    }
}
