//! What is written to people about second factors.

use std::net::IpAddr;

use baluarte_kernel::{Secret, Timestamp};
use baluarte_notify::{Action, Letter, Message};
use baluarte_web::{fill, texts};

use super::FactorKind;
use crate::{
    mails::{Mails, NOTICE},
    model::User,
};

texts! {
    /// The words of mails about second factors.
    struct Words {
        code_heading: "Your sign-in code", "Tu código para iniciar sesión", "O seu código para entrar";
        code_text_site: "Somebody, hopefully you, is signing in to {} with your password. Type this code to go on:", "Alguien, esperamos que tú, está iniciando sesión en {} con tu contraseña. Escribe este código para continuar:", "Alguém, esperamos que você, está entrando em {} com a sua senha. Digite este código para continuar:";
        code_not_you: "If this was not you, somebody knows your password: choose a new one at once.", "Si no fuiste tú, alguien conoce tu contraseña: elige una nueva de inmediato.", "Se não foi você, alguém conhece a sua senha: escolha uma nova imediatamente.";
        code_subject_code_site: "{} is your code for {}", "{} es tu código para {}", "{} é o seu código para {}";
        confirm_heading: "Confirm that it is you", "Confirma que eres tú", "Confirme que é você";
        confirm_text_site: "Somebody, hopefully you, is signed in to {} and was asked to show again who they are. Type this code to go on:", "Alguien, esperamos que tú, tiene una sesión en {} y se le pidió demostrar de nuevo quién es. Escribe este código para continuar:", "Alguém, esperamos que você, está com uma sessão em {} e precisa mostrar de novo quem é. Digite este código para continuar:";
        enrol_heading: "Confirm this address for codes", "Confirma este correo para códigos", "Confirme este e-mail para códigos";
        enrol_text_site: "Type this code at {} to receive codes at this address from now on.", "Escribe este código en {} para recibir códigos en este correo a partir de ahora.", "Digite este código em {} para receber códigos neste e-mail a partir de agora.";
        code_works_minutes: "It works once, for {} minutes. Nobody from us will ever ask you for it.", "Funciona una vez, durante {} minutos. Nadie de nuestra parte te lo pedirá jamás.", "Funciona uma vez, por {} minutos. Ninguém da nossa parte vai pedi-lo a você.";

        added_subject_site: "Two-step sign-in is on for {}", "Verificación en dos pasos activada en {}", "Verificação em duas etapas ativada em {}";
        added_heading: "A second step was added", "Se añadió un segundo paso", "Uma segunda etapa foi adicionada";
        added_text_what_site: "{} is now asked for when you sign in to {}. Other devices were signed out.", "{} se pide ahora al iniciar sesión en {}. Los demás dispositivos cerraron sesión.", "{} agora é pedido ao entrar em {}. Os outros dispositivos foram desconectados.";
        removed_subject_site: "A second step was removed from {}", "Se quitó un segundo paso de {}", "Uma segunda etapa foi removida de {}";
        removed_heading: "A second step was removed", "Se quitó un segundo paso", "Uma segunda etapa foi removida";
        removed_text_what_site: "{} is no longer asked for when you sign in to {}. Other devices were signed out.", "{} ya no se pide al iniciar sesión en {}. Los demás dispositivos cerraron sesión.", "{} não é mais pedido ao entrar em {}. Os outros dispositivos foram desconectados.";
        reset_text_site: "Whoever runs {} removed all second steps from your account and signed it out everywhere. Set them up again the next time you sign in.", "Quien administra {} quitó todos los segundos pasos de tu cuenta y cerró todas sus sesiones. Configúralos de nuevo la próxima vez que inicies sesión.", "Quem administra {} removeu todas as segundas etapas da sua conta e encerrou todas as sessões. Configure-as de novo na próxima vez que entrar.";
        taken_text_site_what: "Whoever runs {} removed a second step from your account because it was said to be lost: {}. Your account was signed out everywhere.", "Quien administra {} quitó un segundo paso de tu cuenta porque se dijo que se perdió: {}. Se cerraron todas tus sesiones.", "Quem administra {} removeu uma segunda etapa da sua conta porque se disse que foi perdida: {}. Todas as suas sessões foram encerradas.";
        totp: "A code from an authenticator app", "Un código de una aplicación de autenticación", "Um código de um aplicativo autenticador";
        email: "A code by e-mail", "Un código por correo", "Um código por e-mail";
        passkey: "A passkey", "Una llave de acceso", "Uma chave de acesso";
        passkey_subject_site: "A passkey was added to your account at {}", "Se añadió una llave de acceso a tu cuenta de {}", "Uma chave de acesso foi adicionada à sua conta em {}";
        passkey_heading: "A passkey was added", "Se añadió una llave de acceso", "Uma chave de acesso foi adicionada";
        passkey_text_name_site: "“{}” can sign in to your account at {} from now on, without a password.", "«{}» puede iniciar sesión en tu cuenta de {} a partir de ahora, sin contraseña.", "“{}” pode entrar na sua conta em {} a partir de agora, sem senha.";
        sms: "A code by text message", "Un código por SMS", "Um código por SMS";
        phone_subject_site: "Text messages of {} go to another number", "Los SMS de {} van a otro número", "Os SMS de {} vão para outro número";
        phone_heading: "Your codes go to another number", "Tus códigos van a otro número", "Os seus códigos vão para outro número";
        phone_text_site_hint: "Codes for {} are now sent to {}. Other devices were signed out.", "Los códigos de {} se envían ahora a {}. Los demás dispositivos cerraron sesión.", "Os códigos de {} agora são enviados para {}. Os outros dispositivos foram desconectados.";

        recovery_subject_site: "A recovery code was used at {}", "Se usó un código de recuperación en {}", "Um código de recuperação foi usado em {}";
        recovery_heading: "A recovery code was used", "Se usó un código de recuperación", "Um código de recuperação foi usado";
        recovery_text_site_left: "Somebody signed in to your account at {} with a recovery code. Codes left: {}.", "Alguien inició sesión en tu cuenta de {} con un código de recuperación. Códigos restantes: {}.", "Alguém entrou na sua conta em {} com um código de recuperação. Códigos restantes: {}.";
        renewed_subject_site: "New recovery codes for {}", "Códigos de recuperación nuevos para {}", "Novos códigos de recuperação para {}";
        renewed_heading: "Your recovery codes were replaced", "Tus códigos de recuperación se reemplazaron", "Os seus códigos de recuperação foram substituídos";
        renewed_text_site: "New recovery codes were made for your account at {}. The earlier ones do not work any more.", "Se generaron códigos de recuperación nuevos para tu cuenta de {}. Los anteriores ya no funcionan.", "Novos códigos de recuperação foram gerados para a sua conta em {}. Os anteriores não funcionam mais.";

        failing_subject_site: "Somebody knows your password for {}", "Alguien conoce tu contraseña de {}", "Alguém conhece a sua senha de {}";
        failing_heading: "Somebody knows your password", "Alguien conoce tu contraseña", "Alguém conhece a sua senha";
        failing_text_site: "Somebody gave your password for {} and then many wrong codes. They did not get in. If it was not you, choose a new password.", "Alguien escribió tu contraseña de {} y después muchos códigos incorrectos. No logró entrar. Si no fuiste tú, elige una contraseña nueva.", "Alguém digitou a sua senha de {} e depois muitos códigos errados. Não conseguiu entrar. Se não foi você, escolha uma nova senha.";

        from_where: "From the address {}, at {} (UTC).", "Desde la dirección {}, el {} (UTC).", "Do endereço {}, em {} (UTC).";
        not_you: "If this was not you, choose a new password at once.", "Si no fuiste tú, elige una contraseña nueva de inmediato.", "Se não foi você, escolha uma nova senha imediatamente.";
        choose: "Choose a new password", "Elegir una contraseña nueva", "Escolher uma nova senha";
    }
}

