//! `/dev/outbox`: what would have been sent, for development and the demo; `/dev/messages`: what every message looks like.

use askama::Template;
use axum::response::{IntoResponse, Response};
use baluarte_kernel::{Locale, Timestamp};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;

use crate::{Json, Page, Visit, prefers_html};

crate::texts! {
    /// The words of the page.
    struct Words {
        title: "Outbox", "Bandeja de salida", "Caixa de saída";
        lead: "The mails and text messages that would have been sent, newest first. Only in development and in the demo.", "Los correos y mensajes de texto que se habrían enviado, los más nuevos primero. Solo en desarrollo y en la demostración.", "Os e-mails e mensagens de texto que teriam sido enviados, os mais novos primeiro. Só em desenvolvimento e na demonstração.";
        empty: "Nothing has been sent yet.", "Aún no se ha enviado nada.", "Nada foi enviado ainda.";
        to: "To", "Para", "Para";
        open_html: "Open as HTML", "Abrir como HTML", "Abrir como HTML";
        refresh: "Look again", "Actualizar", "Atualizar";
        samples: "What messages look like", "Cómo se ven los mensajes", "Como são as mensagens";
        samples_lead: "Every message that is sent, with made-up values. Only in development and in the demo.", "Todos los mensajes que se envían, con datos inventados. Solo en desarrollo y en la demostración.", "Todas as mensagens enviadas, com dados inventados. Só em desenvolvimento e na demonstração.";
        as_text: "Text", "Texto", "Texto";
    }
}

/// One message that was kept instead of sent.
#[derive(Debug, Clone, Serialize)]
pub struct OutboxMessage {
    /// Names the message in `/dev/outbox/<id>`.
    pub id: String,
    /// `email` or `sms`.
    pub channel: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    pub created_at: Timestamp,
}

#[derive(Template)]
#[template(path = "outbox.html")]
struct OutboxPage<'a> {
    t: &'static Words,
    messages: Vec<Shown<'a>>,
}

struct Shown<'a> {
    message: &'a OutboxMessage,
    pieces: Vec<Piece<'a>>,
}

/// Links are made clickable: following them is what the outbox is for.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Link(&'a str),
}

/// `GET /dev/outbox`: `{"items": […]}`, or a page for browsers. `messages`: newest first.
pub fn outbox_page(visit: &Visit, request: &HeaderMap, messages: &[OutboxMessage]) -> Response {
    #[derive(Serialize)]
    struct Items<'a> {
        items: &'a [OutboxMessage],
    }
    if !prefers_html(request) {
        return ([(header::CACHE_CONTROL, "no-store")], Json(Items { items: messages })).into_response();
    }
    let t = Words::of(visit.locale);
    let messages = messages.iter().map(|message| Shown { message, pieces: pieces(&message.text) }).collect();
    Page::sheet(visit, t.title).respond(StatusCode::OK, &OutboxPage { t, messages })
}

#[derive(Template)]
#[template(path = "samples.html")]
struct SamplesPage<'a> {
    t: &'static Words,
    samples: &'a [OutboxMessage],
    locales: [Locale; 3],
}

/// `GET /dev/messages`: one message of each kind. `samples`: in the visitor's language.
pub fn samples_page(visit: &Visit, request: &HeaderMap, samples: &[OutboxMessage]) -> Response {
    #[derive(Serialize)]
    struct Items<'a> {
        items: &'a [OutboxMessage],
    }
    if !prefers_html(request) {
        return ([(header::CACHE_CONTROL, "no-store")], Json(Items { items: samples })).into_response();
    }
    let t = Words::of(visit.locale);
    Page::sheet(visit, t.samples).respond(StatusCode::OK, &SamplesPage { t, samples, locales: Locale::ALL })
}

/// `GET /dev/outbox/{id}`: the HTML of one message as a mail program shows it: no scripts, nothing from elsewhere.
pub fn outbox_html(message: &OutboxMessage) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox allow-popups allow-top-navigation-by-user-activation; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, message.html.clone().unwrap_or_default()).into_response()
}

/// Splits a text at its web addresses.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = ["http://", "https://"].iter().filter_map(|scheme| rest.find(scheme)).min() {
        let link = &rest[at..];
        let end = link.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\'')).unwrap_or(link.len());
        let link = link[..end].trim_end_matches(['.', ',', ';', ')', '!']);
        if at > 0 {
            pieces.push(Piece::Text(&rest[..at]));
        }
        pieces.push(Piece::Link(link));
        rest = &rest[at + link.len()..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_empty_in_any_language() {
        for locale in Locale::ALL {
            assert!(Words::all(locale).iter().all(|(_, word)| !word.is_empty()), "{locale:?}");
        }
    }

    #[test]
    fn addresses_in_a_message_become_links() {
        let found = pieces("Open https://shop.example/auth/verify-email?token=abc. Or not.");
        let link = Piece::Link("https://shop.example/auth/verify-email?token=abc");
        assert_eq!(found, [Piece::Text("Open "), link, Piece::Text(". Or not.")]);
        assert_eq!(pieces("no link"), [Piece::Text("no link")]);
        assert_eq!(pieces(""), []);
    }
}
