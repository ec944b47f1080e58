//! The address of a mail server.

use std::net::IpAddr;

use baluarte_kernel::Secret;
use url::Url;

/// Where mail is handed over.
pub(crate) struct Relay {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: TlsUse,
    pub(crate) credentials: Option<(String, Secret)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsUse {
    /// From the first byte.
    Implicit,
    /// The connection becomes TLS before anything private is said, or is given up.
    StartTls,
    Off,
}

const EXPECTED: &str = "expected smtp://USER:PASSWORD@HOST:587 or smtps://USER:PASSWORD@HOST:465 \
     (characters such as @ : / ? # in user or password are written in percent encoding)";

impl Relay {
    /// The error never quotes the address, which holds a password.
    pub(crate) fn parse(url: &Secret) -> Result<Self, String> {
        let bad = || EXPECTED.to_owned();
        let url = Url::parse(url.expose().trim()).map_err(|_| bad())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let mut tls = match url.scheme() {
            "smtps" => TlsUse::Implicit,
            "smtp" if local => TlsUse::Off,
            "smtp" => TlsUse::StartTls,
            _ => return Err(bad()),
        };
        for (key, value) in url.query_pairs() {
            tls = match (&*key, &*value, url.scheme()) {
                ("tls", "off", "smtp") => TlsUse::Off,
                ("tls", "required", "smtp") => TlsUse::StartTls,
                _ => return Err(format!("found the parameter {key}; the only one is tls=off or tls=required, for smtp://")),
            };
        }
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().map(|it| it.into_owned()).map_err(|_| bad());
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            ("", Some(_)) | (_, None) => return Err(bad()),
            (user, Some(password)) => Some((decoded(user)?, Secret::new(decoded(password)?))),
        };
        if credentials.is_some() && tls == TlsUse::Off && !local {
            return Err("a password is not sent to another machine without TLS: leave tls=off or the password out".to_owned());
        }
        let port = url.port().unwrap_or(match tls {
            TlsUse::Implicit => 465,
            TlsUse::StartTls => 587,
            TlsUse::Off => 25,
        });
        Ok(Self { host, port, tls, credentials })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(url: &str) -> Result<(String, u16, TlsUse, bool), String> {
        Relay::parse(&Secret::new(url)).map(|it| (it.host, it.port, it.tls, it.credentials.is_some()))
    }

    #[test]
    fn tls_is_the_rule_and_plain_text_has_to_be_asked_for() {
        assert_eq!(relay("smtp://u:p@mail.example"), Ok(("mail.example".into(), 587, TlsUse::StartTls, true)));
        assert_eq!(relay("smtps://u:p%40x@mail.example"), Ok(("mail.example".into(), 465, TlsUse::Implicit, true)));
        assert_eq!(relay("smtp://127.0.0.1:1025"), Ok(("127.0.0.1".into(), 1025, TlsUse::Off, false)));
        assert_eq!(relay("smtp://mailpit:1025?tls=off"), Ok(("mailpit".into(), 1025, TlsUse::Off, false)));
        assert_eq!(relay("smtp://[::1]:2525?tls=required"), Ok(("::1".into(), 2525, TlsUse::StartTls, false)));
    }

    #[test]
    fn what_cannot_work_is_refused_without_quoting_the_password() {
        for url in [
            "hunter2",
            "http://u:hunter2@x",
            "smtp://u@x",
            "smtp://:hunter2@x",
            "smtp://u:hunter2@x?tls=off",
            "smtps://u:hunter2@x?tls=off",
            "smtp://",
        ] {
            let err = relay(url).expect_err(url);
            assert!(!err.contains("hunter2"), "{err}");
        }
    }
}
