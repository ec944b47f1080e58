//! A device as its owner knows it: "Firefox on Linux", not a line of product tokens.

use baluarte_web::fill;

use super::Words;
use crate::Session;

/// One row of the list of devices.
#[derive(Debug)]
pub(super) struct Device {
    pub id: String,
    pub name: String,
    pub end_label: String,
    pub ip: String,
    pub seen_at: String,
    pub seen: String,
    pub current: bool,
}

impl Device {
    pub(super) fn new(t: &Words, session: &Session) -> Self {
        let name = device_name(t, session.user_agent.as_deref().unwrap_or_default());
        Self {
            id: session.id.to_string(),
            end_label: fill(t.end_session_of, &[&name]),
            name,
            ip: session.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            seen_at: session.last_seen_at.to_string(),
            seen: readable(&session.last_seen_at.to_string()),
            current: session.current,
        }
    }
}

/// `2026-11-22T00:40:12.5Z` → `2026-11-22 00:40 UTC`; the script shows it in the reader's own zone.
pub(super) fn readable(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(11..16)) {
        (Some(date), Some(time)) => format!("{date} {time} UTC"),
        _ => rfc3339.to_owned(),
    }
}

/// The same for whatever else names a browser.
pub(super) fn summary(t: &Words, user_agent: Option<&str>) -> String {
    device_name(t, user_agent.unwrap_or_default())
}

fn device_name(t: &Words, user_agent: &str) -> String {
    // In this order: most browsers also claim to be their ancestors.
    const BROWSERS: [(&str, &str); 7] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let find = |list: &[(&str, &'static str)]| list.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name);
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => fill(t.on, &[browser, system]),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => system.to_owned(),
        (None, None) => {
            let product: String = user_agent.split(['/', ' ']).next().unwrap_or_default().chars().take(40).collect();
            if product.is_empty() { t.unknown_device.to_owned() } else { fill(t.program, &[&product]) }
        }
    }
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::Locale;

    use super::*;

    #[test]
    fn devices_have_names_that_their_owners_know() {
        let name = |user_agent: &str| device_name(Words::of(Locale::En), user_agent);
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
        assert_eq!(name(chrome), "Chrome on Linux");
        assert_eq!(name(&format!("{chrome} Edg/130.0")), "Edge on Linux");
        let safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1";
        assert_eq!(name(safari), "Safari on iPhone");
        assert_eq!(name("curl/8.5.0"), "A program (curl)");
        assert_eq!(name(""), "Unknown device");
    }
}
