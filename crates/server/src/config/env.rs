//! What the environment and `.env` say about the configuration.

use std::path::PathBuf;

use baluarte_limits::BUILT_IN_LIMITS;
use serde_json::Value;

use super::{
    file::literal,
    reserved,
    schema::{Schema, nearest},
    tree::{Origin, Path, Tree},
};

const PREFIX: &str = "BALUARTE__";

/// Names that the field knows, and the key each stands for. `PORT` is not here: it is only a part of a value.
const WELL_KNOWN: [(&str, &str); 20] = [
    ("DATABASE_URL", "database.url"),
    ("REDIS_URL", "cluster.redis_url"),
    ("SECRET_KEY", "secrets.secret_key"),
    ("SECURITY_PASSWORD_SALT", "secrets.password_salt"),
    ("SECURE_COOKIES", "server.secure_cookies"),
    ("LOG_LEVEL", "telemetry.log_level"),
    ("APP_ENV", "environment"),
    ("PUBLIC_URL", "server.public_url"),
    ("EMAIL_FROM", "notify.email_from"),
    ("SMTP_URL", "notify.smtp_url"),
    ("SENDGRID_API_KEY", "notify.sendgrid.api_key"),
    ("TWILIO_ACCOUNT_SID", "notify.twilio.account_sid"),
    ("TWILIO_AUTH_TOKEN", "notify.twilio.auth_token"),
    ("TWILIO_PHONE_NUMBER", "notify.twilio.phone_number"),
    ("STRIPE_SECRET_KEY", "billing.stripe.secret_key"),
    ("STRIPE_WEBHOOK_SECRET", "billing.stripe.webhook_secret"),
    ("SENTRY_DSN", "telemetry.sentry_dsn"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint"),
    ("WORKER_HEARTBEAT_INTERVAL", "jobs.heartbeat"),
    ("PORT", ""),
];

/// Variables of one layer: `.env`, or the process's environment.
pub(super) struct Layer {
    pub variables: Vec<(String, String)>,
    /// Makes the origin of a variable in this layer.
    pub origin: fn(&str) -> Origin,
}

/// What a layer could not use.
pub(super) struct Trouble {
    pub origin: Origin,
    pub key: String,
    pub problem: String,
}

/// What reading the environment brought besides values.
#[derive(Default)]
pub(super) struct Report {
    pub troubles: Vec<Trouble>,
    /// Well-known names that are set and that this version has no use for.
    pub unused: Vec<String>,
    /// Files that values were read from.
    pub value_files: Vec<PathBuf>,
}

/// Reads one layer into the tree: the well-known names first, then the exact keys, which win.
pub(super) fn read(tree: &mut Tree, schema: &Schema, layer: &Layer, report: &mut Report) {
    for (name, key) in WELL_KNOWN {
        let Some((value, origin)) = well_known(name, key, layer, report) else { continue };
        if name == "PORT" {
            set_port(tree, &value, origin, report);
            continue;
        }
        // The field counts it in seconds.
        let value = if name == "WORKER_HEARTBEAT_INTERVAL" && value.trim().bytes().all(|byte| byte.is_ascii_digit()) {
            format!("{}s", value.trim())
        } else {
            value
        };
        let segments: Vec<&str> = key.split('.').collect();
        match locate(tree, schema, &segments) {
            Ok((path, node)) if !reserved::covers(key) => set(tree, schema, &path, node, &value, origin, report),
            // Platforms set these for the app behind as well: nobody said that they are meant for us.
            Ok(_) | Err(_) => report.unused.push(name.to_owned()),
        }
    }
    for (name, value) in &layer.variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let origin = (layer.origin)(name);
        let segments: Vec<&str> = rest.split("__").collect();
        match locate(tree, schema, &segments) {
            Ok((path, node)) => set(tree, schema, &path, node, value, origin, report),
            Err(problem) => report.troubles.push(Trouble { origin, key: rest.to_ascii_lowercase().replace("__", "."), problem }),
        }
    }
}

/// Sets one key named on the command line: `server.listen=127.0.0.1:0`.
pub(super) fn set_flag(tree: &mut Tree, schema: &Schema, flag: &str, key: &str, value: &str, report: &mut Report) {
    let origin = Origin::Flag { name: flag.to_owned() };
    let segments: Vec<&str> = key.split('.').collect();
    match locate(tree, schema, &segments) {
        Ok((path, node)) => set(tree, schema, &path, node, value, origin, report),
        Err(problem) => report.troubles.push(Trouble { origin, key: key.to_owned(), problem }),
    }
}

/// `NAME=value` lines; comments, `export`, and quotes as shells and Compose read them.
pub(super) fn parse_dotenv(text: &str) -> Result<Vec<(String, String)>, (usize, String)> {
    let mut out = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else {
            return Err((index + 1, "expected NAME=value".to_owned()));
        };
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err((index + 1, format!("{name:?} is not the name of a variable")));
        }
        out.push((name.to_owned(), dotenv_value(value.trim())));
    }
    Ok(out)
}

fn dotenv_value(raw: &str) -> String {
    if let Some(quoted) = raw.strip_prefix('\'').and_then(|rest| rest.split_once('\'')) {
        return quoted.0.to_owned();
    }
    if let Some(rest) = raw.strip_prefix('"') {
        let mut out = String::new();
        let mut chars = rest.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some(other) => out.push(other),
                    None => break,
                },
                other => out.push(other),
            }
        }
        return out;
    }
    // A comment begins at a hash after a space; a hash inside a password does not begin one.
    raw.split_once(" #").map_or(raw, |(value, _)| value).trim_end().to_owned()
}

