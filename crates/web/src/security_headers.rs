//! What an answer is given when the application behind us did not say it itself: headers that tell browsers what a page may do.

use http::HeaderValue;

/// A route's headers for browsers. In a response's extensions: what the edge adds instead of [`STANDARD`](Self::STANDARD).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityHeaders {
    pub nosniff: bool,
    pub referrer: Option<HeaderValue>,
    pub permissions: Option<HeaderValue>,
    pub opener: Option<HeaderValue>,
    pub resource: Option<HeaderValue>,
    pub report_only: Option<HeaderValue>,
    /// Where `report-to` leads.
    pub reporting: Option<HeaderValue>,
    /// `X-Frame-Options`: what the old header can say of `frame-ancestors`.
    pub frames: Option<HeaderValue>,
    pub policy: Policy,
}

/// The content security policy in its two parts: an application may have said one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    rest: Option<HeaderValue>,
    ancestors: Option<HeaderValue>,
    whole: Option<HeaderValue>,
}

impl SecurityHeaders {
    /// For everybody who configured nothing. No policy: only an application knows where its scripts come from.
    pub const STANDARD: Self = Self {
        nosniff: true,
        referrer: Some(HeaderValue::from_static("strict-origin-when-cross-origin")),
        // Nothing that an application might need: camera, microphone and location stay its own to decide about.
        permissions: Some(HeaderValue::from_static("browsing-topics=()")),
        // Sign-in windows of identity providers and payment pages still work.
        opener: Some(HeaderValue::from_static("same-origin-allow-popups")),
        resource: None,
        report_only: None,
        reporting: None,
        frames: Some(HeaderValue::from_static("SAMEORIGIN")),
        policy: Policy { rest: None, ancestors: None, whole: None },
    };
}

impl Policy {
    /// Either may be empty. `None`: that is no header's value.
    pub fn new(rest: &str, ancestors: &str) -> Option<Self> {
        let value = |text: &str| if text.is_empty() { Some(None) } else { HeaderValue::from_str(text).ok().map(Some) };
        let ancestors = if ancestors.is_empty() { String::new() } else { format!("frame-ancestors {ancestors}") };
        let whole = if rest.is_empty() || ancestors.is_empty() { format!("{rest}{ancestors}") } else { format!("{rest}; {ancestors}") };
        Some(Self { rest: value(rest)?, ancestors: value(&ancestors)?, whole: value(&whole)? })
    }

    /// The part that an answer lacks. A second policy beside the application's own only ever forbids more.
    pub fn missing(&self, has_policy: bool, has_frames: bool) -> &Option<HeaderValue> {
        match (has_policy, has_frames) {
            (false, false) => &self.whole,
            (false, true) => &self.rest,
            (true, false) => &self.ancestors,
            (true, true) => &None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_joined_or_told_in_the_part_that_is_missing() {
        let policy = Policy::new("default-src 'self'", "'none'").expect("values");
        let missing = |has_policy, has_frames| policy.missing(has_policy, has_frames).as_ref().map(|value| value.to_str().expect("text"));
        assert_eq!(missing(false, false), Some("default-src 'self'; frame-ancestors 'none'"));
        assert_eq!(missing(false, true), Some("default-src 'self'"));
        assert_eq!(missing(true, false), Some("frame-ancestors 'none'"));
        assert_eq!(missing(true, true), None);
        assert_eq!(Policy::new("", ""), Some(Policy::default()));
        assert_eq!(Policy::new("a\nb", ""), None);
    }
}
