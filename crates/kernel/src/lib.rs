#![doc = include_str!("../README.md")]

mod clock;
mod ctx;
mod event;
mod findings;
mod id;
mod locale;
mod page;
mod ports;
pub mod scope;
mod secret;
mod settings;
mod work;

pub use clock::{Clock, Timestamp};
pub use ctx::{Actor, Ctx, Forbidden, RequestMeta, Scheme};
pub use event::{Event, EventId, EventKind, Published};
pub use findings::{Finding, Findings};
pub use id::{ApiKeyId, ApiKeyKind, BadId, Id, Kind, SessionId, SessionKind, UserId, UserKind};
pub use locale::Locale;
pub use page::{BadCursor, Cursor, Page, PageQuery};
pub use ports::{
    AuthError, Authenticator, BoxFuture, Credential, CredentialKind, EntitledPlan, Entitlements, FreeForAll, Principal,
    UPSTREAM_IDENTITY_LIFETIME, UpstreamIdentity,
};
pub use secret::Secret;
pub use settings::{BadSetting, ByteSize, Period, Rate};
pub use work::{Periodic, WorkError};
