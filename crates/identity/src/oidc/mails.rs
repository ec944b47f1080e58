//! What is written to people about accounts elsewhere.

use std::net::IpAddr;

use baluarte_kernel::Timestamp;
use baluarte_notify::{Action, Letter, Message};
use baluarte_web::{fill, texts};

use crate::{
    mails::{Mails, NOTICE},
    model::User,
};

texts! {
    /// The words of mails about accounts elsewhere.
    struct Words {
        connected_subject_site_what: "Another way to sign in to {}", "Otra forma de iniciar sesión en {}", "Outra forma de entrar em {}";
        connected_heading: "An account was connected", "Se conectó una cuenta", "Uma conta foi conectada";
        connected_text_label_title_site: "The account {} at {} now signs in to your account at {}.", "La cuenta {} de {} ahora inicia sesión en tu cuenta de {}.", "A conta {} de {} agora entra na sua conta em {}.";
        connected_not_you: "If this was not you, sign in, disconnect it under your account, and choose a new password.", "Si no fuiste tú, inicia sesión, desconéctala en tu cuenta y elige una contraseña nueva.", "Se não foi você, entre, desconecte-a na sua conta e escolha uma nova senha.";
        connected_action: "Look at connected accounts", "Ver las cuentas conectadas", "Ver as contas conectadas";
        disconnected_subject_site: "A way to sign in to {} was removed", "Se quitó una forma de iniciar sesión en {}", "Uma forma de entrar em {} foi removida";
        disconnected_heading: "An account was disconnected", "Se desconectó una cuenta", "Uma conta foi desconectada";
        disconnected_text_label_title_site: "The account {} at {} no longer signs in to your account at {}. Other devices were signed out.", "La cuenta {} de {} ya no inicia sesión en tu cuenta de {}. Los demás dispositivos cerraron sesión.", "A conta {} de {} não entra mais na sua conta em {}. Os outros dispositivos foram desconectados.";
        disconnected_not_you: "If this was not you, choose a new password at once.", "Si no fuiste tú, elige una contraseña nueva de inmediato.", "Se não foi você, escolha uma nova senha imediatamente.";
        choose: "This was not me", "No fui yo", "Não fui eu";
        from_where: "From the address {}, at {} (UTC).", "Desde la dirección {}, el {} (UTC).", "Do endereço {}, em {} (UTC).";
    }
}

/// Writes them in the name of one installation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoginMails<'a>(pub(crate) &'a Mails);

impl LoginMails<'_> {
    pub(crate) fn connected(self, to: &User, title: &str, label: &str, from: Option<IpAddr>, now: Timestamp) -> Message {
        let t = Words::of(to.locale);
        let text = fill(t.connected_text_label_title_site, &[label, title, self.0.site()]);
        let url = self.0.url("/auth/account/logins");
        let letter = Letter {
            subject: fill(t.connected_subject_site_what, &[self.0.site()]),
            paragraphs: vec![text, crate::mails::place(t.from_where, from, now), t.connected_not_you.to_owned()],
            action: Some(Action { label: t.connected_action, url: &url }),
            ..self.0.letter("identity.login_connected", to.locale, t.connected_heading, now.plus(NOTICE))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    pub(crate) fn disconnected(self, to: &User, title: &str, label: &str, from: Option<IpAddr>, now: Timestamp) -> Message {
        let t = Words::of(to.locale);
        let text = fill(t.disconnected_text_label_title_site, &[label, title, self.0.site()]);
        let url = self.0.forgot_url();
        let letter = Letter {
            subject: fill(t.disconnected_subject_site, &[self.0.site()]),
            paragraphs: vec![text, crate::mails::place(t.from_where, from, now), t.disconnected_not_you.to_owned()],
            action: Some(Action { label: t.choose, url: &url }),
            ..self.0.letter("identity.login_disconnected", to.locale, t.disconnected_heading, now.plus(NOTICE))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    /// One of each.
    pub(crate) fn samples(self, to: &User, from: Option<IpAddr>, now: Timestamp) -> Vec<Message> {
        let (title, label) = ("Google", "zoe@gmail.example");
        vec![self.connected(to, title, label, from, now), self.disconnected(to, title, label, from, now)]
    }
}