/// The value of `NAME`, or the content of the file that `NAME_FILE` names.
fn well_known(name: &str, key: &str, layer: &Layer, report: &mut Report) -> Option<(String, Origin)> {
    let find = |wanted: &str| layer.variables.iter().find(|(held, value)| held == wanted && !value.is_empty());
    let file_name = format!("{name}_FILE");
    let trouble = |origin, problem: String| Trouble { origin, key: if key.is_empty() { "server.listen" } else { key }.to_owned(), problem };
    match (find(name), find(&file_name)) {
        (None, None) => None,
        (Some((_, value)), None) => Some((value.clone(), (layer.origin)(name))),
        (Some(_), Some(_)) => {
            report.troubles.push(trouble((layer.origin)(name), format!("{name} and {file_name} are both set; keep one of them")));
            None
        }
        (None, Some((_, path))) => match std::fs::read_to_string(path) {
            Ok(text) => {
                let path = PathBuf::from(path);
                report.value_files.push(path.clone());
                Some((text.trim_end_matches(['\r', '\n']).to_owned(), Origin::ValueFile { name: file_name, path }))
            }
            Err(err) => {
                report.troubles.push(trouble((layer.origin)(&file_name), format!("the file {path} cannot be read: {err}")));
                None
            }
        },
    }
}

fn set_port(tree: &mut Tree, value: &str, origin: Origin, report: &mut Report) {
    match value.trim().parse::<u16>() {
        Ok(port) => tree.set(&Path::keys(["server", "listen"]), Value::String(format!("0.0.0.0:{port}")), origin),
        Err(_) => report.troubles.push(Trouble {
            origin,
            key: "server.listen".to_owned(),
            problem: format!("found PORT={value:?}, expected a port from 0 to 65535"),
        }),
    }
}

/// Finds the key that a variable's segments mean: without regard to case, and with `_` for `-`.
fn locate<'s>(tree: &Tree, schema: &'s Schema, segments: &[&str]) -> Result<(Path, &'s Value), String> {
    let mut node = schema.document();
    let mut path = Path::default();
    for segment in segments {
        let resolved = schema.resolve(node);
        let known = resolved.get("properties").and_then(Value::as_object);
        if let Some((name, child)) = known.into_iter().flatten().find(|(name, _)| same(name, segment)) {
            path = path.key(name);
            node = child;
        } else if let Some(each) = resolved.get("additionalProperties").filter(|each| each.is_object()) {
            path = path.key(&name_in_map(tree, &path, segment));
            node = each;
        } else {
            let names = known.into_iter().flatten().map(|(name, _)| name.as_str());
            return Err(match nearest(segment, names.clone()) {
                Some(near) => format!("unknown key {:?}; did you mean {near:?}?", segment.to_ascii_lowercase()),
                None => format!("unknown key {:?}; allowed: {}", segment.to_ascii_lowercase(), names.collect::<Vec<_>>().join(", ")),
            });
        }
    }
    Ok((path, node))
}

fn same(name: &str, segment: &str) -> bool {
    name.len() == segment.len() && name.bytes().zip(segment.bytes()).all(|(a, b)| fold(a) == fold(b))
}

fn fold(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() }
}

/// Environment names have neither small letters nor hyphens: the spelling that the file or a built-in limit uses is meant.
fn name_in_map(tree: &Tree, path: &Path, segment: &str) -> String {
    let configured = tree.get(path).and_then(Value::as_object);
    if let Some((name, _)) = configured.into_iter().flatten().find(|(name, _)| same(name, segment)) {
        return name.clone();
    }
    if path.to_string() == "limits"
        && let Some(name) = BUILT_IN_LIMITS.into_iter().find(|name| same(name, segment))
    {
        return name.to_owned();
    }
    segment.to_ascii_lowercase()
}

/// Turns the text into what the schema asks for; what cannot be turned stays text, and the walker complains about it.
fn set(tree: &mut Tree, schema: &Schema, path: &Path, node: &Value, text: &str, origin: Origin, report: &mut Report) {
    let resolved = schema.resolve(node);
    let wanted: Vec<&str> = match resolved.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let trimmed = text.trim();
    let value = if wanted.contains(&"string") {
        Value::String(text.to_owned())
    } else if wanted.contains(&"boolean") {
        match trimmed.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Value::Bool(true),
            "false" | "0" | "no" | "off" => Value::Bool(false),
            _ => Value::String(text.to_owned()),
        }
    } else if wanted.contains(&"array") && !trimmed.starts_with('[') {
        Value::Array(trimmed.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| part.into()).collect())
    } else if wanted.is_empty() {
        // An enumeration or a choice of shapes: a literal when it looks like one, otherwise text.
        if trimmed.starts_with(['[', '{']) { literal(trimmed).unwrap_or_else(|_| text.into()) } else { text.into() }
    } else {
        match literal(trimmed) {
            Ok(value) => value,
            Err(problem) if trimmed.starts_with(['[', '{']) => {
                report.troubles.push(Trouble { origin, key: path.to_string(), problem: format!("not a TOML or JSON value: {problem}") });
                return;
            }
            Err(_) => Value::String(text.to_owned()),
        }
    };
    tree.set(path, value, origin);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotenv_file_is_read_as_shells_and_compose_read_it() {
        let text = "# comment\nexport A=1\nB='a # b'\nC=\"x\\\"y\\nz\"\nD=pass#word # comment\n\nE=\n";
        let read = parse_dotenv(text).expect("it is well-formed");
        let value = |name: &str| read.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str());
        assert_eq!(value("A"), Some("1"));
        assert_eq!(value("B"), Some("a # b"));
        assert_eq!(value("C"), Some("x\"y\nz"));
        assert_eq!(value("D"), Some("pass#word"));
        assert_eq!(value("E"), Some(""));
        assert_eq!(parse_dotenv("A=1\nnonsense").map_err(|(line, _)| line), Err(2));
    }
}
