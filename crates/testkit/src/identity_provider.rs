//! Somebody else who knows who people are: OpenID Connect as Google, Microsoft and Keycloak speak it, and GitHub's own way. With real
//! signatures, and with every lie that a test asks for.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer as _, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use baluarte_kernel::Clock;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value, json};

use crate::providers::{Answer, Mishap, Server, form, reply};

/// Who is signed in there.
#[derive(Debug, Clone)]
pub struct Person {
    pub subject: String,
    pub email: Option<String>,
    pub verified: bool,
    pub name: String,
}

/// What signs its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signing {
    Rs256,
    #[default]
    Es256,
    EdDsa,
    /// Nothing.
    None,
    /// The client's secret, which both know.
    Hs256WithSecret,
    /// The published key, taken for a shared secret.
    Hs256WithPublicKey,
    /// A key that is not published, under the name of one that is.
    Forged,
}

/// A provider on a port of its own; gone with this value.
#[derive(Debug)]
pub struct FakeProvider {
    server: Server,
    desk: Arc<Mutex<Desk>>,
}

#[derive(Debug)]
struct Desk {
    clock: Clock,
    url: String,
    person: Person,
    signing: Signing,
    keys: KeyRing,
    /// Put over the claims of tokens; null takes one away.
    claims: Map<String, Value>,
    /// The same for the configuration and for `userinfo`.
    configuration: Map<String, Value>,
    userinfo: Map<String, Value>,
    /// Put over what is sent back with the browser.
    answer: Vec<(String, String)>,
    mishaps: HashMap<String, VecDeque<Mishap>>,
    codes: HashMap<String, Given>,
    /// Paths that were asked for, in order.
    asked: Vec<String>,
    /// The last request for a token: how it introduced itself, and its form.
    introduced: Option<Introduction>,
}

/// A header, and the fields of a form.
type Introduction = (Option<String>, Vec<(String, String)>);

/// What a code stands for.
#[derive(Debug, Clone)]
struct Given {
    person: Person,
    nonce: Option<String>,
    challenge: String,
    redirect_uri: String,
}

#[derive(Debug)]
struct KeyRing {
    /// Part of each key's name: replaced keys have another.
    generation: u32,
    rsa: Option<RsaKeyPair>,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    forger: EcdsaKeyPair,
}

impl KeyRing {
    fn make(generation: u32) -> Self {
        let ec = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key can be made");
        Self { generation, rsa: None, ec: ec(), ed: Ed25519KeyPair::generate().expect("a key can be made"), forger: ec() }
    }

    /// Takes a moment to make: only where it is wanted.
    fn rsa(&mut self) -> &RsaKeyPair {
        self.rsa.get_or_insert_with(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("a key can be made"))
    }

    fn name(&self, algorithm: &str) -> String {
        format!("{algorithm}-{}", self.generation)
    }

    fn published(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = self.ec.public_key().as_ref();
        let mut keys = vec![
            json!({ "kty": "EC", "crv": "P-256", "kid": self.name("ES256"), "use": "sig", "alg": "ES256", "x": encode(&point[1..33]), "y": encode(&point[33..65]) }),
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.name("EdDSA"), "use": "sig", "alg": "EdDSA", "x": encode(self.ed.public_key().as_ref()) }),
            // Of no use to anybody who only verifies.
            json!({ "kty": "RSA", "kid": "encryption", "use": "enc", "n": "AQAB", "e": "AQAB" }),
            json!({ "kty": "oct", "kid": "nonsense", "k": "AQAB" }),
        ];
        if let Some(rsa) = &self.rsa {
            // PKCS #1: a sequence of two integers, the modulus of 2,048 bits after nine bytes, 65537 at the end.
            let der = rsa.public_key().as_ref();
            keys.push(
                json!({ "kty": "RSA", "kid": self.name("RS256"), "use": "sig", "alg": "RS256", "n": encode(&der[9..265]), "e": "AQAB" }),
            );
        }
        json!({ "keys": keys })
    }
}

impl FakeProvider {
    pub const CLIENT: &str = "baluarte at the fake";
    pub const SECRET: &str = "the fake's secret: 100% +/&";

