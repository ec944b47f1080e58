//! What is written to the two mailboxes of somebody who wants another address.

use std::net::IpAddr;

use baluarte_kernel::{Locale, Period, Secret, Timestamp};
use baluarte_notify::{Action, Letter, Message};
use baluarte_web::{fill, texts};

use super::{Mails, NOTICE, place, span};
use crate::model::{Email, User};

texts! {
    struct Words {
        old_subject_site: "Your account at {} is to have another address", "Tu cuenta de {} va a tener otro correo", "A sua conta em {} vai ter outro e-mail";
        old_heading: "Another address for your account", "Otro correo para tu cuenta", "Outro e-mail para a sua conta";
        old_text_site_email: "Somebody, hopefully you, asked for the account at {} to have the address {} instead of this one. It changes when both mailboxes have agreed.", "Alguien, esperamos que tú, pidió que la cuenta de {} tenga el correo {} en lugar de este. Cambia cuando ambos buzones estén de acuerdo.", "Alguém, esperamos que você, pediu que a conta em {} tenha o e-mail {} em vez deste. Ele muda quando as duas caixas de entrada concordarem.";
        old_action: "Agree, or say that it was not you", "Aceptar o decir que no fuiste tú", "Concordar ou dizer que não foi você";
        old_not_you: "If this was not you, say so with the link: it stops the change and signs the account out everywhere. Then choose a new password.", "Si no fuiste tú, dilo con el enlace: detiene el cambio y cierra todas las sesiones de la cuenta. Después elige una contraseña nueva.", "Se não foi você, diga isso pelo link: ele interrompe a mudança e encerra todas as sessões da conta. Depois escolha uma nova senha.";

        new_subject_site: "Confirm this address for {}", "Confirma este correo para {}", "Confirme este e-mail para {}";
        new_heading: "Confirm your new address", "Confirma tu nuevo correo", "Confirme o seu novo e-mail";
        new_text_site: "Somebody, hopefully you, wants to use this address for their account at {}. Confirm that it is yours; the address that the account has now is asked too.", "Alguien, esperamos que tú, quiere usar este correo para su cuenta de {}. Confirma que es tuyo; también se pregunta al correo que la cuenta tiene ahora.", "Alguém, esperamos que você, quer usar este e-mail na sua conta em {}. Confirme que ele é seu; o e-mail que a conta tem agora também é consultado.";
        new_action: "Confirm the address", "Confirmar el correo", "Confirmar o e-mail";

        in_use_subject_site: "You already have an account at {}", "Ya tienes una cuenta en {}", "Você já tem uma conta em {}";
        in_use_heading: "You already have an account", "Ya tienes una cuenta", "Você já tem uma conta";
        in_use_text_site: "Somebody, perhaps you, wanted to use this address for another account at {}. It belongs to your account, and nothing has changed.", "Alguien, quizá tú, quiso usar este correo para otra cuenta de {}. Pertenece a tu cuenta y nada ha cambiado.", "Alguém, talvez você, quis usar este e-mail em outra conta em {}. Ele pertence à sua conta e nada mudou.";
        in_use_action: "Sign in", "Iniciar sesión", "Entrar";

        changed_subject_site: "Your address for {} was changed", "Tu correo de {} cambió", "O seu e-mail em {} foi alterado";
        changed_heading: "Your address was changed", "Tu correo cambió", "O seu e-mail foi alterado";
        changed_text_site_hint: "Your account at {} now has the address {}. Mails go there, and you sign in with it. Other devices were signed out.", "Tu cuenta de {} ahora tiene el correo {}. Los correos van ahí y con él inicias sesión. Los demás dispositivos cerraron sesión.", "A sua conta em {} agora tem o e-mail {}. Os e-mails vão para lá, e você entra com ele. Os outros dispositivos foram desconectados.";
        changed_not_you: "Both mailboxes agreed to it. If this was not you, somebody reads them: contact whoever runs the site.", "Ambos buzones lo aceptaron. Si no fuiste tú, alguien los lee: contacta con quien administra el sitio.", "As duas caixas de entrada concordaram. Se não foi você, alguém as lê: fale com quem administra o site.";
    }
}

/// Where both links lead; the token says which mailbox it is.
const PATH: &str = "/auth/account/email/confirm";

