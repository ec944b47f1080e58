//! Passkeys as their owner, a phisher, a thief and a copier meet them. The authenticator is written out here, byte by byte, so
//! that each part of what it says can be made wrong.

use std::time::Duration;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use baluarte_identity::MfaPolicy;
use baluarte_testkit::each_backend;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    app::{App, Client, PASSWORD, PUBLIC_URL, Reply, home},
    factors::{EMAIL, ask, enrol},
};

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    /// As COSE writes it.
    fn cose(&self) -> Vec<u8> {
        match self {
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                [&[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20], &point[1..33], &[0x22, 0x58, 0x20], &point[33..]].concat()
            }
            Self::Ed25519(pair) => [&[0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20], pair.public_key().as_ref()].concat(),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// A device with one passkey.
struct Device {
    key: Key,
    id: Vec<u8>,
    handle: Option<String>,
    count: u32,
    /// What it adds for each signature.
    step: u32,
    /// Which page it believes to be on, and for whom it keeps its key.
    origin: &'static str,
    party: &'static str,
    flags: u8,
}

impl Device {
    fn new() -> Self {
        let mut id = vec![0; 32];
        aws_lc_rs::rand::fill(&mut id).unwrap();
        let key = Key::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap());
        Self { key, id, handle: None, count: 0, step: 1, origin: PUBLIC_URL, party: "shop.example", flags: PRESENT | VERIFIED }
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        json!({"type": kind, "challenge": options["publicKey"]["challenge"], "origin": self.origin, "crossOrigin": false}).to_string()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        [Sha256::digest(self.party.as_bytes()).as_slice(), &[flags], &self.count.to_be_bytes()].concat()
    }

    fn create(&mut self, options: &Value) -> Value {
        self.handle = options["publicKey"]["user"]["id"].as_str().map(str::to_owned);
        self.count += self.step;
        let client = self.client_data("webauthn.create", options);
        let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
        let data = [&self.data(self.flags | ATTESTED)[..], &[0; 16], &length, &self.id, &self.key.cose()].concat();
        let size = u16::try_from(data.len()).unwrap().to_be_bytes();
        // {"fmt": "none", "attStmt": {}, "authData": …}
        let object = [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".as_slice(), &size, &data].concat();
        json!({"id": B64.encode(&self.id), "rawId": B64.encode(&self.id), "type": "public-key", "clientExtensionResults": {}, "response": {
            "clientDataJSON": B64.encode(client), "attestationObject": B64.encode(object), "transports": ["internal", "hybrid"]}})
    }

    fn get(&mut self, options: &Value) -> Value {
        self.count += self.step;
        let client = self.client_data("webauthn.get", options);
        let data = self.data(self.flags);
        let signature = self.key.sign(&[&data[..], Sha256::digest(client.as_bytes()).as_slice()].concat());
        json!({"id": B64.encode(&self.id), "rawId": B64.encode(&self.id), "type": "public-key", "response": {
            "clientDataJSON": B64.encode(client), "authenticatorData": B64.encode(data), "signature": B64.encode(signature),
            "userHandle": self.handle}})
    }
}

async fn creation(app: &App, client: &Client) -> Value {
    let begun = app.call(client, Method::POST, "/api/v1/mfa/passkeys", None).await;
    begun.is(200, "");
    begun.json
}

async fn add(app: &App, client: &Client, device: &mut Device) -> Reply {
    let options = creation(app, client).await;
    confirm(app, client, device.create(&options)).await
}

async fn confirm(app: &App, client: &Client, credential: Value) -> Reply {
    app.post(client, "/api/v1/mfa/passkeys/confirm", json!({"name": "Laptop", "credential": credential})).await
}

async fn sign_in_options(app: &App) -> Value {
    app.call(&home(), Method::POST, "/api/v1/auth/passkey/options", None).await.json
}

async fn sign_in(app: &App, credential: Value) -> Reply {
    app.post(&home(), "/api/v1/auth/passkey", json!({"credential": credential})).await
}

/// An account with a passkey, whoever set it up, and the device.
async fn protected(app: &App) -> (Client, Device) {
    app.user(EMAIL).await;
    let (client, _) = app.sign_in(EMAIL).await;
    let mut device = Device::new();
    let added = add(app, &client, &mut device).await;
    added.is(201, "");
    assert_eq!(added.json["recovery_codes"].as_array().map(Vec::len), Some(10));
    (client, device)
}

async fn step_options(app: &App, token: &str) -> Value {
    let asked = app.post(&home(), "/api/v1/auth/mfa/challenge", json!({"mfa_token": token, "method": "passkey"})).await;
    asked.is(200, "");
    asked.json
}

async fn answer(app: &App, token: &str, credential: Value) -> Reply {
    app.post(&home(), "/api/v1/auth/mfa/verify", json!({"mfa_token": token, "method": "passkey", "credential": credential})).await
}

each_backend! {
    async fn a_passkey_signs_in_with_nothing_else_and_is_a_second_factor_besides(test: TestDb) {
        let app = App::start(test).await;
        let (client, mut device) = protected(&app).await;
        let listed = app.get(&client, "/api/v1/mfa/passkeys").await;
        assert_eq!((listed.text("/items/0/name"), listed.json["items"][0]["synced"].clone()), ("Laptop".to_owned(), json!(false)));
        assert_eq!(app.get(&client, "/api/v1/mfa").await.text("/factors/0/kind"), "passkey");

        let options = sign_in_options(&app).await;
        assert_eq!((&options["publicKey"]["rpId"], &options["publicKey"]["userVerification"]), (&json!("shop.example"), &json!("required")));
        let entered = sign_in(&app, device.get(&options)).await;
        entered.is(200, "");
        assert!(app.is_signed_in(&home().with_bearer(&entered.text("/access_token"))).await);

        let asked = ask(&app, &home()).await;
        assert_eq!(asked.json["methods"], json!(["passkey", "recovery"]));
        let token = asked.text("/mfa_token");
        let options = step_options(&app, &token).await;
        assert_eq!(options["publicKey"]["allowCredentials"][0]["id"], json!(B64.encode(&device.id)));
        // After the password a touch is enough.
        device.flags = PRESENT;
        answer(&app, &token, device.get(&options)).await.is(200, "");
        assert_eq!(app.count("audit_entries", "action", "identity.passkey.added").await, 1);
    }

    async fn keys_of_both_kinds_that_devices_bring_are_taken(test: TestDb) {
        let app = App::start(test).await;
        let (client, _) = protected(&app).await;
        let mut device = Device { key: Key::Ed25519(Ed25519KeyPair::generate().unwrap()), ..Device::new() };
        add(&app, &client, &mut device).await.is(201, "");
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(200, "");
    }

    async fn a_passkey_for_another_page_is_worth_nothing_here(test: TestDb) {
        let app = App::start(test).await;
        let (client, mut device) = protected(&app).await;
        for (origin, party) in [
            ("https://shop-example.evil.example", "shop.example"),
            ("http://shop.example", "shop.example"),
            ("https://shop.example:8443", "shop.example"),
            ("https://sub.shop.example", "shop.example"),
            (PUBLIC_URL, "evil.example"),
        ] {
            (device.origin, device.party) = (origin, party);
            sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(401, "identity.passkey_refused");
            let mut other = Device { origin, party, ..Device::new() };
            add(&app, &client, &mut other).await.is(422, "identity.bad_passkey");
        }
        assert_eq!(app.count("audit_entries", "action", "identity.passkey.refused").await, 5);
    }

    async fn asvs_6_7_2_a_challenge_is_answered_once_and_within_five_minutes(test: TestDb) {
        let app = App::start(test).await;
        let (client, mut device) = protected(&app).await;
        let options = sign_in_options(&app).await;
        let said = device.get(&options);
        sign_in(&app, said.clone()).await.is(200, "");
        sign_in(&app, said).await.is(401, "identity.passkey_refused");
        // Nor with a fresh signature over it, nor at another replica.
        sign_in(&app, device.get(&options)).await.is(401, "identity.passkey_refused");
        let again = device.get(&options);
        app.replica().await.post(&home(), "/api/v1/auth/passkey", json!({"credential": again})).await.is(401, "identity.passkey_refused");
        let options = sign_in_options(&app).await;
        app.pass(Duration::from_secs(300));
        sign_in(&app, device.get(&options)).await.is(401, "identity.passkey_refused");
        let made_up = json!({"publicKey": {"challenge": B64.encode([7; 56])}});
        sign_in(&app, device.get(&made_up)).await.is(401, "identity.passkey_refused");
        // The same for setting one up.
        let options = creation(&app, &client).await;
        confirm(&app, &client, Device::new().create(&options)).await.is(201, "");
        confirm(&app, &client, Device::new().create(&options)).await.is(422, "identity.bad_passkey");
    }

    async fn a_challenge_is_good_for_what_it_was_made_for_alone(test: TestDb) {
        let app = App::start(test).await;
        let (client, mut device) = protected(&app).await;
        let (mine, other) = (ask(&app, &home()).await.text("/mfa_token"), ask(&app, &home()).await.text("/mfa_token"));
        let options = step_options(&app, &mine).await;
        answer(&app, &other, device.get(&options)).await.is(401, "identity.wrong_code");
        sign_in(&app, device.get(&options)).await.is(401, "identity.passkey_refused");
        answer(&app, &mine, device.get(&sign_in_options(&app).await)).await.is(401, "identity.wrong_code");
        answer(&app, &mine, device.get(&creation(&app, &client).await)).await.is(401, "identity.wrong_code");
        answer(&app, &mine, device.get(&options)).await.is(200, "");
        // Another person's session does not finish what this one began.
        app.user("eve@example.com").await;
        let (eve, _) = app.sign_in("eve@example.com").await;
        let options = creation(&app, &client).await;
        confirm(&app, &eve, Device::new().create(&options)).await.is(422, "identity.bad_passkey");
    }

    async fn another_persons_passkey_answers_nothing_of_mine(test: TestDb) {
        let app = App::start(test).await;
        let (client, mine) = protected(&app).await;
        app.user("eve@example.com").await;
        let (eve, _) = app.sign_in("eve@example.com").await;
        let mut hers = Device::new();
        add(&app, &eve, &mut hers).await.is(201, "");
        let token = ask(&app, &home()).await.text("/mfa_token");
        let options = step_options(&app, &token).await;
        answer(&app, &token, hers.get(&options)).await.is(401, "identity.wrong_code");
        // With my handle, or with my credential's name over her key.
        hers.handle.clone_from(&mine.handle);
        answer(&app, &token, hers.get(&options)).await.is(401, "identity.wrong_code");
        sign_in(&app, hers.get(&sign_in_options(&app).await)).await.is(401, "identity.passkey_refused");
        hers.id.clone_from(&mine.id);
        sign_in(&app, hers.get(&sign_in_options(&app).await)).await.is(401, "identity.passkey_refused");
        // Nor can she register mine as hers.
        let mut copy = Device { id: mine.id.clone(), ..Device::new() };
        add(&app, &eve, &mut copy).await.is(409, "identity.passkey_exists");
        let path = format!("/api/v1/mfa/passkeys/{}", app.get(&client, "/api/v1/mfa/passkeys").await.text("/items/0/id"));
        app.delete(&eve, &path, None).await.is(404, "identity.passkey_not_found");
        app.patch(&eve, &path, json!({"name": "Eve's"})).await.is(404, "identity.passkey_not_found");
    }

    async fn a_passkey_alone_has_to_know_its_owner_and_say_who_it_is(test: TestDb) {
        let app = App::start(test).await;
        let (_, mut device) = protected(&app).await;
        device.flags = PRESENT;
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(401, "identity.passkey_refused");
        device.flags = VERIFIED;
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(401, "identity.passkey_refused");
        device.flags = PRESENT | VERIFIED;
        let handle = device.handle.take();
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(401, "identity.passkey_refused");
        device.handle = handle;
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(200, "");
    }

    async fn a_copy_whose_count_went_back_is_refused_and_written_down(test: TestDb) {
        let app = App::start(test).await;
        let (_, mut device) = protected(&app).await;
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(200, "");
        device.count -= 1;
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(401, "identity.passkey_refused");
        assert_eq!(app.count("audit_entries", "action", "identity.passkey.copied").await, 1);
        // What cannot be backed up does not say that it can, later.
        device.flags |= 0x08;
        device.count += 5;
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(401, "identity.passkey_refused");
    }

    async fn synced_passkeys_that_do_not_count_are_used_again_and_again(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let (client, _) = app.sign_in(EMAIL).await;
        let mut device = Device { flags: PRESENT | VERIFIED | 0x18, step: 0, ..Device::new() };
        add(&app, &client, &mut device).await.is(201, "");
        for _ in 0..2 {
            sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(200, "");
        }
        assert_eq!(app.get(&client, "/api/v1/mfa/passkeys").await.json["items"][0]["synced"], true);
    }

    async fn of_two_uses_of_one_challenge_at_once_one_gets_in(test: TestDb) {
        let app = App::start(test).await;
        let (_, mut device) = protected(&app).await;
        let options = sign_in_options(&app).await;
        let said: Vec<Value> = (0..6).map(|_| device.get(&options)).collect();
        let replies = futures::future::join_all(said.into_iter().map(|said| sign_in(&app, said))).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
        let token = ask(&app, &home()).await.text("/mfa_token");
        let options = step_options(&app, &token).await;
        let said = device.get(&options);
        let replies = futures::future::join_all((0..4).map(|_| answer(&app, &token, said.clone()))).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    }

    async fn the_first_passkey_ends_what_began_without_it_and_the_last_one_takes_the_factor_with_it(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let ((here, _), (there, _)) = (app.sign_in(EMAIL).await, app.sign_in(EMAIL).await);
        let mut device = Device::new();
        add(&app, &here, &mut device).await.is(201, "");
        assert!(app.is_signed_in(&here).await && !app.is_signed_in(&there).await);
        let mut second = Device::new();
        assert!(add(&app, &here, &mut second).await.is(201, "").json.get("recovery_codes").is_none());
        assert!(app.mails(EMAIL).await[0].subject.contains("passkey was added"));
        let ids: Vec<String> = app.get(&here, "/api/v1/mfa/passkeys").await.json["items"].as_array().unwrap().iter()
            .map(|item| item["id"].as_str().unwrap().to_owned()).collect();
        app.patch(&here, &format!("/api/v1/mfa/passkeys/{}", ids[1]), json!({"name": " Phone\u{7} "})).await.is(204, "");
        assert_eq!(app.get(&here, "/api/v1/mfa/passkeys").await.text("/items/1/name"), "Phone");
        app.delete(&here, &format!("/api/v1/mfa/passkeys/{}", ids[0]), None).await.is(204, "");
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(401, "identity.passkey_refused");
        sign_in(&app, second.get(&sign_in_options(&app).await)).await.is(200, "");
        app.delete(&here, &format!("/api/v1/mfa/passkeys/{}", ids[1]), None).await.is(204, "");
        let plain = app.try_sign_in(&home(), EMAIL, PASSWORD).await;
        plain.is(200, "").text("/access_token");
    }

    async fn asvs_7_5_1_passkeys_change_only_for_somebody_who_has_just_shown_who_they_are(test: TestDb) {
        let app = App::start(test).await;
        app.user(EMAIL).await;
        let client = app.sign_in_with_cookie(EMAIL).await;
        app.pass(Duration::from_secs(601));
        app.call(&client, Method::POST, "/api/v1/mfa/passkeys", None).await.is(403, "identity.reauthentication_needed");
        let begun = app.post(&client, "/api/v1/mfa/passkeys", json!({"password": PASSWORD})).await;
        let mut device = Device::new();
        let added = confirm(&app, &client, device.create(&begun.json)).await;
        added.is(201, "");
        app.pass(Duration::from_secs(601));
        let path = format!("/api/v1/mfa/passkeys/{}", added.text("/id"));
        app.delete(&client, &path, None).await.is(403, "identity.reauthentication_needed");
        app.delete(&client, &path, Some(json!({"password": PASSWORD}))).await.is(204, "");
    }

    async fn a_role_that_demands_a_factor_is_content_with_a_passkey(test: TestDb) {
        let app = App::start(test).await;
        app.account(EMAIL, "admin").await;
        let (client, _) = app.sign_in(EMAIL).await;
        let mut device = Device::new();
        let added = add(&app, &client, &mut device).await;
        let strict = app.restarted(|config| { config.mfa.insert("admin".to_owned(), MfaPolicy::Required); }).await;
        let entered = sign_in(&strict, device.get(&sign_in_options(&strict).await)).await;
        entered.is(200, "");
        let client = home().with_bearer(&entered.text("/access_token"));
        strict.delete(&client, &format!("/api/v1/mfa/passkeys/{}", added.text("/id")), None).await.is(409, "identity.factor_required");
        enrol(&strict, &client).await;
        strict.delete(&client, &format!("/api/v1/mfa/passkeys/{}", added.text("/id")), None).await.is(204, "");
    }

    async fn a_disabled_account_is_not_opened_by_its_passkey_and_a_reset_takes_it_away(test: TestDb) {
        let app = App::start(test).await;
        let (client, mut device) = protected(&app).await;
        let user = app.identity.find_me(&app.ctx(&client).await).await.unwrap().id;
        app.identity.disable_user(&app.operator(), user).await.unwrap();
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(403, "identity.account_disabled");
        app.identity.enable_user(&app.operator(), user).await.unwrap();
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(200, "");
        app.identity.reset_factors(&app.operator(), user).await.unwrap();
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(401, "identity.passkey_refused");
        assert_eq!(app.count("passkeys", "user_id", &user.to_string()).await, 0);
    }

    async fn damaged_credentials_are_refused_and_asking_writes_nothing(test: TestDb) {
        let app = App::start(test).await;
        let (client, mut device) = protected(&app).await;
        for _ in 0..5 {
            sign_in_options(&app).await;
            creation(&app, &client).await;
        }
        let row = "SELECT CAST(count(*) AS TEXT) FROM used_challenges WHERE hash <> $1";
        assert_eq!(app.text(row, "").await, "1", "setting it up, and nothing else");
        let options = creation(&app, &client).await;
        let whole = Device::new().create(&options);
        for length in [0, 1, 40, 60, 100, 190] {
            let mut cut = whole.clone();
            let object = cut["response"]["attestationObject"].as_str().unwrap()[..length].to_owned();
            cut["response"]["attestationObject"] = json!(object);
            confirm(&app, &client, cut).await.is(422, "identity.bad_passkey");
        }
        let options = sign_in_options(&app).await;
        let whole = device.get(&options);
        for part in ["clientDataJSON", "authenticatorData", "signature"] {
            let mut bent = whole.clone();
            bent["response"][part] = json!("AAAA");
            sign_in(&app, bent).await.is(401, "identity.passkey_refused");
        }
        sign_in(&app, whole).await.is(200, "");
    }

    async fn every_act_with_a_passkey_leaves_its_entry(test: TestDb) {
        let app = App::start(test).await;
        let (client, mut device) = protected(&app).await;
        let path = format!("/api/v1/mfa/passkeys/{}", app.get(&client, "/api/v1/mfa/passkeys").await.text("/items/0/id"));
        app.patch(&client, &path, json!({"name": "Phone"})).await.is(204, "");
        sign_in(&app, device.get(&sign_in_options(&app).await)).await.is(200, "");
        app.delete(&client, &path, None).await.is(204, "");
        for (action, count) in [("factor.begun", 1), ("factor.added", 1), ("passkey.added", 1), ("passkey.renamed", 1), ("session.begun", 2), ("passkey.removed", 1)] {
            assert_eq!(app.count("audit_entries", "action", &format!("identity.{action}")).await, count, "{action}");
        }
    }
}
