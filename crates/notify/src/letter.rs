//! The one look of all mails: components bring the words, this makes text and HTML of them.

use askama::Template;
use baluarte_kernel::{Locale, Timestamp};

use crate::{Channel, Message};

/// A mail before it becomes text and HTML. Both forms say the same.
#[derive(Debug, Clone)]
pub struct Letter<'a> {
    /// Which template: `identity.verify_email`.
    pub kind: &'static str,
    pub locale: Locale,
    pub subject: String,
    pub heading: &'a str,
    pub paragraphs: Vec<String>,
    /// Shown large, to be typed elsewhere.
    pub code: Option<&'a str>,
    pub action: Option<Action<'a>>,
    /// Small print beneath.
    pub notes: Vec<String>,
    /// What people know us by.
    pub site: &'a str,
    pub footer: String,
    /// Not worth sending after this moment.
    pub useful_until: Timestamp,
}

/// A button and what it leads to.
#[derive(Debug, Clone, Copy)]
pub struct Action<'a> {
    pub label: &'a str,
    /// Begins with the public URL, never with what a request said.
    pub url: &'a str,
}

#[derive(Template)]
#[template(path = "letter.html")]
struct Html<'a> {
    lang: &'a str,
    heading: &'a str,
    paragraphs: &'a [String],
    code: Option<&'a str>,
    action: Option<Action<'a>>,
    notes: &'a [String],
    site: &'a str,
    footer: &'a str,
}

#[derive(Template)]
#[template(path = "letter.txt")]
struct Text<'a> {
    heading: &'a str,
    paragraphs: &'a [String],
    code: Option<&'a str>,
    action: Option<Action<'a>>,
    notes: &'a [String],
    footer: &'a str,
}

impl Letter<'_> {
    /// The finished mail.
    #[must_use]
    pub fn to(self, address: &str) -> Message {
        let Self { kind, locale, subject, heading, paragraphs, code, action, notes, site, footer, useful_until } = self;
        let html = Html { lang: locale.tag(), heading, paragraphs: &paragraphs, code, action, notes: &notes, site, footer: &footer };
        let text = Text { heading, paragraphs: &paragraphs, code, action, notes: &notes, footer: &footer };
        Message {
            channel: Channel::Email,
            to: address.to_owned(),
            locale,
            subject,
            text: text.render().expect("writing to a string does not fail"),
            html: Some(html.render().expect("writing to a string does not fail")),
            kind,
            useful_until,
            about: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Message {
        let letter = Letter {
            kind: "test.letter",
            locale: Locale::Es,
            subject: "Asunto".to_owned(),
            heading: "Título <b>",
            paragraphs: vec!["Primero & segundo".to_owned()],
            code: Some("123456"),
            action: Some(Action { label: "Abrir", url: "https://shop.example/a?b=1&c=2" }),
            notes: vec!["Nota".to_owned()],
            site: "shop.example",
            footer: "Pie".to_owned(),
            useful_until: Timestamp::default(),
        };
        letter.to("zoe@example.com")
    }

    #[test]
    fn text_and_html_say_the_same_and_nothing_from_outside_becomes_markup() {
        let Message { text, html, .. } = letter();
        let html = html.unwrap();
        for said in ["Título", "Primero", "123456", "Abrir", "shop.example/a?b=1", "Nota", "Pie"] {
            assert!(text.contains(said) && html.contains(said), "{said}");
        }
        assert!(text.contains("Título <b>") && text.contains("b=1&c=2"), "{text}");
        assert!(!html.contains("<b>") && html.contains("b=1&#38;c=2"), "{html}");
    }

    #[test]
    fn a_mail_loads_nothing_and_runs_nothing() {
        let html = letter().html.unwrap();
        for forbidden in ["<script", "<img", "<link", "@import", "url(", "src="] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        assert!(html.contains("lang=\"es\"") && html.contains("prefers-color-scheme:dark") && html.contains("role=\"presentation\""));
    }
}
