//! Identity's problem codes, and the only place where its errors meet status codes.

use std::time::Duration;

use baluarte_db::DbError;
use baluarte_web::{
    Problem, ProblemDoc,
    problem::{INVALID_FIELDS, UNAVAILABLE},
};
use http::{HeaderValue, header};

use crate::IdentityError;

baluarte_web::problems! {
    REGISTRATION_CLOSED = FORBIDDEN "identity.registration_closed" {
        title: "Nobody can register here", "Aquí nadie puede registrarse", "Ninguém pode se cadastrar aqui";
        explanation: "Accounts are made by whoever runs this site.", "Las cuentas las crea quien administra este sitio.", "As contas são criadas por quem administra este site.";
        remedy: "Ask them for an account.", "Pídele una cuenta.", "Peça uma conta a essa pessoa.";
    }
    INVITATION_NEEDED = FORBIDDEN "identity.invitation_needed" {
        title: "You need an invitation", "Necesitas una invitación", "Você precisa de um convite";
        explanation: "Accounts here are by invitation.", "Aquí las cuentas son por invitación.", "As contas aqui são por convite.";
        remedy: "Ask whoever runs this site for one.", "Pídela a quien administra este sitio.", "Peça um a quem administra este site.";
    }
    EMAIL_TAKEN = CONFLICT "identity.email_taken" {
        title: "Address already in use", "Correo ya en uso", "E-mail já em uso";
        explanation: "There is already an account with this e-mail address.", "Ya existe una cuenta con este correo.", "Já existe uma conta com este e-mail.";
        remedy: "Sign in, or choose a new password if you forgot it.", "Inicia sesión o elige una contraseña nueva si la olvidaste.", "Entre ou escolha uma nova senha se esqueceu a sua.";
    }
    BAD_PASSWORD = UNPROCESSABLE_ENTITY "identity.bad_password" {
        title: "That password cannot be used", "Esa contraseña no se puede usar", "Essa senha não pode ser usada";
        explanation: "It is too short, too long, too common, or the account's own address or name.", "Es demasiado corta, demasiado larga, demasiado común, o es el correo o el nombre de la cuenta.", "É curta demais, longa demais, comum demais, ou é o e-mail ou o nome da conta.";
        remedy: "Choose another one; a few words in a row are a good start.", "Elige otra; varias palabras seguidas son un buen comienzo.", "Escolha outra; algumas palavras seguidas são um bom começo.";
    }
    WRONG_CREDENTIALS = UNAUTHORIZED "identity.wrong_credentials" {
        title: "Wrong address or password", "Correo o contraseña incorrectos", "E-mail ou senha incorretos";
        explanation: "The address and the password do not go together.", "El correo y la contraseña no coinciden.", "O e-mail e a senha não combinam.";
        remedy: "Check both, or choose a new password.", "Revisa ambos o elige una contraseña nueva.", "Confira os dois ou escolha uma nova senha.";
    }
    WRONG_PASSWORD = UNPROCESSABLE_ENTITY "identity.wrong_password" {
        title: "Wrong password", "Contraseña incorrecta", "Senha incorreta";
        explanation: "The current password is not right.", "La contraseña actual no es correcta.", "A senha atual não está correta.";
        remedy: "Enter the password that the account has now.", "Escribe la contraseña que la cuenta tiene ahora.", "Digite a senha que a conta tem agora.";
    }
    EMAIL_NOT_VERIFIED = FORBIDDEN "identity.email_not_verified" {
        title: "Confirm your address first", "Primero confirma tu correo", "Primeiro confirme o seu e-mail";
        explanation: "The address of this account has not been confirmed yet.", "El correo de esta cuenta aún no se ha confirmado.", "O e-mail desta conta ainda não foi confirmado.";
        remedy: "Open the link in the mail that we sent, or ask for a new one.", "Abre el enlace del correo que enviamos o pide uno nuevo.", "Abra o link do e-mail que enviamos ou peça um novo.";
    }
    ACCOUNT_DISABLED = FORBIDDEN "identity.account_disabled" {
        title: "This account is disabled", "Esta cuenta está desactivada", "Esta conta está desativada";
        explanation: "Whoever runs this site has disabled the account.", "Quien administra este sitio desactivó la cuenta.", "Quem administra este site desativou a conta.";
        remedy: "Contact them.", "Contacta con esa persona.", "Fale com essa pessoa.";
    }
    TOO_MANY_ATTEMPTS = TOO_MANY_REQUESTS "identity.too_many_attempts" {
        title: "Too many failed attempts", "Demasiados intentos fallidos", "Tentativas demais sem sucesso";
        explanation: "There were too many wrong passwords for this account from where you are.", "Hubo demasiadas contraseñas incorrectas para esta cuenta desde donde estás.", "Houve senhas erradas demais para esta conta a partir de onde você está.";
        remedy: "Wait a little, or choose a new password.", "Espera un poco o elige una contraseña nueva.", "Espere um pouco ou escolha uma nova senha.";
    }
    BUSY = SERVICE_UNAVAILABLE "identity.busy" {
        title: "Too many sign-ins at once", "Demasiados inicios de sesión a la vez", "Muitas entradas ao mesmo tempo";
        explanation: "More passwords are waiting to be checked than this server can check right now.", "Hay más contraseñas por comprobar de las que este servidor puede comprobar ahora.", "Há mais senhas esperando verificação do que este servidor consegue verificar agora.";
        remedy: "Try again in a few seconds.", "Inténtalo de nuevo en unos segundos.", "Tente de novo em alguns segundos.";
    }
    REFRESH_INVALID = UNAUTHORIZED "identity.refresh_invalid" {
        title: "The refresh token is not valid", "El token de refresco no es válido", "O token de atualização não é válido";
        explanation: "It is damaged, expired, or its session has ended.", "Está dañado, caducado o su sesión ha terminado.", "Está danificado, vencido ou a sessão terminou.";
        remedy: "Sign in again.", "Inicia sesión de nuevo.", "Entre de novo.";
    }
    REFRESH_REUSED = UNAUTHORIZED "identity.refresh_reused" {
        title: "The refresh token was used before", "El token de refresco ya se usó", "O token de atualização já foi usado";
        explanation: "Somebody may have a copy of it, so the session has been ended.", "Alguien puede tener una copia, así que la sesión se cerró.", "Alguém pode ter uma cópia, então a sessão foi encerrada.";
        remedy: "Sign in again. If this was not your own program, change your password.", "Inicia sesión de nuevo. Si no fue un programa tuyo, cambia tu contraseña.", "Entre de novo. Se não foi um programa seu, mude a sua senha.";
    }
    LINK_INVALID = UNPROCESSABLE_ENTITY "identity.link_invalid" {
        title: "This link does not work any more", "Este enlace ya no funciona", "Este link não funciona mais";
        explanation: "It was used already, is too old, or a newer one was sent.", "Ya se usó, es demasiado antiguo o se envió otro más nuevo.", "Já foi usado, é antigo demais ou um mais novo foi enviado.";
        remedy: "Ask for a new one.", "Pide uno nuevo.", "Peça um novo.";
    }
    USER_NOT_FOUND = NOT_FOUND "identity.user_not_found" {
        title: "No such user", "No existe ese usuario", "Esse usuário não existe";
        explanation: "There is no account with this identifier.", "No hay ninguna cuenta con este identificador.", "Não há conta com este identificador.";
        remedy: "Check the identifier.", "Revisa el identificador.", "Confira o identificador.";
    }
    SESSION_NOT_FOUND = NOT_FOUND "identity.session_not_found" {
        title: "No such session", "No existe esa sesión", "Essa sessão não existe";
        explanation: "It has ended already, or was never yours.", "Ya terminó o nunca fue tuya.", "Já terminou ou nunca foi sua.";
        remedy: "Look at the list of sessions again.", "Mira de nuevo la lista de sesiones.", "Veja de novo a lista de sessões.";
    }
    LAST_ADMIN = CONFLICT "identity.last_admin" {
        title: "Somebody has to stay administrator", "Alguien tiene que seguir siendo administrador", "Alguém tem que continuar administrador";
        explanation: "This is the only administrator.", "Es el único administrador.", "É o único administrador.";
        remedy: "Make somebody else administrator first.", "Nombra antes a otro administrador.", "Nomeie antes outro administrador.";
    }
}

