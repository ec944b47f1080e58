#![doc = include_str!("../README.md")]

mod answer;
mod body;
mod buffers;
mod connect;
mod error;
mod gate;
mod headers;
mod health;
mod hold;
mod http1;
mod pool;
mod recycle;
mod tls;
mod tunnel;
mod upstream;

pub use answer::UpstreamBody;
pub use body::{BodyError, RequestBody, ResponseBody};
pub use error::{ClientFault, ProxyError};
pub use headers::{Origin, Prepared, is_event_stream, prepare};
pub use health::watch;
pub use hold::Hold;
pub use pool::Pool;
pub use recycle::{blank_request, keep_map};
pub use tls::TlsClient;
pub use upstream::{BadAddress, ServerAddress, Upstream, UpstreamSpec};