pub(crate) struct ChangeMails<'a>(pub(crate) &'a Mails);

impl ChangeMails<'_> {
    fn url(&self, token: &Secret) -> String {
        format!("{}{PATH}?token={}", self.0.public_url, token.expose())
    }

    /// To the address that the account has.
    pub(crate) fn old_side(
        &self,
        to: &User,
        new: &Email,
        token: &Secret,
        from: Option<IpAddr>,
        lifetime: Period,
        now: Timestamp,
    ) -> Message {
        let (t, shared) = (Words::of(to.locale), super::Words::of(to.locale));
        let url = self.url(token);
        let letter = Letter {
            subject: fill(t.old_subject_site, &[&self.0.site]),
            paragraphs: vec![fill(t.old_text_site_email, &[&self.0.site, new.as_str()]), place(shared.from_where, from, now)],
            action: Some(Action { label: t.old_action, url: &url }),
            notes: vec![fill(shared.works_for_time, &[&span(shared, lifetime)]), t.old_not_you.to_owned()],
            ..self.0.letter("identity.email_change_old", to.locale, t.old_heading, now.plus(lifetime.get()))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    /// To the address that it is to have: somebody else may read it, so it does not say whose account.
    pub(crate) fn new_side(&self, whose: &User, to: &Email, token: &Secret, lifetime: Period, now: Timestamp) -> Message {
        let (t, shared) = (Words::of(whose.locale), super::Words::of(whose.locale));
        let url = self.url(token);
        let letter = Letter {
            subject: fill(t.new_subject_site, &[&self.0.site]),
            paragraphs: vec![fill(t.new_text_site, &[&self.0.site])],
            action: Some(Action { label: t.new_action, url: &url }),
            notes: vec![fill(shared.works_for_time, &[&span(shared, lifetime)]), shared.ignore.to_owned()],
            ..self.0.letter("identity.email_change_new", whose.locale, t.new_heading, now.plus(lifetime.get()))
        };
        letter.to(to.as_str()).about(whose.id)
    }

    /// Instead, where that address has an account.
    pub(crate) fn in_use(&self, to: &User, now: Timestamp) -> Message {
        let (t, shared) = (Words::of(to.locale), super::Words::of(to.locale));
        let url = format!("{}/auth/login", self.0.public_url);
        let letter = Letter {
            subject: fill(t.in_use_subject_site, &[&self.0.site]),
            paragraphs: vec![fill(t.in_use_text_site, &[&self.0.site])],
            action: Some(Action { label: t.in_use_action, url: &url }),
            notes: vec![shared.already_ignore.to_owned()],
            ..self.0.letter("identity.email_in_use", to.locale, t.in_use_heading, now.plus(NOTICE))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    /// To both, afterwards.
    pub(crate) fn changed(&self, whose: &User, to: &Email, new: &Email, from: Option<IpAddr>, now: Timestamp) -> Message {
        let (t, shared) = (Words::of(whose.locale), super::Words::of(whose.locale));
        let hint = crate::factors::hint(new.as_str());
        let letter = Letter {
            subject: fill(t.changed_subject_site, &[&self.0.site]),
            paragraphs: vec![
                fill(t.changed_text_site_hint, &[&self.0.site, &hint]),
                place(shared.from_where, from, now),
                t.changed_not_you.to_owned(),
            ],
            action: None,
            notes: Vec::new(),
            ..self.0.letter("identity.email_changed", whose.locale, t.changed_heading, now.plus(NOTICE))
        };
        letter.to(to.as_str()).about(whose.id)
    }

    /// All of them, to look at.
    pub(super) fn samples(&self, to: &User, locale: Locale, token: &Secret, from: Option<IpAddr>, now: Timestamp) -> Vec<Message> {
        let Ok(new) = "zoe.new@example.com".parse::<Email>() else { return Vec::new() };
        let (whose, lifetime) = (User { locale, ..to.clone() }, Period::from_secs(3_600));
        vec![
            self.old_side(&whose, &new, token, from, lifetime, now),
            self.new_side(&whose, &new, token, lifetime, now),
            self.in_use(&whose, now),
            self.changed(&whose, &whose.email, &new, from, now),
        ]
    }
}

#[test]
fn every_text_has_as_many_gaps_in_each_language() {
    crate::gaps::are_even(Words::all);
}