impl From<IdentityError> for Problem {
    fn from(err: IdentityError) -> Self {
        match err {
            IdentityError::RegistrationClosed => Self::of(&REGISTRATION_CLOSED),
            IdentityError::InvitationNeeded => Self::of(&INVITATION_NEEDED),
            IdentityError::EmailTaken => Self::of(&EMAIL_TAKEN).field("/email", "already has an account"),
            IdentityError::BadPassword(bad) => Self::of(&BAD_PASSWORD).field("/password", bad.to_string()),
            IdentityError::WrongCredentials => unauthorized(&WRONG_CREDENTIALS),
            IdentityError::WrongPassword => Self::of(&WRONG_PASSWORD).field("/password", "is not the current password"),
            IdentityError::EmailNotVerified => Self::of(&EMAIL_NOT_VERIFIED),
            IdentityError::AccountDisabled => Self::of(&ACCOUNT_DISABLED),
            IdentityError::TooManyAttempts { retry_after } => Self::of(&TOO_MANY_ATTEMPTS).retry_after(retry_after),
            IdentityError::Busy => Self::of(&BUSY).retry_after(Duration::from_secs(2)),
            IdentityError::RefreshInvalid => unauthorized(&REFRESH_INVALID),
            IdentityError::RefreshReused => unauthorized(&REFRESH_REUSED),
            IdentityError::LinkInvalid => Self::of(&LINK_INVALID).field("/token", "is not valid any more"),
            IdentityError::UserNotFound(_) => Self::of(&USER_NOT_FOUND),
            IdentityError::SessionNotFound => Self::of(&SESSION_NOT_FOUND),
            IdentityError::LastAdmin => Self::of(&LAST_ADMIN),
            IdentityError::BadCursor(bad) => Self::of(&INVALID_FIELDS).field("cursor", bad.to_string()),
            IdentityError::Forbidden(denied) => Self::forbidden(&denied),
            IdentityError::Internal(_) => Self::internal(&err),
            IdentityError::Storage(DbError::Unavailable(_)) => Self::of(&UNAVAILABLE).retry_after(Duration::from_secs(5)),
            IdentityError::Storage(_) => Self::internal(&err),
        }
    }
}

/// Every 401 names a way to authenticate (RFC 9110, 15.5.2).
fn unauthorized(doc: &'static ProblemDoc) -> Problem {
    Problem::of(doc).header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}
