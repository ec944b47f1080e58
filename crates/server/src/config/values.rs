//! Values of the `[server]` section that are more than text.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use http::Uri;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address and port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddr(pub SocketAddr);

impl ListenAddr {
    const EXPECTED: &'static str = "an address and a port such as \"127.0.0.1:8080\", \"0.0.0.0:80\", \"[::]:8080\" or \"localhost:8080\"";
}

impl FromStr for ListenAddr {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse().map_err(|_| Self::EXPECTED)?;
            return Ok(Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)));
        }
        text.parse().map(Self).map_err(|_| Self::EXPECTED)
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where people reach us: scheme, host and perhaps a port; no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    https: bool,
}

impl PublicUrl {
    const EXPECTED: &'static str = "an http or https address without a path, such as \"https://shop.example.com\"";

    /// Without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Nobody but people on this machine gets here.
    pub fn is_loopback(&self) -> bool {
        let uri = self.text.parse::<Uri>().unwrap_or_default();
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for PublicUrl {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().trim_end_matches('/');
        let uri: Uri = text.parse().map_err(|_| Self::EXPECTED)?;
        let https = uri.scheme_str() == Some("https");
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.query().is_none()
            && matches!(uri.path(), "" | "/")
            && (https || uri.scheme_str() == Some("http"));
        if plain { Ok(Self { text: text.to_ascii_lowercase(), https }) } else { Err(Self::EXPECTED) }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub ipnet::IpNet);

impl Network {
    const EXPECTED: &'static str = "a network such as \"10.0.0.0/8\" or \"fd00::/8\", or an address";
}

impl FromStr for Network {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        text.parse().or_else(|_| text.parse::<IpAddr>().map(ipnet::IpNet::from)).map(Self).map_err(|_| Self::EXPECTED)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text in the file, the same text in the schema and in `config show`.
macro_rules! as_text {
    ($type:ident) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|expected| serde::de::Error::custom(format!("found {text:?}, expected {expected}")))
            }
        }
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $type::EXPECTED })
            }
        }
    };
}
as_text!(ListenAddr);
as_text!(PublicUrl);
as_text!(Network);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_knows_whether_it_is_this_machine() {
        let is_loopback = |text: &str| text.parse::<PublicUrl>().is_ok_and(|url| url.is_loopback());
        for text in ["http://127.0.0.1:8080", "http://localhost:8080", "https://localhost", "http://[::1]:80"] {
            assert!(is_loopback(text), "{text}");
        }
        for text in ["http://0.0.0.0:80", "http://10.0.0.1", "http://localhost.example.com", "http://127.0.0.1.example.com"] {
            assert!(!is_loopback(text), "{text}");
        }
    }

    #[test]
    fn a_public_url_has_no_path_no_user_and_no_slash_at_the_end() {
        assert_eq!("https://Shop.example.com/".parse::<PublicUrl>().map(|url| url.to_string()).as_deref(), Ok("https://shop.example.com"));
        for text in ["shop.example.com", "https://a@b", "https://a/b", "https://a?b", "ftp://a", ""] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