    pub async fn start(clock: Clock) -> Self {
        let person = Person {
            subject: "subject-1".to_owned(),
            email: Some("zoe@example.com".to_owned()),
            verified: true,
            name: "Zoë Fernández".to_owned(),
        };
        let desk = Arc::new(Mutex::new(Desk {
            clock,
            url: String::new(),
            person,
            signing: Signing::default(),
            keys: KeyRing::make(1),
            claims: Map::new(),
            configuration: Map::new(),
            userinfo: Map::new(),
            answer: Vec::new(),
            mishaps: HashMap::new(),
            codes: HashMap::new(),
            asked: Vec::new(),
            introduced: None,
        }));
        let held = Arc::clone(&desk);
        let server = Server::start(move |head, body| lock(&held).answer(&head, &body)).await;
        lock(&desk).url = server.url.clone();
        Self { server, desk }
    }

    /// `http://127.0.0.1:PORT`, the issuer.
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// `[identity.providers.NAME]` for it.
    pub fn config(&self, name: &str, kind: &str) -> String {
        format!(
            "[identity.providers.{name}]\nkind = \"{kind}\"\nissuer = \"{}\"\nclient_id = \"{}\"\nclient_secret = \"{}\"\nallow_private = true\n",
            self.url(),
            Self::CLIENT,
            Self::SECRET
        )
    }

    /// Somebody else is signed in there from now on.
    pub fn person(&self, subject: &str, email: Option<&str>, verified: bool) {
        let mut desk = lock(&self.desk);
        desk.person.subject = subject.to_owned();
        desk.person.email = email.map(str::to_owned);
        desk.person.verified = verified;
    }

    pub fn sign_with(&self, signing: Signing) {
        let mut desk = lock(&self.desk);
        desk.signing = signing;
        if signing == Signing::Rs256 {
            desk.keys.rsa();
        }
    }

    /// Other keys from now on; the old ones are not published any more.
    pub fn replace_keys(&self) {
        let mut desk = lock(&self.desk);
        desk.keys = KeyRing::make(desk.keys.generation + 1);
    }

