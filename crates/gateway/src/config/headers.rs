//! `[gateway.headers.NAME]`: what browsers are told about a route's answers where the app does not say it itself.

use baluarte_web::{Policy, SecurityHeaders};
use http::{HeaderValue, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sets that exist without configuration, and what a set begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Harmless for nearly every app; no content security policy.
    Standard,
    /// Everything from the app's own origin and nothing in frames: for apps without scripts inline or from elsewhere.
    Strict,
    /// For pages with Bootstrap, HTMX and the like from jsDelivr or unpkg.
    Bootstrap,
    /// Nothing is added.
    None,
}

/// `[gateway.headers.NAME]`: a set of headers for browsers, named by routes. The app's own header always wins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeadersConfig {
    /// What the set begins with: `standard`, `strict`, `bootstrap` or `none`. Default: the preset of the set's own name, else `standard`.
    pub preset: Option<Preset>,
    /// `Content-Security-Policy`. Who may frame the pages and where reports go have keys of their own. `""`: none.
    pub content_security_policy: Option<String>,
    /// The same, tried out: browsers report and forbid nothing.
    pub content_security_policy_report_only: Option<String>,
    /// Where browsers tell what a policy forbade: `/csp-reports` of your app, or an https address.
    pub report_to: Option<String>,
    /// Who may show the pages in a frame: `'none'`, `'self'`, `'self' https://partner.example`. `""`: anybody.
    pub frame_ancestors: Option<String>,
    /// `Referrer-Policy`, such as `no-referrer`. `""`: none, as with the following.
    pub referrer_policy: Option<String>,
    /// `Permissions-Policy`, such as `camera=(), geolocation=(self)`.
    pub permissions_policy: Option<String>,
    /// `Cross-Origin-Opener-Policy`, such as `same-origin`.
    pub cross_origin_opener_policy: Option<String>,
    /// `Cross-Origin-Resource-Policy`, such as `same-site`.
    pub cross_origin_resource_policy: Option<String>,
}

/// Every key of a preset, as text.
struct Values<'a> {
    nosniff: bool,
    policy: &'a str,
    report_only: &'a str,
    report_to: &'a str,
    ancestors: &'a str,
    referrer: &'a str,
    permissions: &'a str,
    opener: &'a str,
    resource: &'a str,
}

const QUIET: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()";

impl Preset {
    pub(crate) const NAMES: [&str; 4] = ["standard", "strict", "bootstrap", "none"];

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "standard" => Self::Standard,
            "strict" => Self::Strict,
            "bootstrap" => Self::Bootstrap,
            "none" => Self::None,
            _ => return None,
        })
    }

    fn values(self) -> Values<'static> {
        let none = Values {
            nosniff: false,
            policy: "",
            report_only: "",
            report_to: "",
            ancestors: "",
            referrer: "",
            permissions: "",
            opener: "",
            resource: "",
        };
        let standard = Values {
            nosniff: true,
            ancestors: "'self'",
            referrer: "strict-origin-when-cross-origin",
            permissions: "browsing-topics=()",
            opener: "same-origin-allow-popups",
            ..none
        };
        match self {
            Self::None => none,
            Self::Standard => standard,
            Self::Strict => Values {
                policy: "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'",
                ancestors: "'none'",
                referrer: "same-origin",
                permissions: QUIET,
                opener: "same-origin",
                resource: "same-origin",
                ..standard
            },
            // Styles inline: Bootstrap's and HTMX' scripts write them. Scripts inline stay forbidden.
            Self::Bootstrap => Values {
                policy: "default-src 'self'; script-src 'self' https://cdn.jsdelivr.net https://unpkg.com; \
                         style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net https://unpkg.com; img-src 'self' data:; \
                         font-src 'self' data: https://cdn.jsdelivr.net; object-src 'none'; base-uri 'self'; form-action 'self'",
                permissions: QUIET,
                ..standard
            },
        }
    }
}