/// What a code is typed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeFor {
    SignIn,
    /// Somebody makes the address a factor.
    Enrol,
    /// Somebody signed in shows that it is still them.
    Confirm,
}

/// Mails about second factors, in the name of one installation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FactorMails<'a>(pub(crate) &'a Mails);

impl FactorMails<'_> {
    /// `until`: when the code is over.
    pub(crate) fn code(self, to: &User, code: &Secret, what: CodeFor, until: Timestamp, now: Timestamp) -> Message {
        let t = Words::of(to.locale);
        let minutes = until.since(now).as_secs().div_ceil(60).max(1).to_string();
        let subject = fill(t.code_subject_code_site, &[code.expose(), self.0.site()]);
        let (heading, text) = match what {
            CodeFor::SignIn => (t.code_heading, t.code_text_site),
            CodeFor::Enrol => (t.enrol_heading, t.enrol_text_site),
            CodeFor::Confirm => (t.confirm_heading, t.confirm_text_site),
        };
        let works = fill(t.code_works_minutes, &[&minutes]);
        let letter = Letter {
            subject,
            paragraphs: vec![fill(text, &[self.0.site()])],
            code: Some(code.expose()),
            notes: if what == CodeFor::SignIn { vec![works, t.code_not_you.to_owned()] } else { vec![works] },
            ..self.0.letter("identity.factor_code", to.locale, heading, until)
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    pub(crate) fn added(self, to: &User, kind: FactorKind, from: Option<IpAddr>, now: Timestamp) -> Message {
        let t = Words::of(to.locale);
        let text = fill(t.added_text_what_site, &[what(t, kind), self.0.site()]);
        self.notice(to, ("identity.factor_added", t.added_subject_site, t.added_heading), text, Some((from, now)), now)
    }

    pub(crate) fn removed(self, to: &User, kind: FactorKind, from: Option<IpAddr>, now: Timestamp) -> Message {
        let t = Words::of(to.locale);
        let text = fill(t.removed_text_what_site, &[what(t, kind), self.0.site()]);
        self.notice(to, ("identity.factor_removed", t.removed_subject_site, t.removed_heading), text, Some((from, now)), now)
    }

    /// Besides those that there were.
    pub(crate) fn another_passkey(self, to: &User, name: &str, from: Option<IpAddr>, now: Timestamp) -> Message {
        let t = Words::of(to.locale);
        let text = fill(t.passkey_text_name_site, &[name, self.0.site()]);
        self.notice(to, ("identity.passkey_added", t.passkey_subject_site, t.passkey_heading), text, Some((from, now)), now)
    }

    /// `hint`: the new number, mostly hidden.
    pub(crate) fn phone_changed(self, to: &User, hint: &str, from: Option<IpAddr>, now: Timestamp) -> Message {
        let t = Words::of(to.locale);
        let text = fill(t.phone_text_site_hint, &[self.0.site(), hint]);
        self.notice(to, ("identity.phone_changed", t.phone_subject_site, t.phone_heading), text, Some((from, now)), now)
    }

    /// By somebody who helps to run the place.
    pub(crate) fn taken(self, to: &User, kind: FactorKind, now: Timestamp) -> Message {
        let t = Words::of(to.locale);
        let text = fill(t.taken_text_site_what, &[self.0.site(), what(t, kind)]);
        self.notice(to, ("identity.factor_taken", t.removed_subject_site, t.removed_heading), text, None, now)
    }

    pub(crate) fn reset(self, to: &User, now: Timestamp) -> Message {
        let t = Words::of(to.locale);
        let text = fill(t.reset_text_site, &[self.0.site()]);
        self.notice(to, ("identity.factors_reset", t.removed_subject_site, t.removed_heading), text, None, now)
    }

    pub(crate) fn recovery_used(self, to: &User, left: u32, from: Option<IpAddr>, now: Timestamp) -> Message {
        let t = Words::of(to.locale);
        let text = fill(t.recovery_text_site_left, &[self.0.site(), &left.to_string()]);
        self.notice(to, ("identity.recovery_used", t.recovery_subject_site, t.recovery_heading), text, Some((from, now)), now)
    }

    pub(crate) fn recovery_renewed(self, to: &User, from: Option<IpAddr>, now: Timestamp) -> Message {
        let t = Words::of(to.locale);
        let text = fill(t.renewed_text_site, &[self.0.site()]);
        self.notice(to, ("identity.recovery_renewed", t.renewed_subject_site, t.renewed_heading), text, Some((from, now)), now)
    }

    pub(crate) fn failing(self, to: &User, from: Option<IpAddr>, now: Timestamp) -> Message {
        let t = Words::of(to.locale);
        let text = fill(t.failing_text_site, &[self.0.site()]);
        self.notice(to, ("identity.factor_failing", t.failing_subject_site, t.failing_heading), text, Some((from, now)), now)
    }

    /// `(kind, subject, heading)`, what happened, and from where.
    fn notice(
        self,
        to: &User,
        (kind, subject, heading): (&'static str, &str, &str),
        text: String,
        place: Option<(Option<IpAddr>, Timestamp)>,
        now: Timestamp,
    ) -> Message {
        let t = Words::of(to.locale);
        let url = self.0.forgot_url();
        let mut paragraphs = vec![text];
        if let Some((from, at)) = place {
            paragraphs.push(crate::mails::place(t.from_where, from, at));
        }
        paragraphs.push(t.not_you.to_owned());
        let action = Some(Action { label: t.choose, url: &url });
        let subject = fill(subject, &[self.0.site()]);
        let letter = Letter { subject, paragraphs, action, ..self.0.letter(kind, to.locale, heading, now.plus(NOTICE)) };
        letter.to(to.email.as_str()).about(to.id)
    }

    /// One of each.
    pub(crate) fn samples(self, to: &User, code: &Secret, from: Option<IpAddr>, now: Timestamp) -> Vec<Message> {
        vec![
            self.code(to, code, CodeFor::SignIn, now.plus(std::time::Duration::from_secs(600)), now),
            self.code(to, code, CodeFor::Enrol, now.plus(std::time::Duration::from_secs(600)), now),
            self.code(to, code, CodeFor::Confirm, now.plus(std::time::Duration::from_secs(600)), now),
            self.added(to, FactorKind::Totp, from, now),
            self.added(to, FactorKind::Sms, from, now),
            self.added(to, FactorKind::Passkey, from, now),
            self.another_passkey(to, "Chrome on Linux", from, now),
            self.removed(to, FactorKind::Totp, from, now),
            self.phone_changed(to, "+351•••78", from, now),
            self.taken(to, FactorKind::Totp, now),
            self.reset(to, now),
            self.recovery_used(to, 7, from, now),
            self.recovery_renewed(to, from, now),
            self.failing(to, from, now),
        ]
    }
}

fn what(t: &'static Words, kind: FactorKind) -> &'static str {
    match kind {
        FactorKind::Totp => t.totp,
        FactorKind::Email => t.email,
        FactorKind::Sms => t.sms,
        FactorKind::Passkey => t.passkey,
    }
}
