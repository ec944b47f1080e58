//! Sending the client elsewhere: `https://www.example.com{path}{query}`.

use baluarte_kernel::Scheme;
use baluarte_proxy::ResponseBody;
use http::{HeaderValue, Response, StatusCode, Uri, header};

use crate::{path, table::without_port};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redirect {
    parts: Vec<Part>,
    status: StatusCode,
    /// Segments of the route's own path, which `{rest}` leaves out.
    segments: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Scheme,
    /// Without its port: another scheme has another one.
    Host,
    Path,
    Rest,
    Query,
}

impl Redirect {
    /// The error says what is allowed.
    pub(crate) fn parse(template: &str, status: u16, segments: usize) -> Result<Self, String> {
        let status = match status {
            301 | 302 | 303 | 307 | 308 => StatusCode::from_u16(status).map_err(|err| err.to_string())?,
            other => return Err(format!("found {other}, expected the status 301, 302, 303, 307 or 308")),
        };
        if !template.starts_with('/')
            && !template.starts_with("http://")
            && !template.starts_with("https://")
            && !template.starts_with("{scheme}://")
        {
            return Err(format!("found {template:?}, expected a path or an http(s) address to send clients to"));
        }
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            let close = rest[open..].find('}').ok_or_else(|| format!("a “{{” without “}}” in {template:?}"))? + open;
            parts.push(Part::Text(rest[..open].to_owned()));
            parts.push(match &rest[open + 1..close] {
                "scheme" => Part::Scheme,
                "host" => Part::Host,
                "path" => Part::Path,
                "rest" => Part::Rest,
                "query" => Part::Query,
                other => return Err(format!("found {{{other}}}, expected {{scheme}}, {{host}}, {{path}}, {{rest}} or {{query}}")),
            });
            rest = &rest[close + 1..];
        }
        parts.push(Part::Text(rest.to_owned()));
        if HeaderValue::from_str(template).is_err() || !template.is_ascii() || template.contains(' ') {
            return Err(format!("found {template:?}, expected an address in ASCII without spaces"));
        }
        Ok(Self { parts, status, segments })
    }

    pub(crate) fn answer(&self, uri: &Uri, host: &str, scheme: Scheme) -> Response<ResponseBody> {
        let mut location = String::with_capacity(128);
        for part in &self.parts {
            match part {
                Part::Text(text) => location.push_str(text),
                Part::Scheme => location.push_str(scheme.as_str()),
                Part::Host => location.push_str(without_port(host)),
                Part::Path => push_path(&mut location, uri.path()),
                Part::Rest => push_path(&mut location, path::behind(uri.path(), self.segments)),
                Part::Query => {
                    if let Some(query) = uri.query() {
                        location.push('?');
                        location.push_str(query);
                    }
                }
            }
        }
        let mut response = Response::new(ResponseBody::Empty);
        match HeaderValue::from_str(&location) {
            Ok(location) => {
                *response.status_mut() = self.status;
                response.headers_mut().insert(header::LOCATION, location);
            }
            Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
        }
        response
    }
}

/// After a slash, `//evil.example` would name another host.
fn push_path(location: &mut String, path: &str) {
    if location.ends_with('/') {
        location.push_str(path.trim_start_matches(['/', '\\']));
    } else {
        location.push_str(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(template: &str, segments: usize, uri: &str) -> String {
        let redirect = Redirect::parse(template, 308, segments).unwrap();
        let response = redirect.answer(&uri.parse().unwrap(), "shop.example.com:8080", Scheme::Http);
        response.headers()[header::LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn placeholders_are_filled_from_the_request() {
        assert_eq!(to("https://{host}{path}{query}", 0, "/a/b?c=d"), "https://shop.example.com/a/b?c=d");
        assert_eq!(to("https://www.example.com{path}", 0, "/a?b"), "https://www.example.com/a");
        assert_eq!(to("/new{rest}{query}", 1, "/old/x?y"), "/new/x?y");
        assert_eq!(to("{scheme}://www.{host}{path}", 0, "/"), "http://www.shop.example.com/");
        assert_eq!(to("/", 0, "/x"), "/");
    }

    #[test]
    fn a_path_cannot_become_another_host() {
        assert_eq!(to("/{path}", 0, "//evil.example/x"), "/evil.example/x");
        assert_eq!(to("/{rest}", 1, "/old//evil.example"), "/evil.example");
    }

    #[test]
    fn what_cannot_be_a_redirect_is_refused() {
        for (template, status) in
            [("ftp://x", 308), ("x", 308), ("", 308), ("/{nope}", 308), ("/{path", 308), ("/a b", 308), ("/", 200), ("/", 304)]
        {
            assert!(Redirect::parse(template, status, 0).is_err(), "{template} {status}");
        }
    }
}