    /// Tokens say this from now on, on top of the truth; null takes a claim away.
    pub fn claims(&self, claims: Value) {
        lock(&self.desk).claims = object(claims);
    }
    pub fn configuration(&self, configuration: Value) {
        lock(&self.desk).configuration = object(configuration);
    }
    pub fn userinfo(&self, userinfo: Value) {
        lock(&self.desk).userinfo = object(userinfo);
    }
    /// The browser brings this back from now on, in the place of what it would; an empty value takes a parameter away.
    pub fn answers(&self, answer: &[(&str, &str)]) {
        lock(&self.desk).answer = answer.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    }
    /// The next request for this path goes wrong like this.
    pub fn mishap(&self, path: &str, mishap: Mishap) {
        lock(&self.desk).mishaps.entry(path.to_owned()).or_default().push_back(mishap);
    }
    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        lock(&self.desk).asked.iter().filter(|asked| *asked == path).count()
    }
    /// How the last request for a token introduced itself: the header, and the form.
    pub fn introduced(&self) -> Introduction {
        lock(&self.desk).introduced.clone().unwrap_or_default()
    }

    /// What a browser does that is sent there by somebody who agrees: where it is sent back to.
    pub async fn visit(&self, location: &str) -> String {
        assert!(location.starts_with(self.url()), "{location} leads to somebody else than {}", self.url());
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client needs nothing");
        let answer = http.get(location).send().await.expect("the fake answers");
        assert_eq!(answer.status(), StatusCode::FOUND, "{}", location);
        answer.headers()["location"].to_str().expect("an address is ASCII").to_owned()
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().expect("never poisoned: nothing panics under this lock")
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn merge(mut into: Value, over: &Map<String, Value>) -> Value {
    if let Some(into) = into.as_object_mut() {
        for (key, value) in over {
            if value.is_null() {
                into.remove(key)
            } else {
                into.insert(key.clone(), value.clone())
            };
        }
    }
    into
}

fn refused(error: &str) -> Answer {
    reply(400, &[], &json!({ "error": error, "error_description": "a description that nobody repeats" }))
}

impl Desk {
    fn answer(&mut self, head: &Request<()>, body: &[u8]) -> Option<Answer> {
        let path = head.uri().path().to_owned();
        self.asked.push(path.clone());
        match self.mishaps.get_mut(&path).and_then(VecDeque::pop_front) {
            Some(Mishap::Status(status, headers, body)) => return Some(reply(status, &headers, &body)),
            Some(Mishap::Hang | Mishap::HangAfterAccept) => return None,
            Some(Mishap::DropBeforeAccept | Mishap::ResetAfterAccept) => return Some(Err(std::io::Error::other("the line breaks"))),
            None => {}
        }
        let query = form(head.uri().query().unwrap_or_default().as_bytes());
        Some(match path.as_str() {
            "/.well-known/openid-configuration" => self.configure(&self.url.clone()),
            "/jwks" => reply(200, &[], &self.keys.published()),
            "/authorize" | "/login/oauth/authorize" => self.authorize(&query),
            "/token" => self.token(head, body),
            "/login/oauth/access_token" => self.github_token(head, body),
            "/userinfo" => self.with_token(head, |desk| {
                let person = desk.person.clone();
                reply(200, &[], &merge(profile(&person), &desk.userinfo))
            }),
            "/api/v3/user" => self.with_token(head, |desk| {
                let id: u64 = desk.person.subject.bytes().map(u64::from).fold(0, |id, byte| id * 31 + byte) >> 12;
                reply(200, &[], &merge(json!({ "id": id, "login": "zoe-f", "name": desk.person.name, "email": null }), &desk.userinfo))
            }),
            "/api/v3/user/emails" => self.with_token(head, |desk| {
                let person = &desk.person;
                let mut all = vec![
                    json!({ "email": "old@example.com", "primary": false, "verified": true, "visibility": null }),
                    json!({ "email": "zoe@users.noreply.example.com", "primary": false, "verified": true, "visibility": null }),
                ];
                all.extend(
                    person
                        .email
                        .iter()
                        .map(|email| json!({ "email": email, "primary": true, "verified": person.verified, "visibility": "private" })),
                );
                reply(200, &[], &Value::Array(all))
            }),
            other => match other.strip_suffix("/v2.0/.well-known/openid-configuration") {
                Some(tenant) => {
                    let tenant = if tenant == "/common" { "/{tenantid}" } else { tenant };
                    self.configure(&format!("{}{tenant}/v2.0", self.url))
                }
                None => reply(404, &[], &json!({})),
            },
        })
    }

    fn configure(&self, issuer: &str) -> Answer {
        let url = &self.url;
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/jwks"),
            "userinfo_endpoint": format!("{url}/userinfo"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        reply(200, &[], &merge(document, &self.configuration))
    }

    /// Everybody agrees at once.
    fn authorize(&mut self, query: &[(String, String)]) -> Answer {
        let value = |name: &str| query.iter().find(|(held, _)| held == name).map(|(_, value)| value.clone());
        let given = |name: &str| value(name).unwrap_or_default();
        if given("response_type") != "code" || given("client_id") != FakeProvider::CLIENT || given("code_challenge_method") != "S256" {
            return refused("invalid_request");
        }
        let code = format!("code-{:032x}", rand::random::<u128>());
        let redirect_uri = given("redirect_uri");
        let held = Given {
            person: self.person.clone(),
            nonce: value("nonce"),
            challenge: given("code_challenge"),
            redirect_uri: redirect_uri.clone(),
        };
        self.codes.insert(code.clone(), held);
        let mut answer = vec![("code".to_owned(), code), ("state".to_owned(), given("state")), ("iss".to_owned(), self.url.clone())];
        for (name, value) in &self.answer {
            answer.retain(|(held, _)| held != name);
            if !value.is_empty() {
                answer.push((name.clone(), value.clone()));
            }
        }
        let query: Vec<String> = answer.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = StatusCode::FOUND;
        let location = format!("{redirect_uri}?{}", query.join("&"));
        response.headers_mut().insert("location", location.parse().expect("an escaped address is a header's value"));
        Ok(response)
    }

    /// The code's only use, by whoever was given it.
    fn take_code(&mut self, fields: &[(String, String)]) -> Result<Given, Answer> {
        let value = |name: &str| fields.iter().find(|(held, _)| held == name).map(|(_, value)| value.clone()).unwrap_or_default();
        let given = self.codes.remove(&value("code")).ok_or_else(|| refused("invalid_grant"))?;
        let proven = URL_SAFE_NO_PAD.encode(digest(&SHA256, value("code_verifier").as_bytes())) == given.challenge;
        if proven && value("redirect_uri") == given.redirect_uri { Ok(given) } else { Err(refused("invalid_grant")) }
    }

    fn token(&mut self, head: &Request<()>, body: &[u8]) -> Answer {
        let fields = form(body);
        let header = head.headers().get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.introduced = Some((header.clone(), fields.clone()));
        let value = |name: &str| fields.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str());
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", escape(FakeProvider::CLIENT), escape(FakeProvider::SECRET))));
        let known = header.as_deref() == Some(&*basic)
            || (value("client_id") == Some(FakeProvider::CLIENT) && value("client_secret") == Some(FakeProvider::SECRET));
        if !known {
            return reply(401, &[], &json!({ "error": "invalid_client" }));
        }
        if value("grant_type") != Some("authorization_code") {
            return refused("unsupported_grant_type");
        }
        let given = match self.take_code(&fields) {
            Ok(given) => given,
            Err(refusal) => return refusal,
        };
        let now = self.clock.now().unix_seconds();
        let mut claims = merge(
            profile(&given.person),
            &object(json!({
                "iss": self.url, "aud": FakeProvider::CLIENT, "iat": now, "exp": now + 300, "auth_time": now, "nonce": given.nonce,
            })),
        );
        claims = merge(claims, &self.claims);
        let token = self.sign(&claims);
        reply(200, &[], &json!({ "access_token": ACCESS, "token_type": "Bearer", "expires_in": 300, "id_token": token }))
    }

    fn github_token(&mut self, head: &Request<()>, body: &[u8]) -> Answer {
        let fields = form(body);
        let value = |name: &str| fields.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str());
        if head.headers().get("accept").is_none_or(|accept| accept != "application/json") {
            return reply(200, &[], &json!("access_token=in+a+form"));
        }
        if value("client_id") != Some(FakeProvider::CLIENT) || value("client_secret") != Some(FakeProvider::SECRET) {
            return reply(200, &[], &json!({ "error": "incorrect_client_credentials" }));
        }
        match self.take_code(&fields) {
            Ok(_) => reply(200, &[], &json!({ "access_token": ACCESS, "token_type": "bearer", "scope": "user:email" })),
            // With status 200, as GitHub does.
            Err(_) => reply(200, &[], &json!({ "error": "bad_verification_code" })),
        }
    }

    fn with_token(&mut self, head: &Request<()>, answer: impl FnOnce(&mut Self) -> Answer) -> Answer {
        let shown = head.headers().get("authorization").and_then(|value| value.to_str().ok());
        if shown == Some(&format!("Bearer {ACCESS}")) { answer(self) } else { reply(401, &[], &json!({ "message": "Bad credentials" })) }
    }

    fn sign(&mut self, claims: &Value) -> String {
        let (algorithm, kid) = match self.signing {
            Signing::Rs256 => ("RS256", self.keys.name("RS256")),
            Signing::Es256 | Signing::Forged => ("ES256", self.keys.name("ES256")),
            Signing::EdDsa => ("EdDSA", self.keys.name("EdDSA")),
            Signing::None => ("none", self.keys.name("ES256")),
            Signing::Hs256WithSecret | Signing::Hs256WithPublicKey => ("HS256", self.keys.name("ES256")),
        };
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = encode(&json!({ "alg": algorithm, "typ": "JWT", "kid": kid }));
        let text = format!("{head}.{}", encode(claims));
        let random = SystemRandom::new();
        let by_secret = |key: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec();
        let signature = match self.signing {
            Signing::Rs256 => {
                let key = self.keys.rsa();
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).expect("a key signs");
                signature
            }
            Signing::Es256 => self.keys.ec.sign(&random, text.as_bytes()).expect("a key signs").as_ref().to_vec(),
            Signing::Forged => self.keys.forger.sign(&random, text.as_bytes()).expect("a key signs").as_ref().to_vec(),
            Signing::EdDsa => self.keys.ed.sign(text.as_bytes()).as_ref().to_vec(),
            Signing::None => Vec::new(),
            Signing::Hs256WithSecret => by_secret(FakeProvider::SECRET.as_bytes()),
            Signing::Hs256WithPublicKey => {
                let der: PublicKeyX509Der<'_> = self.keys.ec.public_key().as_der().expect("a key has a form");
                by_secret(der.as_ref())
            }
        };
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

const ACCESS: &str = "an-access-token-of-the-fake";

fn profile(person: &Person) -> Value {
    json!({ "sub": person.subject, "email": person.email, "email_verified": person.verified, "name": person.name })
}

/// Percent encoding as forms have it.
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => char::from(byte).to_string(),
            b' ' => "+".to_owned(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