impl HeadersConfig {
    /// What the edge is to add, and what is wrong: the key and why. `None` for the standard set as it is.
    pub(crate) fn compile(&self, name: &str) -> (Option<SecurityHeaders>, Vec<(&'static str, String)>) {
        let preset = self.preset.or_else(|| Preset::named(name)).unwrap_or(Preset::Standard);
        let untouched = *self == Self { preset: self.preset, ..Self::default() };
        if untouched && preset == Preset::Standard {
            return (None, Vec::new());
        }
        let base = preset.values();
        let own = |own: &'_ Option<String>, base: &'static str| own.as_deref().map_or(base.to_owned(), |own| own.trim().to_owned());
        let policy = own(&self.content_security_policy, base.policy);
        let report_only = own(&self.content_security_policy_report_only, base.report_only);
        let (report_to, ancestors) = (own(&self.report_to, base.report_to), own(&self.frame_ancestors, base.ancestors));
        let mut troubles = Vec::new();
        let mut trouble = |key: &'static str, found: &str, problem: &str| troubles.push((key, format!("found {found:?}, {problem}")));
        for (key, text) in [("content_security_policy", &policy), ("content_security_policy_report_only", &report_only)] {
            if let Err(problem) = check_policy(text, !report_to.is_empty()) {
                trouble(key, text, &problem);
            }
        }
        if let Err(problem) = check_report_to(&report_to, policy.is_empty() && report_only.is_empty()) {
            trouble("report_to", &report_to, problem);
        }
        if let Err(problem) = check_ancestors(&ancestors) {
            trouble("frame_ancestors", &ancestors, problem);
        }
        let reports = |policy: &str| match policy {
            "" => String::new(),
            policy if report_to.is_empty() => policy.trim_end_matches([';', ' ']).to_owned(),
            policy => format!("{}; report-uri {report_to}; report-to csp", policy.trim_end_matches([';', ' '])),
        };
        let mut value = |key: &'static str, own: &Option<String>, base: &'static str, allowed: &[&str]| {
            let text = own.as_deref().map_or(base, str::trim);
            let parts = || text.split(',').map(str::trim);
            if !allowed.is_empty() && !text.is_empty() && !parts().all(|part| allowed.contains(&part)) {
                trouble(key, text, &format!("expected one of {}", allowed.join(", ")));
            }
            let value = HeaderValue::from_str(text);
            if value.is_err() {
                trouble(key, text, "expected text without line breaks");
            }
            value.ok().filter(|value| !value.is_empty())
        };
        let referrer = value("referrer_policy", &self.referrer_policy, base.referrer, &REFERRER);
        let permissions = value("permissions_policy", &self.permissions_policy, base.permissions, &[]);
        let opener = value("cross_origin_opener_policy", &self.cross_origin_opener_policy, base.opener, &OPENER);
        let resource = value("cross_origin_resource_policy", &self.cross_origin_resource_policy, base.resource, &RESOURCE);
        if let Some(text) = self.permissions_policy.as_deref()
            && !text.trim().is_empty()
            && !text.split(',').all(|feature| feature.contains('='))
        {
            trouble("permissions_policy", text, "expected features such as \"camera=(), geolocation=(self)\", separated by commas");
        }
        let set = SecurityHeaders {
            nosniff: base.nosniff,
            referrer,
            permissions,
            opener,
            resource,
            report_only: HeaderValue::from_str(&reports(&report_only)).ok().filter(|value| !value.is_empty()),
            reporting: HeaderValue::from_str(&format!("csp=\"{report_to}\"")).ok().filter(|_| !report_to.is_empty()),
            frames: match &*ancestors {
                "'none'" => Some(HeaderValue::from_static("DENY")),
                "'self'" => Some(HeaderValue::from_static("SAMEORIGIN")),
                _ => None,
            },
            policy: Policy::new(&reports(&policy), &ancestors).unwrap_or_default(),
        };
        (Some(set), troubles)
    }
}

const REFERRER: [&str; 8] = [
    "no-referrer",
    "no-referrer-when-downgrade",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
];
const OPENER: [&str; 4] = ["unsafe-none", "same-origin-allow-popups", "same-origin", "noopener-allow-popups"];
const RESOURCE: [&str; 3] = ["same-site", "same-origin", "cross-origin"];

/// Of Content Security Policy, level 3, and its neighbours. A browser passes over what it does not know, so a slip is a hole.
const DIRECTIVES: [&str; 25] = [
    "base-uri",
    "block-all-mixed-content",
    "child-src",
    "connect-src",
    "default-src",
    "fenced-frame-src",
    "font-src",
    "form-action",
    "frame-src",
    "img-src",
    "manifest-src",
    "media-src",
    "object-src",
    "report-to",
    "report-uri",
    "require-trusted-types-for",
    "sandbox",
    "script-src",
    "script-src-attr",
    "script-src-elem",
    "style-src",
    "style-src-attr",
    "style-src-elem",
    "upgrade-insecure-requests",
    "worker-src",
];

fn check_policy(text: &str, has_report_to: bool) -> Result<(), String> {
    if HeaderValue::from_str(text).is_err() {
        return Err("expected text without line breaks".to_owned());
    }
    for directive in text.split(';').map(str::trim).filter(|directive| !directive.is_empty()) {
        let name = directive.split_ascii_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        match &*name {
            "frame-ancestors" => return Err("frame-ancestors has a key of its own: frame_ancestors".to_owned()),
            "report-uri" | "report-to" if has_report_to => return Err(format!("{name} is written by report_to")),
            "trusted-types" => {}
            name if DIRECTIVES.contains(&name) => {}
            name => return Err(format!("no directive is called {name:?}; directives are separated by \";\"")),
        }
        for bare in ["self", "none", "unsafe-inline", "unsafe-eval", "strict-dynamic"] {
            if directive.split_ascii_whitespace().skip(1).any(|source| source == bare) {
                return Err(format!("{bare} without quotes is a host's name: write '{bare}'"));
            }
        }
    }
    Ok(())
}

fn check_report_to(text: &str, no_policy: bool) -> Result<(), &'static str> {
    if text.is_empty() {
        return Ok(());
    }
    if no_policy {
        return Err("but there is no policy to report about: set content_security_policy or content_security_policy_report_only");
    }
    let place = text.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https") || text.starts_with('/') && !text.starts_with("//"));
    if place && !text.contains(['"', ';', ',', '\'', '\\']) {
        Ok(())
    } else {
        Err("expected a path such as \"/csp-reports\" or an https address")
    }
}

