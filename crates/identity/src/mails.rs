//! What identity writes to people, in their language. Links begin with the public URL, never with what a request said.

pub(crate) mod email_change;

use std::{net::IpAddr, time::Duration};

use baluarte_kernel::{ApiKeyId, Locale, Period, Secret, Timestamp, UserId};
use baluarte_notify::{Action, Channel, Letter, Message, NotifyError};
use baluarte_web::{fill, texts};

use crate::{ApiKey, Email, IdentityError, Role, factors::FactorMails, model::User, oidc::LoginMails};

texts! {
    /// The words of all mails. `{}` is filled with what the name of the word says.
    struct Words {
        footer_site: "This mail was sent by {}.", "Este correo lo envió {}.", "Este e-mail foi enviado por {}.";
        works_for_time: "The link works once, for {}.", "El enlace funciona una vez, durante {}.", "O link funciona uma vez, por {}.";
        ignore: "If this was not you, you can ignore this mail: nothing happens without the link.", "Si no fuiste tú, puedes ignorar este correo: sin el enlace no pasa nada.", "Se não foi você, pode ignorar este e-mail: sem o link nada acontece.";
        minutes: "{} minutes", "{} minutos", "{} minutos";
        hours: "{} hours", "{} horas", "{} horas";
        days: "{} days", "{} días", "{} dias";
        from_where: "From the address {}, at {} (UTC).", "Desde la dirección {}, el {} (UTC).", "Do endereço {}, em {} (UTC).";

        verify_subject_site: "Confirm your address for {}", "Confirma tu correo para {}", "Confirme o seu e-mail para {}";
        verify_heading: "Confirm your address", "Confirma tu correo", "Confirme o seu e-mail";
        verify_text_site: "Somebody, hopefully you, registered at {} with this address. Confirm that it is yours, and sign in with the password you chose.", "Alguien, esperamos que tú, se registró en {} con este correo. Confirma que es tuyo e inicia sesión con la contraseña que elegiste.", "Alguém, esperamos que você, se cadastrou em {} com este e-mail. Confirme que é seu e entre com a senha que escolheu.";
        verify_action: "Confirm the address", "Confirmar el correo", "Confirmar o e-mail";

        already_subject_site: "You already have an account at {}", "Ya tienes una cuenta en {}", "Você já tem uma conta em {}";
        already_heading: "You already have an account", "Ya tienes una cuenta", "Você já tem uma conta";
        already_text_site: "Somebody, perhaps you, tried to register at {} with this address. It already has an account, and nothing about it has changed. If it was you, sign in; if you forgot your password, you can choose a new one there.", "Alguien, quizá tú, intentó registrarse en {} con este correo. Ya tiene una cuenta y nada en ella ha cambiado. Si fuiste tú, inicia sesión; si olvidaste la contraseña, ahí puedes elegir una nueva.", "Alguém, talvez você, tentou se cadastrar em {} com este e-mail. Ele já tem uma conta e nada nela mudou. Se foi você, entre; se esqueceu a senha, lá você pode escolher uma nova.";
        already_action: "Sign in", "Iniciar sesión", "Entrar";
        already_ignore: "If this was not you, you can ignore this mail.", "Si no fuiste tú, puedes ignorar este correo.", "Se não foi você, pode ignorar este e-mail.";

        reset_subject_site: "Choose a new password for {}", "Elige una contraseña nueva para {}", "Escolha uma nova senha para {}";
        reset_heading: "Choose a new password", "Elige una contraseña nueva", "Escolha uma nova senha";
        reset_text_site: "Somebody asked for a new password for your account at {}. If it was you, choose it here; you will be signed out everywhere.", "Alguien pidió una contraseña nueva para tu cuenta en {}. Si fuiste tú, elígela aquí; se cerrarán todas tus sesiones.", "Alguém pediu uma nova senha para a sua conta em {}. Se foi você, escolha-a aqui; todas as suas sessões serão encerradas.";
        reset_action: "Choose a new password", "Elegir una contraseña nueva", "Escolher uma nova senha";
        reset_ignore: "If this was not you, you can ignore this mail: your password stays as it is.", "Si no fuiste tú, puedes ignorar este correo: tu contraseña sigue igual.", "Se não foi você, pode ignorar este e-mail: a sua senha continua a mesma.";

        required_subject_site: "Choose a new password for {}", "Elige una contraseña nueva para {}", "Escolha uma nova senha para {}";
        required_heading: "A new password is needed", "Hace falta una contraseña nueva", "É preciso uma nova senha";
        required_text_site: "Whoever runs {} has asked for a new password for your account. The old one does not work any more, and you were signed out everywhere. Nobody but you chooses the new one.", "Quien administra {} pidió una contraseña nueva para tu cuenta. La anterior ya no funciona y se cerraron todas tus sesiones. Nadie más que tú elige la nueva.", "Quem administra {} pediu uma nova senha para a sua conta. A anterior não funciona mais e todas as suas sessões foram encerradas. Ninguém além de você escolhe a nova.";
        required_later: "If the link is too old, ask for another one as if you had forgotten your password.", "Si el enlace es demasiado antiguo, pide otro como si hubieras olvidado la contraseña.", "Se o link for antigo demais, peça outro como se tivesse esquecido a senha.";

        link_subject_site: "Sign in to {}", "Inicia sesión en {}", "Entre em {}";
        link_heading: "Sign in", "Inicia sesión", "Entrar";
        link_text_site: "Somebody, hopefully you, asked for a link to sign in to {}. Open it in the browser where you asked; on another device, type this code there:", "Alguien, esperamos que tú, pidió un enlace para iniciar sesión en {}. Ábrelo en el navegador donde lo pediste; si estás en otro dispositivo, escribe ahí este código:", "Alguém, esperamos que você, pediu um link para entrar em {}. Abra-o no navegador onde pediu; se estiver em outro dispositivo, digite lá este código:";
        link_action: "Sign in", "Iniciar sesión", "Entrar";
        link_ignore: "If this was not you, you can ignore this mail. Give the code to nobody: no one from us will ask you for it.", "Si no fuiste tú, puedes ignorar este correo. No des el código a nadie: nadie de nuestra parte te lo pedirá.", "Se não foi você, pode ignorar este e-mail. Não passe o código a ninguém: ninguém da nossa parte vai pedi-lo.";

        invited_subject_site: "You are invited to {}", "Tienes una invitación a {}", "Você foi convidado para {}";
        invited_heading: "You are invited", "Tienes una invitación", "Você foi convidado";
        invited_text_site: "Whoever runs {} invites you to create an account there. Choose a name and a password, and it is yours.", "Quien administra {} te invita a crear una cuenta ahí. Elige un nombre y una contraseña, y es tuya.", "Quem administra {} convida você a criar uma conta lá. Escolha um nome e uma senha, e ela é sua.";
        invited_action: "Accept the invitation", "Aceptar la invitación", "Aceitar o convite";

        changed_subject_site: "Your password for {} was changed", "Se cambió tu contraseña de {}", "A sua senha de {} foi alterada";
        changed_heading: "Your password was changed", "Se cambió tu contraseña", "A sua senha foi alterada";
        changed_text_site: "The password of your account at {} has just been changed, and its other sessions were ended.", "La contraseña de tu cuenta en {} acaba de cambiar y sus otras sesiones se cerraron.", "A senha da sua conta em {} acaba de mudar e as outras sessões foram encerradas.";
        changed_not_you: "If this was not you, choose a new password at once: whoever did it can read your account.", "Si no fuiste tú, elige una contraseña nueva de inmediato: quien lo hizo puede leer tu cuenta.", "Se não foi você, escolha uma nova senha imediatamente: quem fez isso pode ler a sua conta.";
        changed_action: "This was not me", "No fui yo", "Não fui eu";

        new_place_subject_site: "New sign-in to {}", "Nuevo inicio de sesión en {}", "Nova entrada em {}";
        new_place_heading: "New sign-in", "Nuevo inicio de sesión", "Nova entrada";
        new_place_text_site: "Somebody signed in to your account at {} in a browser or from a network that is new for it.", "Alguien inició sesión en tu cuenta de {} con un navegador o desde una red que no habías usado.", "Alguém entrou na sua conta em {} com um navegador ou a partir de uma rede que você não havia usado.";
        new_place_device: "Device: {}", "Dispositivo: {}", "Dispositivo: {}";
        new_place_action: "End that session", "Cerrar esa sesión", "Encerrar essa sessão";
        unlock_subject_site: "Sign in to {} again", "Vuelve a iniciar sesión en {}", "Entre de novo em {}";
        unlock_heading: "Let me in", "Déjame entrar", "Deixe-me entrar";
        unlock_text_site: "There were too many wrong passwords for your account at {}, perhaps by somebody else. With this link you can sign in where you are now, with your password.", "Hubo demasiadas contraseñas incorrectas para tu cuenta de {}, quizá de otra persona. Con este enlace puedes iniciar sesión donde estás ahora, con tu contraseña.", "Houve senhas erradas demais para a sua conta em {}, talvez de outra pessoa. Com este link você pode entrar onde está agora, com a sua senha.";
        unlock_action: "Let me in", "Déjame entrar", "Deixe-me entrar";
        // Without letters that would halve the room in a text message (GSM 03.38 has neither ó nor ã).
        sms_code_code_site: "{} is your code for {}. Do not give it to anybody.", "{} es tu clave para {}. No la compartas con nadie.", "{} e a sua chave para {}. Nunca a passe a outra pessoa.";

        api_key_subject_site: "New API key for {}", "Nueva clave de API de {}", "Nova chave de API de {}";
        api_key_heading: "New API key", "Nueva clave de API", "Nova chave de API";
        api_key_text_name_site: "An API key with the name “{}” was made for your account at {}. Programs that have it act for you, within these scopes: {}.", "Se creó una clave de API con el nombre «{}» para tu cuenta de {}. Los programas que la tengan actúan por ti, con estos alcances: {}.", "Foi criada uma chave de API com o nome “{}” para a sua conta em {}. Os programas que a tiverem agem por você, com estes escopos: {}.";
        api_key_not_you: "If this was not you, revoke the key and choose a new password at once.", "Si no fuiste tú, revoca la clave y elige una contraseña nueva de inmediato.", "Se não foi você, revogue a chave e escolha uma nova senha imediatamente.";
        api_key_action: "Look at your API keys", "Ver tus claves de API", "Ver as suas chaves de API";
        new_place_not_you: "If this was you, there is nothing to do. If not, choose a new password at once.", "Si fuiste tú, no hay nada que hacer. Si no, elige una contraseña nueva de inmediato.", "Se foi você, não há nada a fazer. Se não, escolha uma nova senha imediatamente.";
    }
}

