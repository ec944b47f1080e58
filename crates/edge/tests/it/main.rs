//! The edge over real sockets.

mod floods;
mod http1;
mod http1_ends;
mod http2;
mod life;
mod meta;
mod proxy_protocol;
mod rig;