fn check_ancestors(text: &str) -> Result<(), &'static str> {
    const EXPECTED: &str =
        "expected \"'none'\", or any of \"'self'\", \"https:\" and hosts such as \"https://partner.example\", separated by spaces";
    let sources: Vec<&str> = text.split_ascii_whitespace().collect();
    let is_fine = |source: &&str| match *source {
        "'self'" => true,
        "'none'" => sources.len() == 1,
        // Hosts have a dot, a port or a scheme; a bare word is a keyword without its quotes.
        other => !other.contains(['\'', '"', ';', ',']) && other.contains(['.', ':']) && other.is_ascii(),
    };
    if sources.iter().all(is_fine) { Ok(()) } else { Err(EXPECTED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, toml: &str) -> (Option<SecurityHeaders>, Vec<(&'static str, String)>) {
        toml::from_str::<HeadersConfig>(toml).expect("a section").compile(name)
    }

    fn text(value: Option<&HeaderValue>) -> &str {
        value.map_or("", |value| value.to_str().expect("text"))
    }

    #[test]
    fn a_set_begins_with_its_preset_and_says_what_is_written() {
        assert_eq!(set("standard", ""), (None, vec![]), "the standard set is what the edge adds anyway");
        let (strict, _) = set("strict", "referrer_policy = \"no-referrer\"");
        let strict = strict.expect("a set");
        assert_eq!((text(strict.referrer.as_ref()), text(strict.frames.as_ref())), ("no-referrer", "DENY"));
        assert!(text(strict.policy.missing(false, false).as_ref()).starts_with("default-src 'self'; "));
        let (shop, troubles) = set(
            "shop",
            "content_security_policy = \"default-src 'self';\"\nreport_to = \"/csp\"\nframe_ancestors = \"'self' https://partner.example\"\npermissions_policy = \"\"",
        );
        let shop = shop.expect("a set");
        assert_eq!(troubles, []);
        assert_eq!(
            text(shop.policy.missing(false, false).as_ref()),
            "default-src 'self'; report-uri /csp; report-to csp; frame-ancestors 'self' https://partner.example"
        );
        assert_eq!((text(shop.reporting.as_ref()), shop.frames, shop.permissions), ("csp=\"/csp\"", None, None));
        assert!(shop.nosniff && shop.referrer.is_some(), "the rest is the standard set's");
        assert_eq!(set("none", "").0, Some(SecurityHeaders::default()));
    }

    #[test]
    fn presets_are_sound_and_the_standard_one_is_what_the_edge_adds() {
        for name in Preset::NAMES {
            let (_, troubles) = set("x", &format!("preset = {name:?}\nreferrer_policy = \"origin\""));
            assert_eq!(troubles, [], "{name}");
        }
        let (standard, _) = set("x", "frame_ancestors = \"'self'\"");
        let edges = SecurityHeaders { policy: Policy::new("", "'self'").expect("a policy"), ..SecurityHeaders::STANDARD };
        assert_eq!(standard, Some(edges));
    }

    #[test]
    fn what_browsers_would_pass_over_in_silence_is_found() {
        for (key, bad) in [
            ("content_security_policy", "defualt-src 'self'"),
            ("content_security_policy", "default-src self"),
            ("content_security_policy", "default-src 'self'; frame-ancestors 'none'"),
            ("content_security_policy_report_only", "default-src 'self'\r\nx: y"),
            ("report_to", "/csp"),
            ("frame_ancestors", "none"),
            ("frame_ancestors", "'none' https://a.example"),
            ("referrer_policy", "never"),
            ("permissions_policy", "camera 'none'"),
            ("permissions_policy", "camera=()\nx: y"),
            ("cross_origin_opener_policy", "same-site"),
            ("cross_origin_resource_policy", "any"),
        ] {
            let config = toml::from_str(&format!("{key} = {}", toml::Value::from(bad))).expect("a section");
            let (_, troubles) = HeadersConfig::compile(&config, "x");
            assert!(troubles.len() == 1 && troubles[0].0 == key, "{key} = {bad}: {troubles:?}");
        }
        for bad in ["csp", "//evil.example", "http://a.example", "/a\"b", "/a;b"] {
            let toml = format!("content_security_policy = \"default-src 'self'\"\nreport_to = {}", toml::Value::from(bad));
            assert_eq!(set("x", &toml).1.len(), 1, "{bad}");
        }
    }
}