/// Writes mails in the name of one installation.
#[derive(Debug)]
pub(crate) struct Mails {
    public_url: String,
    /// What people know us by.
    site: String,
}

/// Notices about something that has happened are worth sending for so long.
pub(crate) const NOTICE: Duration = Duration::from_secs(3 * 86_400);

impl Mails {
    pub(crate) fn new(public_url: &str, brand: &str) -> Self {
        Self { public_url: public_url.to_owned(), site: brand.to_owned() }
    }

    /// Where a password is chosen with this token. The page takes it out of the address and into a form.
    pub(crate) fn reset_url(&self, token: &Secret) -> String {
        format!("{}/auth/reset-password?token={}", self.public_url, token.expose())
    }

    pub(crate) fn verify_email(&self, to: &User, locale: Locale, token: &Secret, lifetime: Period, now: Timestamp) -> Message {
        let words = Words::of(locale);
        let url = format!("{}/auth/verify-email?token={}", self.public_url, token.expose());
        let letter = Letter {
            subject: fill(words.verify_subject_site, &[&self.site]),
            paragraphs: vec![fill(words.verify_text_site, &[&self.site])],
            action: Some(Action { label: words.verify_action, url: &url }),
            notes: vec![fill(words.works_for_time, &[&span(words, lifetime)]), words.ignore.to_owned()],
            ..self.letter("identity.verify_email", locale, words.verify_heading, now.plus(lifetime.get()))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    pub(crate) fn already_registered(&self, to: &User, now: Timestamp) -> Message {
        let words = Words::of(to.locale);
        let url = format!("{}/auth/login", self.public_url);
        let letter = Letter {
            subject: fill(words.already_subject_site, &[&self.site]),
            paragraphs: vec![fill(words.already_text_site, &[&self.site])],
            action: Some(Action { label: words.already_action, url: &url }),
            notes: vec![words.already_ignore.to_owned()],
            ..self.letter("identity.already_registered", to.locale, words.already_heading, now.plus(NOTICE))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    pub(crate) fn reset_password(&self, to: &User, token: &Secret, lifetime: Period, now: Timestamp) -> Message {
        let words = Words::of(to.locale);
        let url = self.reset_url(token);
        let letter = Letter {
            subject: fill(words.reset_subject_site, &[&self.site]),
            paragraphs: vec![fill(words.reset_text_site, &[&self.site])],
            action: Some(Action { label: words.reset_action, url: &url }),
            notes: vec![fill(words.works_for_time, &[&span(words, lifetime)]), words.reset_ignore.to_owned()],
            ..self.letter("identity.reset_password", to.locale, words.reset_heading, now.plus(lifetime.get()))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    pub(crate) fn reset_required(&self, to: &User, token: &Secret, lifetime: Period, now: Timestamp) -> Message {
        let words = Words::of(to.locale);
        let url = self.reset_url(token);
        let letter = Letter {
            subject: fill(words.required_subject_site, &[&self.site]),
            paragraphs: vec![fill(words.required_text_site, &[&self.site])],
            action: Some(Action { label: words.reset_action, url: &url }),
            notes: vec![fill(words.works_for_time, &[&span(words, lifetime)]), words.required_later.to_owned()],
            ..self.letter("identity.reset_required", to.locale, words.required_heading, now.plus(lifetime.get()))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    pub(crate) fn magic_link(
        &self,
        to: &User,
        token: &Secret,
        code: &Secret,
        from: Option<IpAddr>,
        lifetime: Period,
        now: Timestamp,
    ) -> Message {
        let words = Words::of(to.locale);
        let url = format!("{}/auth/magic-link?token={}", self.public_url, token.expose());
        let letter = Letter {
            subject: fill(words.link_subject_site, &[&self.site]),
            paragraphs: vec![fill(words.link_text_site, &[&self.site])],
            code: Some(code.expose()),
            action: Some(Action { label: words.link_action, url: &url }),
            notes: vec![
                fill(words.works_for_time, &[&span(words, lifetime)]),
                place(words.from_where, from, now),
                words.link_ignore.to_owned(),
            ],
            ..self.letter("identity.magic_link", to.locale, words.link_heading, now.plus(lifetime.get()))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    /// Where an invitation is accepted.
    pub(crate) fn invitation_url(&self, token: &Secret) -> String {
        format!("{}/auth/invitation?token={}", self.public_url, token.expose())
    }

    pub(crate) fn invitation(&self, to: &Email, locale: Locale, url: &Secret, lifetime: Period, now: Timestamp) -> Message {
        let words = Words::of(locale);
        let letter = Letter {
            subject: fill(words.invited_subject_site, &[&self.site]),
            paragraphs: vec![fill(words.invited_text_site, &[&self.site])],
            action: Some(Action { label: words.invited_action, url: url.expose() }),
            notes: vec![fill(words.works_for_time, &[&span(words, lifetime)]), words.ignore.to_owned()],
            ..self.letter("identity.invitation", locale, words.invited_heading, now.plus(lifetime.get()))
        };
        letter.to(to.as_str())
    }

    pub(crate) fn password_changed(&self, to: &User, from: Option<IpAddr>, now: Timestamp) -> Message {
        let words = Words::of(to.locale);
        let url = format!("{}/auth/forgot-password", self.public_url);
        let letter = Letter {
            subject: fill(words.changed_subject_site, &[&self.site]),
            paragraphs: vec![
                fill(words.changed_text_site, &[&self.site]),
                place(words.from_where, from, now),
                words.changed_not_you.to_owned(),
            ],
            action: Some(Action { label: words.changed_action, url: &url }),
            notes: Vec::new(),
            ..self.letter("identity.password_changed", to.locale, words.changed_heading, now.plus(NOTICE))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    /// `token`: ends the session that it tells of.
    pub(crate) fn new_sign_in(&self, to: &User, device: Option<&str>, from: Option<IpAddr>, token: &Secret, now: Timestamp) -> Message {
        let words = Words::of(to.locale);
        let url = format!("{}/auth/end-session?token={}", self.public_url, token.expose());
        let letter = Letter {
            subject: fill(words.new_place_subject_site, &[&self.site]),
            paragraphs: vec![
                fill(words.new_place_text_site, &[&self.site]),
                fill(words.new_place_device, &[&crate::pages::device_name(to.locale, device)]),
                place(words.from_where, from, now),
                words.new_place_not_you.to_owned(),
            ],
            action: Some(Action { label: words.new_place_action, url: &url }),
            notes: Vec::new(),
            ..self.letter("identity.new_sign_in", to.locale, words.new_place_heading, now.plus(NOTICE))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    pub(crate) fn api_key_created(&self, to: &User, key: &ApiKey, from: Option<IpAddr>, now: Timestamp) -> Message {
        let words = Words::of(to.locale);
        let url = format!("{}/auth/account/api-keys", self.public_url);
        let letter = Letter {
            subject: fill(words.api_key_subject_site, &[&self.site]),
            paragraphs: vec![
                fill(words.api_key_text_name_site, &[&key.name, &self.site, &key.scopes.join(", ")]),
                place(words.from_where, from, now),
                words.api_key_not_you.to_owned(),
            ],
            action: Some(Action { label: words.api_key_action, url: &url }),
            notes: Vec::new(),
            ..self.letter("identity.api_key_created", to.locale, words.api_key_heading, now.plus(NOTICE))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    pub(crate) fn unlock(&self, to: &User, token: &Secret, lifetime: Period, now: Timestamp) -> Message {
        let words = Words::of(to.locale);
        let url = format!("{}/auth/unlock?token={}", self.public_url, token.expose());
        let letter = Letter {
            subject: fill(words.unlock_subject_site, &[&self.site]),
            paragraphs: vec![fill(words.unlock_text_site, &[&self.site])],
            action: Some(Action { label: words.unlock_action, url: &url }),
            notes: vec![fill(words.works_for_time, &[&span(words, lifetime)]), words.ignore.to_owned()],
            ..self.letter("identity.unlock", to.locale, words.unlock_heading, now.plus(lifetime.get()))
        };
        letter.to(to.email.as_str()).about(to.id)
    }

    /// What people know us by.
    pub(crate) fn site(&self) -> &str {
        &self.site
    }

    /// A page of ours.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// Where somebody goes whose password is known to others.
    pub(crate) fn forgot_url(&self) -> String {
        format!("{}/auth/forgot-password", self.public_url)
    }

    /// A code by text message. Its last line lets browsers offer the code on our own pages, and on no others.
    pub(crate) fn sms_code(&self, phone: &str, locale: Locale, code: &Secret, lifetime: Period, now: Timestamp) -> Message {
        let host = self.public_url.split_once("://").map_or(&*self.public_url, |(_, rest)| rest);
        let host = host.split([':', '/']).next().unwrap_or(host);
        // A letter that a text message lacks would halve its room.
        let site = if self.site.is_ascii() { &self.site } else { host };
        let text = fill(Words::of(locale).sms_code_code_site, &[code.expose(), site]);
        Message {
            channel: Channel::Sms,
            to: phone.to_owned(),
            locale,
            subject: String::new(),
            text: format!("{text}\n\n@{host} #{}", code.expose()),
            html: None,
            kind: "identity.sms_code",
            useful_until: now.plus(lifetime.get()),
            about: None,
        }
    }

    /// What all letters have in common.
    pub(crate) fn letter<'a>(&'a self, kind: &'static str, locale: Locale, heading: &'a str, useful_until: Timestamp) -> Letter<'a> {
        Letter {
            kind,
            locale,
            subject: String::new(),
            heading,
            paragraphs: Vec::new(),
            code: None,
            action: None,
            notes: Vec::new(),
            site: &self.site,
            footer: fill(Words::of(locale).footer_site, &[&self.site]),
            useful_until,
        }
    }
}

impl From<NotifyError> for IdentityError {
    fn from(err: NotifyError) -> Self {
        match err {
            NotifyError::Storage(storage) => Self::Storage(storage),
            NotifyError::Forbidden(denied) => Self::Forbidden(denied),
            NotifyError::Sms(refused) => Self::PhoneRefused(refused),
            // Only of messages that were written before.
            NotifyError::NotFound | NotifyError::CannotResend(_) => Self::Internal(err.to_string()),
        }
    }
}

/// Every message that identity sends, with made-up values: to look at.
pub fn samples(public_url: &str, brand: &str, locale: Locale, now: Timestamp) -> Vec<Message> {
    let (mails, token, code) =
        (Mails::new(public_url, brand), Secret::new("Xq3vT0aB9dKe7LmR2sWzY5nPcHgJu8fQ1iOtE4rVxS0"), Secret::new("482913"));
    let (Ok(email), Ok(name)) = ("zoe@example.com".parse(), "Zoë".parse()) else { return Vec::new() };
    let to = User {
        id: UserId::generate(),
        email,
        name,
        role: Role::user(),
        locale,
        email_verified_at: None,
        disabled_at: None,
        reset_required_at: None,
        last_sign_in_at: None,
        created_at: now,
    };
    let ip = Some(IpAddr::from([203, 0, 113, 7]));
    let mut all = vec![
        mails.verify_email(&to, locale, &token, Period::from_secs(86_400), now),
        mails.already_registered(&to, now),
        mails.reset_password(&to, &token, Period::from_secs(1_800), now),
        mails.reset_required(&to, &token, Period::from_secs(86_400), now),
        mails.password_changed(&to, ip, now),
        mails.new_sign_in(&to, Some("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"), ip, &token, now),
        mails.unlock(&to, &token, Period::from_secs(1_800), now),
    ];
    let key = ApiKey {
        id: ApiKeyId::generate(),
        name: "Nightly export".to_owned(),
        hint: "blt_4fQz".to_owned(),
        scopes: vec!["app".to_owned(), "jobs".to_owned()],
        created_at: now,
        expires_at: now.plus(NOTICE),
        last_used_at: None,
        replaced_by: None,
    };
    all.push(mails.api_key_created(&to, &key, ip, now));
    all.extend(FactorMails(&mails).samples(&to, &code, ip, now));
    all.push(mails.magic_link(&to, &token, &Secret::new("48291357"), ip, Period::from_secs(600), now));
    let invitation = Secret::new(mails.invitation_url(&token));
    all.push(mails.invitation(&to.email, locale, &invitation, Period::from_secs(7 * 86_400), now));
    all.extend(email_change::ChangeMails(&mails).samples(&to, locale, &token, ip, now));
    all.extend(LoginMails(&mails).samples(&to, ip, now));
    all.push(mails.sms_code("+351912345678", locale, &code, Period::from_secs(600), now));
    all
}

/// From where and when, filled into a sentence.
pub(crate) fn place(text: &str, from: Option<IpAddr>, at: Timestamp) -> String {
    let from = from.map_or_else(|| "?".to_owned(), |ip| ip.to_canonical().to_string());
    let at = Timestamp::from_unix_seconds(at.unix_seconds()).to_string().replace('T', " ").replace('Z', "");
    fill(text, &[&from, &at])
}

/// In whole units, the largest that fits; one of a unit is told in the next smaller one.
fn span(words: &Words, lifetime: Period) -> String {
    let minutes = lifetime.get().as_secs() / 60;
    let (text, count) = match minutes {
        2_880.. => (words.days, minutes / 1_440),
        120.. => (words.hours, minutes / 60),
        _ => (words.minutes, minutes.max(1)),
    };
    fill(text, &[&count.to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(locale: Locale) -> Vec<Message> {
        samples("https://shop.example:8443/base", "Tienda Añil", locale, Timestamp::from_unix_seconds(1_800_000_000))
    }

    const TOKEN: &str = "Xq3vT0aB9dKe7LmR2sWzY5nPcHgJu8fQ1iOtE4rVxS0";

    #[test]
    fn every_mail_exists_in_every_language_and_in_both_forms() {
        for locale in Locale::ALL {
            assert!(Words::all(locale).iter().all(|(_, word)| !word.is_empty()));
            for mail in all(locale) {
                let Some(html) = mail.html else { continue };
                for form in [&mail.text, &html] {
                    assert!(!form.contains("{}"), "{}: {form}", mail.kind);
                }
                assert!(html.contains(&format!("lang=\"{}\"", locale.tag())));
            }
        }
    }

    #[test]
    fn mails_call_the_product_by_its_name_and_only_links_hold_its_address() {
        for mail in Locale::ALL.into_iter().flat_map(all).filter(|mail| mail.channel == Channel::Email) {
            let said = mail.text.split_whitespace().filter(|word| !word.starts_with("https://")).collect::<Vec<_>>().join(" ");
            for words in [&mail.subject, &said] {
                assert!(words.contains("Tienda Añil") && !words.contains("shop.example"), "{}: {words}", mail.kind);
            }
        }
    }

    #[test]
    fn links_begin_with_the_public_url_and_only_the_link_holds_the_token() {
        for mail in all(Locale::En) {
            for link in mail.text.split_whitespace().filter(|word| word.starts_with("https://")) {
                assert!(link.starts_with("https://shop.example:8443/base/auth/"), "{link}");
            }
            let with_token = mail.text.split_whitespace().filter(|word| word.contains(TOKEN)).all(|word| word.starts_with("https://"));
            assert!(with_token && !mail.subject.contains(TOKEN), "{}", mail.text);
        }
        let reset = &all(Locale::En)[2];
        assert!(reset.text.contains(&format!("/auth/reset-password?token={TOKEN}")) && reset.text.contains("30 minutes"), "{}", reset.text);
    }

    /// One letter outside of GSM 03.38 makes two messages of one, and doubles the price.
    #[test]
    fn a_code_by_text_message_fits_into_one_and_names_our_site_to_browsers() {
        for locale in Locale::ALL {
            let sms = all(locale).pop().unwrap();
            assert_eq!(sms.channel, Channel::Sms);
            assert!(sms.text.is_ascii() && sms.text.len() <= 160, "{}", sms.text);
            assert!(sms.text.ends_with("\n\n@shop.example #482913"), "{}", sms.text);
        }
    }

    #[test]
    fn a_code_stands_in_the_mail_once_where_it_is_seen_and_in_the_subject() {
        let mails = all(Locale::En);
        let code = mails.iter().find(|mail| mail.kind == "identity.factor_code").unwrap();
        assert!(code.subject.starts_with("482913 "));
        assert_eq!((code.text.matches("482913").count(), code.html.as_ref().unwrap().matches("482913").count()), (1, 1));
    }
}
