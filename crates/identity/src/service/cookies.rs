//! The session cookie on its way to the browser and back out of it.

use http::HeaderValue;

use super::Identity;
use crate::SessionCookie;

impl Identity {
    /// `__Host-baluarte`, or `baluarte` where the public URL is plain http.
    pub fn cookie_name(&self) -> &'static str {
        if self.inner.kit.secure_cookies { "__Host-baluarte" } else { "baluarte" }
    }

    /// `Set-Cookie` for somebody who has just signed in.
    pub fn session_cookie(&self, cookie: &SessionCookie) -> HeaderValue {
        self.set_cookie(cookie.value.expose(), cookie.max_age.as_secs())
    }

    /// `Set-Cookie` that makes the browser forget.
    pub fn forget_cookie(&self) -> HeaderValue {
        self.set_cookie("", 0)
    }

    fn set_cookie(&self, value: &str, max_age: u64) -> HeaderValue {
        self.own_cookie(self.cookie_name(), value, max_age)
    }

    /// For this host and for programs of ours alone.
    pub(super) fn own_cookie(&self, name: &str, value: &str, max_age: u64) -> HeaderValue {
        let secure = if self.inner.kit.secure_cookies { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
        let mut header = HeaderValue::try_from(text).expect("base64url and digits fit into a header");
        header.set_sensitive(true);
        header
    }
}
