//! What the client wants: a page or data, and in which language.

use baluarte_kernel::Locale;
use http::{HeaderMap, header};

/// Set by the language switch of every page.
pub const LANGUAGE_COOKIE: &str = "baluarte_lang";

/// A browser that navigates names `text/html`; programs, `fetch` and `*/*` do not, and get data.
pub fn prefers_html(request: &HeaderMap) -> bool {
    let (mut html, mut json) = (0.0_f32, 0.0_f32);
    for part in request.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).take(32) {
        let mut pieces = part.split(';');
        let kind = pieces.next().unwrap_or_default().trim();
        let quality =
            pieces.find_map(|piece| piece.trim().strip_prefix("q=").map(|q| q.trim().parse::<f32>().unwrap_or(0.0))).unwrap_or(1.0);
        if kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml") {
            html = html.max(quality);
        } else if kind.eq_ignore_ascii_case("application/json") || kind.eq_ignore_ascii_case("application/problem+json") {
            json = json.max(quality);
        }
    }
    html > 0.0 && html >= json
}

/// What the language switch remembered, else `Accept-Language`, else English.
pub fn locale_of(request: &HeaderMap) -> Locale {
    if let Some(chosen) = cookie(request, LANGUAGE_COOKIE).and_then(Locale::from_tag) {
        return chosen;
    }
    request.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).map_or(Locale::En, Locale::negotiate)
}

/// The value of the first cookie with this name.
pub fn cookie<'a>(request: &'a HeaderMap, name: &str) -> Option<&'a str> {
    request
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn browsers_get_pages_and_programs_get_data() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(prefers_html(&with(header::ACCEPT, browser)));
        for program in ["*/*", "application/json", "application/json, text/html;q=0.5", "text/html;q=0", "image/avif,*/*"] {
            assert!(!prefers_html(&with(header::ACCEPT, program)), "{program}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }

    #[test]
    fn the_chosen_language_beats_the_browsers() {
        let mut headers = with(header::ACCEPT_LANGUAGE, "es");
        assert_eq!(locale_of(&headers), Locale::Es);
        headers.insert(header::COOKIE, HeaderValue::from_static("a=b; baluarte_lang=pt; c=d"));
        assert_eq!(locale_of(&headers), Locale::Pt);
        headers.insert(header::COOKIE, HeaderValue::from_static("baluarte_lang=tlh; xbaluarte_lang=pt"));
        assert_eq!(locale_of(&headers), Locale::Es);
    }
}
