//! Are these the provider's own words about a message? Signatures of callbacks.

use std::{fmt, str::FromStr};

use aws_lc_rs::{
    hmac,
    signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey},
};
use baluarte_kernel::{Secret, Timestamp};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Where Twilio reports.
pub(crate) const TWILIO_PATH: &str = "/api/v1/notify/callbacks/twilio";
/// Where SendGrid reports.
pub(crate) const SENDGRID_PATH: &str = "/api/v1/notify/callbacks/sendgrid";

/// How far a report's own time may be from ours, in seconds.
const TOLERANCE: u64 = 300;

/// Why a callback is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotGenuine {
    /// Not signed by the provider, or not as it was.
    Forged,
    /// Signed long ago: somebody may have kept it.
    Stale,
}

/// `base64(HMAC-SHA1(token, url + every parameter's name and value, sorted by name))`. The URL is the one Twilio was given.
/// Twilio's own clients take it with and without the port, because servers behind proxies do not know which it was.
pub(crate) fn twilio(token: &Secret, url: &str, parameters: &[(String, String)], signature: &str) -> Result<(), NotGenuine> {
    let given = STANDARD.decode(signature.trim()).map_err(|_| NotGenuine::Forged)?;
    let mut sorted: Vec<_> = parameters.iter().collect();
    sorted.sort();
    sorted.dedup();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.expose().as_bytes());
    let mut spellings = vec![url.to_owned()];
    spellings.extend(other_port(url));
    for spelling in spellings {
        let mut text = spelling;
        for (name, value) in &sorted {
            text.push_str(name);
            text.push_str(value);
        }
        if hmac::verify(&key, text.as_bytes(), &given).is_ok() {
            return Ok(());
        }
    }
    Err(NotGenuine::Forged)
}

/// `https://a/x` ↔ `https://a:443/x`.
fn other_port(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let default = if scheme == "https" { ":443" } else { ":80" };
    match host.strip_suffix(default) {
        Some(bare) => Some(format!("{scheme}://{bare}{path}")),
        None if host.contains(':') => None,
        None => Some(format!("{scheme}://{host}{default}{path}")),
    }
}

/// The public key of SendGrid's event webhook: a point of the curve P-256.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SendGridKey(Vec<u8>);

/// What comes before the point in the DER form that SendGrid shows (RFC 5480).
const P256_HEADER: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07, 0x03, 0x42, 0x00,
];

impl FromStr for SendGridKey {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected the verification key of the signed event webhook, as SendGrid shows it: MFkwEwYHKoZIzj0CAQ…";
        let text: String = text.lines().filter(|line| !line.starts_with("-----")).collect::<String>().split_whitespace().collect();
        let der = STANDARD.decode(text).map_err(|_| EXPECTED)?;
        match der.strip_prefix(&P256_HEADER) {
            Some(point) if point.len() == 65 && point[0] == 4 => Ok(Self(point.to_vec())),
            _ => Err(EXPECTED),
        }
    }
}

impl fmt::Debug for SendGridKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendGridKey")
    }
}

impl SendGridKey {
    /// An ECDSA signature over the timestamp's text and the body as it came.
    pub(crate) fn verify(&self, timestamp: &str, body: &[u8], signature: &str, now: Timestamp) -> Result<(), NotGenuine> {
        let given = STANDARD.decode(signature.trim()).map_err(|_| NotGenuine::Forged)?;
        let signed = [timestamp.as_bytes(), body].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0).verify(&signed, &given).map_err(|_| NotGenuine::Forged)?;
        let at: i64 = timestamp.parse().map_err(|_| NotGenuine::Forged)?;
        if now.unix_seconds().abs_diff(at) > TOLERANCE { Err(NotGenuine::Stale) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The example of Twilio's documentation.
    #[test]
    fn twilios_own_example_is_genuine_and_anything_changed_is_not() {
        let token = Secret::new("12345");
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        let parameters = pairs(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ]);
        let signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        assert_eq!(twilio(&token, url, &parameters, signature), Ok(()));
        let with_port = "https://mycompany.com:443/myapp.php?foo=1&bar=2";
        assert_eq!(twilio(&token, with_port, &parameters, signature), Ok(()));
        let mut shuffled = parameters.clone();
        shuffled.reverse();
        assert_eq!(twilio(&token, url, &shuffled, signature), Ok(()));
        for (token, url, signature) in [
            ("12346", url, signature),
            ("12345", "https://mycompany.com/myapp.php?foo=1&bar=3", signature),
            ("12345", "https://mycompany.com:8443/myapp.php?foo=1&bar=2", signature),
            ("12345", url, "RSOYDt4T1cUTdK1PDd93/VVr8B9="),
            ("12345", url, ""),
            ("12345", url, "not base64"),
        ] {
            assert_eq!(twilio(&Secret::new(token), url, &parameters, signature), Err(NotGenuine::Forged), "{url} {signature}");
        }
        assert_eq!(twilio(&token, url, &parameters[1..], signature), Err(NotGenuine::Forged));
    }

    /// The example in the tests of SendGrid's own clients.
    #[test]
    fn sendgrids_own_example_is_genuine_in_its_time_only() {
        let key: SendGridKey =
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
                .parse()
                .unwrap();
        let body = "[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n";
        let signature = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=";
        let at = Timestamp::from_unix_seconds(1_600_112_502);
        assert_eq!(key.verify("1600112502", body.as_bytes(), signature, at), Ok(()));
        let late = Timestamp::from_unix_seconds(1_600_112_502 + 301);
        assert_eq!(key.verify("1600112502", body.as_bytes(), signature, late), Err(NotGenuine::Stale));
        assert_eq!(key.verify("1600112503", body.as_bytes(), signature, at), Err(NotGenuine::Forged));
        assert_eq!(key.verify("1600112502", body.trim().as_bytes(), signature, at), Err(NotGenuine::Forged));
        assert!("MFkw".parse::<SendGridKey>().is_err());
    }
}
