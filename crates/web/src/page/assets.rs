//! Style, script and images, embedded; their addresses change with their content, so browsers keep them for a year.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::{Problem, problem::NOT_FOUND};

struct Asset {
    name: &'static str,
    kind: &'static str,
    body: String,
    etag: String,
    url: String,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let wall = asset("wall.svg", "image/svg+xml", include_str!("../../assets/wall.svg").to_owned());
    let style = include_str!("../../assets/style.css").replace("wall.svg", &wall.url);
    vec![
        asset("style.css", "text/css; charset=utf-8", style),
        asset("page.js", "text/javascript; charset=utf-8", include_str!("../../assets/page.js").to_owned()),
        asset("passkey.js", "text/javascript; charset=utf-8", include_str!("../../assets/passkey.js").to_owned()),
        asset("docs.js", "text/javascript; charset=utf-8", include_str!("../../assets/docs.js").to_owned()),
        asset("icon.svg", "image/svg+xml", include_str!("../../assets/icon.svg").to_owned()),
        wall,
    ]
});

fn asset(name: &'static str, kind: &'static str, body: String) -> Asset {
    let hash = &hex::encode(Sha256::digest(body.as_bytes()))[..16];
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    Asset { name, kind, body, etag: format!("\"{hash}\""), url: format!("/auth/assets/{stem}.{hash}.{extension}") }
}

/// The address of an embedded file, such as `style.css`; empty for a name that does not exist.
pub fn asset_url(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| &asset.url)
}

/// `GET /auth/assets/{file}`. Another hash than ours belongs to a replica of another version: it gets our file, but may
/// not keep it.
pub(super) async fn serve(Path(file): Path<String>, request: HeaderMap) -> Response {
    let mut parts = file.splitn(2, '.');
    let (stem, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let extension = rest.rsplit('.').next().unwrap_or_default();
    let Some(asset) = ASSETS.iter().find(|asset| asset.name.rsplit_once('.') == Some((stem, extension))) else {
        return Problem::of(&NOT_FOUND).into_response();
    };
    let exact = asset.url.ends_with(&format!("/{file}"));
    let cache = if exact { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // A picture opened by itself is a document: it may do nothing.
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
        // Error pages on the gateway's other hosts use these files too.
        (http::HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin")),
    ]);
    if let Ok(etag) = HeaderValue::try_from(&asset.etag) {
        headers.insert(header::ETAG, etag);
    }
    let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || tag.trim().trim_start_matches("W/") == asset.etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, asset.body.as_str()).into_response()
}
