//! Each page in some of its states, without a service behind it.

use std::time::Duration;

use axum::response::Response;
use baluarte_kernel::{Locale, Secret};
use http::StatusCode;

use super::{FactorWords, Look, account, codes_page, enrol, step, totp_page};
use crate::{
    Factor, FactorKind, Factors, Method, MfaPolicy, OpenStep, TotpEnrolment, TrustedDevice, TrustedDeviceId,
    pages::tests::{CHROME, NOW, signed_in, visit},
};

pub(in crate::pages) fn step(locale: Locale, method: &str, sent: bool) -> Response {
    let t = FactorWords::of(locale);
    let open = OpenStep {
        methods: vec![Method::Totp, Method::Email, Method::Recovery],
        enrol: Vec::new(),
        address: "z•••@example.com".to_owned(),
        sent,
        resend_in: Duration::from_secs(if sent { 28 } else { 0 }),
    };
    let arrival = step::Arrival { method: method.to_owned(), return_to: "/shop/cart".to_owned() };
    let wrong = method == "recovery";
    let look = Look { alert: "", error: if wrong { t.wrong_code } else { "" } };
    let status = if wrong { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    step::step_page(&visit(locale, "/auth/login/step"), status, &open, &arrival, look, Duration::from_secs(30 * 86_400))
}

pub(in crate::pages) fn choose(locale: Locale) -> Response {
    enrol::choose_page(&visit(locale, "/auth/login/enrol"), StatusCode::OK, &[FactorKind::Totp, FactorKind::Email], "", "")
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
    Factors { policy: MfaPolicy::Optional, factors, recovery_codes: left, email_available: true, fresh: true }
}

pub(in crate::pages) fn overview(locale: Locale) -> Response {
    let found = factors(vec![Factor { kind: FactorKind::Totp, confirmed_at: NOW, last_used_at: Some(NOW) }], 2);
    let device = TrustedDevice {
        id: TrustedDeviceId::generate(),
        user_agent: Some(CHROME.to_owned()),
        ip: "203.0.113.7".parse().ok(),
        proved_at: NOW,
        last_used_at: NOW,
        expires_at: NOW.plus(Duration::from_secs(86_400)),
    };
    account::factors_page(&visit(locale, "/auth/account/factors"), StatusCode::OK, &found, &[device], "", "")
}

pub(in crate::pages) fn nothing_yet(locale: Locale) -> Response {
    account::factors_page(&visit(locale, "/auth/account/factors"), StatusCode::OK, &factors(Vec::new(), 0), &[], "", "")
}

pub(in crate::pages) fn remove(locale: Locale) -> Response {
    account::ask_removal(&signed_in(), &visit(locale, "/auth/account/factors/remove"))
}
