use askama::Template;

use super::Words;

/// One labelled input, with what is wrong with it.
#[derive(Debug, Template)]
#[template(path = "field.html")]
pub(super) struct Field<'a> {
    t: &'static Words,
    pub id: &'static str,
    pub name: &'static str,
    /// `text`, `tel`, `password`, or `email`: a text with the keyboard for addresses, because `username` suits only texts.
    pub kind: &'static str,
    pub autocomplete: &'static str,
    pub label: &'a str,
    pub hint: &'a str,
    pub value: &'a str,
    pub error: &'a str,
    /// The first one that is wrong.
    focus: bool,
    /// In UTF-16 units, as browsers count; the service has the last word.
    pub max: u16,
}

impl<'a> Field<'a> {
    pub(super) fn email(t: &'static Words, value: &'a str) -> Self {
        Self {
            t,
            id: "email",
            name: "email",
            kind: "email",
            autocomplete: "username",
            label: t.email,
            hint: "",
            value,
            error: "",
            focus: false,
            max: 254,
        }
    }

    /// An address that is not what they sign in with yet.
    pub(super) fn new_email(t: &'static Words, label: &'a str, value: &'a str) -> Self {
        Self { autocomplete: "email", label, ..Self::email(t, value) }
    }

    pub(super) fn person(t: &'static Words, value: &'a str) -> Self {
        Self {
            t,
            id: "name",
            name: "name",
            kind: "text",
            autocomplete: "name",
            label: t.name,
            hint: t.name_hint,
            value,
            error: "",
            focus: false,
            max: 200,
        }
    }

    /// The password that the account has. Its value is never sent back.
    pub(super) fn current_password(t: &'static Words, name: &'static str, label: &'static str) -> Self {
        Self {
            t,
            id: name,
            name,
            kind: "password",
            autocomplete: "current-password",
            label,
            hint: "",
            value: "",
            error: "",
            focus: false,
            max: 512,
        }
    }

    /// A code that was sent or that an app shows: digits.
    pub(super) fn code(t: &'static Words, label: &'a str, hint: &'a str) -> Self {
        Self { id: "code", name: "code", kind: "code", autocomplete: "one-time-code", label, hint, max: 16, ..Self::email(t, "") }
    }

    /// A text of no particular kind, which no browser remembers.
    pub(super) fn plain(t: &'static Words, name: &'static str, label: &'a str, hint: &'a str, value: &'a str) -> Self {
        Self { id: name, name, kind: "text", autocomplete: "off", label, hint, max: 60, ..Self::email(t, value) }
    }

    /// Browsers that have a passkey for us offer it here.
    #[must_use]
    pub(super) fn offering_passkeys(mut self) -> Self {
        self.autocomplete = "username webauthn";
        self
    }

    /// A telephone number in the international form.
    pub(super) fn phone(t: &'static Words, label: &'a str, hint: &'a str, value: &'a str) -> Self {
        Self { id: "phone", name: "phone", kind: "tel", autocomplete: "tel", label, hint, max: 32, ..Self::email(t, value) }
    }

    /// A code on paper: letters and digits, which no browser remembers.
    pub(super) fn recovery_code(t: &'static Words, label: &'a str, hint: &'a str) -> Self {
        Self { id: "code", name: "code", kind: "paper", autocomplete: "off", label, hint, max: 40, ..Self::email(t, "") }
    }

    /// The password that it is to have.
    pub(super) fn new_password(t: &'static Words, name: &'static str, label: &'static str) -> Self {
        Self {
            t,
            id: name,
            name,
            kind: "password",
            autocomplete: "new-password",
            label,
            hint: t.password_hint,
            value: "",
            error: "",
            focus: false,
            max: 512,
        }
    }

    #[must_use]
    pub(super) fn wrong(mut self, error: &'a str) -> Self {
        self.error = error;
        self
    }

    /// The only thing there is to do on the page.
    #[must_use]
    pub(super) fn focused(mut self) -> Self {
        self.focus = true;
        self
    }

    pub(super) fn focus_first_wrong<'f>(fields: impl IntoIterator<Item = &'f mut Self>)
    where
        'a: 'f,
    {
        if let Some(field) = fields.into_iter().find(|field| !field.error.is_empty()) {
            field.focus = true;
        }
    }
}
