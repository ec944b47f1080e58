//! Each page in some of its states, without a service behind it.

use std::time::Duration;

use axum::response::Response;
use baluarte_kernel::{Locale, Secret};
use http::StatusCode;

use super::{FactorWords, Look, account, codes_page, enrol, phone, step, totp_page};
use crate::{
    CreationOptions, Factor, FactorKind, Factors, Method, MfaPolicy, OpenStep, Passkey, PasskeyId, RequestOptions, TotpEnrolment,
    TrustedDevice, TrustedDeviceId,
    factors::passkey::RelyingParty,
    pages::tests::{CHROME, NOW, signed_in, visit},
};

/// What a page asks a browser for.
pub(in crate::pages) fn request() -> RequestOptions {
    let party = RelyingParty::of("https://shop.example").unwrap();
    RequestOptions::new(&party, "Y2hhbGxlbmdl", Vec::new())
}

pub(in crate::pages) fn passkey_new(locale: Locale) -> Response {
    let party = RelyingParty::of("https://shop.example").unwrap();
    let person = (baluarte_kernel::UserId::generate(), "zoe@example.com", "Zoë \"<b>\"");
    let options = CreationOptions::new(&party, "shop.example", person, "Y2hhbGxlbmdl", Vec::new());
    let here = visit(locale, "/auth/account/factors/passkeys/new");
    super::passkeys::new_page(&here, StatusCode::OK, &options, Some(CHROME), "")
}

pub(in crate::pages) fn confirm_password(locale: Locale) -> Response {
    super::confirm::password_page(&visit(locale, "/auth/confirm"), StatusCode::OK, "/shop/cart", Look::default())
}

pub(in crate::pages) fn step(locale: Locale, method: &str, sent: bool) -> Response {
    question(locale, method, sent, step::Place::SignIn { trusted_for: Duration::from_secs(30 * 86_400) })
}

pub(in crate::pages) fn confirm(locale: Locale, method: &str) -> Response {
    question(locale, method, true, step::Place::Confirm)
}

fn question(locale: Locale, method: &str, sent: bool, place: step::Place) -> Response {
    let t = FactorWords::of(locale);
    let open = OpenStep {
        methods: vec![Method::Passkey, Method::Totp, Method::Sms, Method::Email, Method::Recovery],
        enrol: Vec::new(),
        address: "z•••@example.com".to_owned(),
        phone: Some("+351•••78".to_owned()),
        sent: method.parse().ok().filter(|_| sent),
        resend_in: Duration::from_secs(if sent { 28 } else { 0 }),
    };
    let arrival = step::Arrival { method: method.to_owned(), return_to: "/shop/cart".to_owned(), ..step::Arrival::default() };
    let wrong = method == "recovery";
    let look = Look { alert: "", error: if wrong { t.wrong_code } else { "" } };
    let status = if wrong { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    step::step_page(&visit(locale, "/auth/login/step"), status, &open, &arrival, look, (method == "passkey").then(request).as_ref(), place)
}

pub(in crate::pages) fn choose(locale: Locale) -> Response {
    enrol::choose_page(&visit(locale, "/auth/login/enrol"), StatusCode::OK, &[FactorKind::Totp, FactorKind::Sms, FactorKind::Email], "", "")
}

pub(in crate::pages) fn phone(locale: Locale, status: StatusCode) -> Response {
    let t = FactorWords::of(locale);
    let wrong = phone::Wrong {
        phone: if status.is_success() { "" } else { t.phone_bad },
        password: (!status.is_success()).then_some(""),
        ..phone::Wrong::default()
    };
    let here = visit(locale, "/auth/account/factors/sms");
    phone::phone_page(&here, status, ("/auth/account/factors/sms", "/auth/account/factors"), Vec::new(), "912 345 678", wrong)
}

pub(in crate::pages) fn totp(locale: Locale) -> Response {
    let enrolment = TotpEnrolment {
        secret: Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
        otpauth_url: Secret::new("otpauth://totp/shop%2Eexample:zoe?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=shop%2Eexample"),
    };
    let back = ("/auth/account/factors", FactorWords::of(locale).back);
    totp_page(&visit(locale, "/auth/account/factors/totp"), StatusCode::OK, &enrolment, "/x", Vec::new(), back, Look::default())
}

pub(in crate::pages) fn codes(locale: Locale) -> Response {
    let sheet: Vec<Secret> = (0..10).map(|n| Secret::new(format!("7K2M-9QX{n}-04HV"))).collect();
    codes_page(&visit(locale, "/auth/account/factors/recovery"), "zoe@example.com", &sheet, true, "/auth/account", "2026-11-22")
}

fn factors(factors: Vec<Factor>, left: u32) -> Factors {
    let phone = factors.iter().any(|factor| factor.kind == FactorKind::Sms).then(|| "+351•••78".to_owned());
    let policy = MfaPolicy::Optional;
    Factors { policy, factors, recovery_codes: left, email_available: true, sms_available: true, phone, fresh: true }
}

pub(in crate::pages) fn overview(locale: Locale) -> Response {
    let on = |kind| Factor { kind, confirmed_at: NOW, last_used_at: Some(NOW) };
    let found = factors(vec![on(FactorKind::Totp), on(FactorKind::Sms)], 2);
    let passkey = Passkey {
        id: PasskeyId::generate(),
        name: "Chrome on Linux".to_owned(),
        backed_up: true,
        created_at: NOW,
        last_used_at: Some(NOW),
    };
    let device = TrustedDevice {
        id: TrustedDeviceId::generate(),
        user_agent: Some(CHROME.to_owned()),
        ip: "203.0.113.7".parse().ok(),
        proved_at: NOW,
        last_used_at: NOW,
        expires_at: NOW.plus(Duration::from_secs(86_400)),
    };
    account::factors_page(&visit(locale, "/auth/account/factors"), StatusCode::OK, &found, Some(&[passkey]), &[device], "", "")
}

pub(in crate::pages) fn nothing_yet(locale: Locale) -> Response {
    account::factors_page(&visit(locale, "/auth/account/factors"), StatusCode::OK, &factors(Vec::new(), 0), Some(&[]), &[], "", "")
}

pub(in crate::pages) fn remove(locale: Locale) -> Response {
    account::ask_removal(&signed_in(), &visit(locale, "/auth/account/factors/remove"))
}
