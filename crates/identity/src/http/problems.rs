//! Identity's problem codes, and the only place where its errors meet status codes.

use std::time::Duration;

use baluarte_db::DbError;
use baluarte_notify::NotifyError;
use baluarte_web::{
    Problem, ProblemDoc,
    problem::{INVALID_FIELDS, UNAVAILABLE},
};
use http::{HeaderValue, header};

use crate::{IdentityError, LoginError};

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
    RESET_REQUIRED = FORBIDDEN "identity.password_reset_required" {
        title: "Choose a new password first", "Primero elige una contraseña nueva", "Primeiro escolha uma nova senha";
        explanation: "Whoever runs this site has asked for a new password for this account; the old one does not work any more. A link to choose it was mailed to the account's address.", "Quien administra este sitio pidió una contraseña nueva para esta cuenta; la anterior ya no funciona. Se envió un enlace para elegirla al correo de la cuenta.", "Quem administra este site pediu uma nova senha para esta conta; a anterior não funciona mais. Um link para escolhê-la foi enviado ao e-mail da conta.";
        remedy: "Open the link in the mail, or ask for a new one as if you had forgotten the password.", "Abre el enlace del correo o pide uno nuevo como si hubieras olvidado la contraseña.", "Abra o link do e-mail ou peça um novo como se tivesse esquecido a senha.";
    }
    OUTRANKED = FORBIDDEN "identity.outranked" {
        title: "That is above your role", "Eso está por encima de tu rol", "Isso está acima da sua função";
        explanation: "Nobody acts on somebody with a higher role, or gives a role higher than their own.", "Nadie actúa sobre alguien con un rol superior ni da un rol superior al suyo.", "Ninguém age sobre alguém com uma função superior nem dá uma função superior à sua.";
        remedy: "Ask somebody with that role, or the operator at the command line.", "Pídelo a alguien con ese rol o a quien opera el servidor.", "Peça a alguém com essa função ou a quem opera o servidor.";
    }
    LAST_OWNER = CONFLICT "identity.last_owner" {
        title: "Somebody has to stay owner", "Alguien tiene que seguir siendo propietario", "Alguém tem que continuar proprietário";
        explanation: "This is the only owner.", "Es el único propietario.", "É o único proprietário.";
        remedy: "Make somebody else owner first.", "Nombra antes a otro propietario.", "Nomeie antes outro proprietário.";
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
    SAME_EMAIL = UNPROCESSABLE_ENTITY "identity.same_email" {
        title: "That is your address already", "Ese ya es tu correo", "Esse já é o seu e-mail";
        explanation: "The account has this address now.", "La cuenta ya tiene ese correo.", "A conta já tem esse e-mail.";
        remedy: "Enter another one.", "Escribe otro.", "Digite outro.";
    }
    NO_MAIL = CONFLICT "identity.no_mail" {
        title: "No mail can be sent from here", "Desde aquí no se puede enviar correo", "Daqui não dá para enviar e-mail";
        explanation: "This needs a link by mail, and this installation has no mail provider.", "Hace falta un enlace por correo y esta instalación no tiene proveedor de correo.", "É preciso um link por e-mail, e esta instalação não tem provedor de e-mail.";
        remedy: "Ask whoever runs this site.", "Contacta con quien administra este sitio.", "Fale com quem administra este site.";
    }
    MAGIC_LINKS_OFF = FORBIDDEN "identity.magic_links_off" {
        title: "There are no links to sign in here", "Aquí no se inicia sesión con enlaces", "Aqui não se entra com links";
        explanation: "Links to sign in are switched off.", "Los enlaces para iniciar sesión están desactivados.", "Os links para entrar estão desativados.";
        remedy: "Sign in with your password.", "Inicia sesión con tu contraseña.", "Entre com a sua senha.";
    }
    OTHER_BROWSER = CONFLICT "identity.other_browser" {
        title: "Go back to where you asked for the link", "Vuelve a donde pediste el enlace", "Volte para onde você pediu o link";
        explanation: "The link was asked for in another browser or on another device, and works only there.", "El enlace se pidió en otro navegador o dispositivo y solo funciona ahí.", "O link foi pedido em outro navegador ou dispositivo e só funciona lá.";
        remedy: "Open it there, type the code from the mail there, or ask for a link here.", "Ábrelo ahí, escribe ahí el código del correo o pide un enlace aquí.", "Abra-o lá, digite lá o código do e-mail ou peça um link aqui.";
    }
    INVITATION_NEEDS_EMAIL = UNPROCESSABLE_ENTITY "identity.invitation_needs_email" {
        title: "An administrator is invited by address", "A un administrador se le invita por correo", "Um administrador é convidado por e-mail";
        explanation: "Whoever holds a link without an address could make themselves administrator.", "Quien tenga un enlace sin correo podría hacerse administrador.", "Quem tiver um link sem e-mail poderia se tornar administrador.";
        remedy: "Say whom to invite, or choose another role.", "Indica a quién invitar o elige otro rol.", "Diga quem convidar ou escolha outra função.";
    }
    TOO_MANY_INVITATIONS = CONFLICT "identity.too_many_invitations" {
        title: "Too many open invitations", "Demasiadas invitaciones abiertas", "Convites abertos demais";
        explanation: "Ten thousand can be open at a time.", "Puede haber diez mil abiertas a la vez.", "Pode haver dez mil abertos ao mesmo tempo.";
        remedy: "Revoke those that are not needed any more.", "Retira las que ya no hagan falta.", "Retire os que não são mais necessários.";
    }
    INVITATION_NOT_FOUND = NOT_FOUND "identity.invitation_not_found" {
        title: "No such invitation", "No existe esa invitación", "Esse convite não existe";
        explanation: "It was accepted, revoked or is too old.", "Se aceptó, se retiró o es demasiado antigua.", "Foi aceito, retirado ou é antigo demais.";
        remedy: "Look at the list of invitations again.", "Mira de nuevo la lista de invitaciones.", "Veja de novo a lista de convites.";
    }
    TOO_MANY_MAILS = TOO_MANY_REQUESTS "identity.too_many_mails" {
        title: "Too many mails", "Demasiados correos", "E-mails demais";
        explanation: "Enough mails of this kind were sent in the last hour.", "Ya se enviaron bastantes correos de este tipo en la última hora.", "Já foram enviados e-mails suficientes deste tipo na última hora.";
        remedy: "Look into the mailbox, or try again later.", "Revisa el buzón o inténtalo más tarde.", "Veja a caixa de entrada ou tente mais tarde.";
    }
    SECOND_STEP_OVER = UNAUTHORIZED "identity.mfa_over" {
        title: "Sign in again", "Inicia sesión de nuevo", "Entre de novo";
        explanation: "This attempt to sign in is over: it is too old, was answered already, or got too many wrong codes.", "Este intento de iniciar sesión terminó: es demasiado antiguo, ya se respondió o tuvo demasiados códigos incorrectos.", "Esta tentativa de entrar terminou: é antiga demais, já foi respondida ou teve códigos errados demais.";
        remedy: "Begin again with address and password.", "Empieza de nuevo con correo y contraseña.", "Comece de novo com e-mail e senha.";
    }
    WRONG_CODE = UNAUTHORIZED "identity.wrong_code" {
        title: "Wrong code", "Código incorrecto", "Código incorreto";
        explanation: "The code is not right, is too old, or was used already.", "El código no es correcto, es demasiado antiguo o ya se usó.", "O código não está correto, é antigo demais ou já foi usado.";
        remedy: "Enter the newest code. After five wrong ones signing in begins again.", "Escribe el código más reciente. Tras cinco incorrectos hay que empezar de nuevo.", "Digite o código mais recente. Depois de cinco errados é preciso começar de novo.";
    }
    BAD_CODE = UNPROCESSABLE_ENTITY "identity.bad_code" {
        title: "Wrong code", "Código incorrecto", "Código incorreto";
        explanation: "The code is not right, is too old, or was used already.", "El código no es correcto, es demasiado antiguo o ya se usó.", "O código não está correto, é antigo demais ou já foi usado.";
        remedy: "Enter the newest code.", "Escribe el código más reciente.", "Digite o código mais recente.";
    }
    CODE_TOO_SOON = TOO_MANY_REQUESTS "identity.code_too_soon" {
        title: "A code was sent a moment ago", "Se envió un código hace un momento", "Um código foi enviado há pouco";
        explanation: "Only so many codes are sent, and not one right after the other.", "Solo se envían unos cuantos códigos, y no uno tras otro.", "Só alguns códigos são enviados, e não um logo depois do outro.";
        remedy: "Look for the code that was sent, or wait as long as the Retry-After header says.", "Busca el código que se envió o espera lo que indica la cabecera Retry-After.", "Procure o código que foi enviado ou espere o que indica o cabeçalho Retry-After.";
    }
    FACTOR_UNAVAILABLE = UNPROCESSABLE_ENTITY "identity.factor_unavailable" {
        title: "That second factor is not available", "Ese segundo factor no está disponible", "Esse segundo fator não está disponível";
        explanation: "It is not set up for this account, or codes cannot be sent that way.", "No está configurado en esta cuenta o no se pueden enviar códigos de esa forma.", "Não está configurado nesta conta ou não dá para enviar códigos dessa forma.";
        remedy: "Use one of the methods that were named.", "Usa uno de los métodos que se indicaron.", "Use um dos métodos que foram indicados.";
    }
    FACTOR_EXISTS = CONFLICT "identity.factor_exists" {
        title: "That second factor is set up already", "Ese segundo factor ya está configurado", "Esse segundo fator já está configurado";
        explanation: "An account has one of each kind.", "Una cuenta tiene uno de cada tipo.", "Uma conta tem um de cada tipo.";
        remedy: "Remove it first to set it up anew.", "Quítalo antes para configurarlo de nuevo.", "Remova-o antes para configurá-lo de novo.";
    }
    FACTOR_NOT_FOUND = NOT_FOUND "identity.factor_not_found" {
        title: "No such second factor", "No existe ese segundo factor", "Esse segundo fator não existe";
        explanation: "It is not set up for this account.", "No está configurado en esta cuenta.", "Não está configurado nesta conta.";
        remedy: "Look at the list of second factors.", "Mira la lista de segundos factores.", "Veja a lista de segundos fatores.";
    }
    FACTOR_REQUIRED = CONFLICT "identity.factor_required" {
        title: "One second factor has to stay", "Un segundo factor tiene que quedar", "Um segundo fator tem que ficar";
        explanation: "Accounts with this role need a second factor.", "Las cuentas con este rol necesitan un segundo factor.", "Contas com este papel precisam de um segundo fator.";
        remedy: "Set up another one first.", "Configura antes otro.", "Configure outro antes.";
    }
    FACTORS_OFF = FORBIDDEN "identity.factors_off" {
        title: "Second factors are switched off", "Los segundos factores están desactivados", "Os segundos fatores estão desativados";
        explanation: "Whoever runs this site has switched them off for accounts with this role.", "Quien administra este sitio los desactivó para cuentas con este rol.", "Quem administra este site os desativou para contas com este papel.";
        remedy: "Ask them if you need one.", "Pregúntale si necesitas uno.", "Pergunte a essa pessoa se precisar de um.";
    }
    REAUTHENTICATION_NEEDED = FORBIDDEN "identity.reauthentication_needed" {
        title: "Show that it is still you", "Demuestra que sigues siendo tú", "Mostre que ainda é você";
        explanation: "You signed in a while ago, and this changes how your account is protected.", "Iniciaste sesión hace un rato y esto cambia cómo se protege tu cuenta.", "Você entrou há algum tempo e isto muda como a sua conta é protegida.";
        remedy: "Send your password, or a code, with the request.", "Envía tu contraseña, o un código, con la petición.", "Envie a sua senha, ou um código, com a requisição.";
    }
    STEP_UP_REQUIRED = FORBIDDEN "identity.step_up_required" {
        title: "Show again that it is you", "Demuestra de nuevo que eres tú", "Mostre de novo que é você";
        explanation: "Your account has a second factor, and it was last proven too long ago for this.", "Tu cuenta tiene un segundo factor y hace demasiado que se demostró para esto.", "A sua conta tem um segundo fator, e faz tempo demais que ele foi provado para isto.";
        remedy: "Confirm with the second factor (POST /api/v1/auth/step-up), then try again.", "Confirma con el segundo factor (POST /api/v1/auth/step-up) e inténtalo de nuevo.", "Confirme com o segundo fator (POST /api/v1/auth/step-up) e tente de novo.";
    }
    BAD_PASSKEY = UNPROCESSABLE_ENTITY "identity.bad_passkey" {
        title: "That passkey cannot be used here", "Esa llave de acceso no se puede usar aquí", "Essa chave de acesso não pode ser usada aqui";
        explanation: "What the browser sent is not for this site and this moment, or its question was answered before.", "Lo que envió el navegador no es para este sitio y este momento, o su pregunta ya se había respondido.", "O que o navegador enviou não é para este site e este momento, ou a sua pergunta já tinha sido respondida.";
        remedy: "Begin again; a question is good for five minutes and one use.", "Empieza de nuevo; una pregunta sirve cinco minutos y una sola vez.", "Comece de novo; uma pergunta vale por cinco minutos e uma só vez.";
    }
    PASSKEY_REFUSED = UNAUTHORIZED "identity.passkey_refused" {
        title: "That passkey was not accepted", "Esa llave de acceso no se aceptó", "Essa chave de acesso não foi aceita";
        explanation: "It is not known here, took too long, or did not check that it is you.", "Aquí no se conoce, tardó demasiado o no comprobó que eres tú.", "Ela não é conhecida aqui, demorou demais ou não verificou que é você.";
        remedy: "Try again, or sign in with your password.", "Inténtalo de nuevo o inicia sesión con tu contraseña.", "Tente de novo ou entre com a sua senha.";
    }
    PASSKEY_EXISTS = CONFLICT "identity.passkey_exists" {
        title: "That passkey is set up already", "Esa llave de acceso ya está configurada", "Essa chave de acesso já está configurada";
        explanation: "The device has a passkey for this site that is known here.", "El dispositivo tiene una llave de acceso para este sitio que ya se conoce.", "O dispositivo tem uma chave de acesso para este site que já é conhecida.";
        remedy: "Use it, or another device.", "Úsala o usa otro dispositivo.", "Use-a ou use outro dispositivo.";
    }
    TOO_MANY_PASSKEYS = CONFLICT "identity.too_many_passkeys" {
        title: "Too many passkeys", "Demasiadas llaves de acceso", "Chaves de acesso demais";
        explanation: "An account has at most twenty.", "Una cuenta tiene como máximo veinte.", "Uma conta tem no máximo vinte.";
        remedy: "Remove one that you do not use any more.", "Quita una que ya no uses.", "Remova uma que você não usa mais.";
    }
    PASSKEY_NOT_FOUND = NOT_FOUND "identity.passkey_not_found" {
        title: "No such passkey", "No existe esa llave de acceso", "Essa chave de acesso não existe";
        explanation: "It is removed already, or was never yours.", "Ya se quitó o nunca fue tuya.", "Já foi removida ou nunca foi sua.";
        remedy: "Look at the list of passkeys again.", "Mira de nuevo la lista de llaves de acceso.", "Veja de novo a lista de chaves de acesso.";
    }
    TOO_MANY_API_KEYS = CONFLICT "identity.too_many_api_keys" {
        title: "Too many API keys", "Demasiadas claves de API", "Chaves de API demais";
        explanation: "An account has at most twenty-five, and as many again that were replaced and still work.", "Una cuenta tiene como máximo veinticinco, y otras tantas reemplazadas que aún funcionan.", "Uma conta tem no máximo vinte e cinco, e outras tantas substituídas que ainda funcionam.";
        remedy: "Revoke one that is not used any more.", "Revoca una que ya no se use.", "Revogue uma que não é mais usada.";
    }
    API_KEY_NOT_FOUND = NOT_FOUND "identity.api_key_not_found" {
        title: "No such API key", "No existe esa clave de API", "Essa chave de API não existe";
        explanation: "It is revoked or over, or was never yours.", "Se revocó, terminó o nunca fue tuya.", "Foi revogada, terminou ou nunca foi sua.";
        remedy: "Look at the list of keys again.", "Mira de nuevo la lista de claves.", "Veja de novo a lista de chaves.";
    }
    API_KEY_REPLACED = CONFLICT "identity.api_key_replaced" {
        title: "That key has been replaced", "Esa clave ya se reemplazó", "Essa chave já foi substituída";
        explanation: "Another key was made in its place.", "Se creó otra clave en su lugar.", "Outra chave foi criada no lugar dela.";
        remedy: "Use its successor, or rotate that one.", "Usa la nueva o renueva esa.", "Use a nova ou renove essa.";
    }
    TRUSTED_DEVICE_NOT_FOUND = NOT_FOUND "identity.trusted_device_not_found" {
        title: "No such trusted device", "No existe ese dispositivo de confianza", "Esse dispositivo confiável não existe";
        explanation: "It is forgotten already, or was never yours.", "Ya se olvidó o nunca fue tuyo.", "Já foi esquecido ou nunca foi seu.";
        remedy: "Look at the list of trusted devices again.", "Mira de nuevo la lista de dispositivos de confianza.", "Veja de novo a lista de dispositivos confiáveis.";
    }
    PROVIDER_NOT_FOUND = NOT_FOUND "identity.provider_not_found" {
        title: "No such way to sign in", "No existe esa forma de iniciar sesión", "Essa forma de entrar não existe";
        explanation: "Nobody signs in here with accounts of that provider.", "Aquí nadie inicia sesión con cuentas de ese proveedor.", "Aqui ninguém entra com contas desse provedor.";
        remedy: "Use one of those that the sign-in page shows.", "Usa una de las que muestra la página de inicio de sesión.", "Use uma das que a página de entrada mostra.";
    }
    PROVIDER_FAILED = BAD_GATEWAY "identity.provider_failed" {
        title: "Signing in there did not work", "No se pudo iniciar sesión allí", "Não foi possível entrar por lá";
        explanation: "The provider cannot be reached, or what it says is not taken for a proof.", "No se puede contactar con el proveedor, o lo que dice no se acepta como prueba.", "Não dá para falar com o provedor, ou o que ele diz não é aceito como prova.";
        remedy: "Try again, or sign in another way.", "Inténtalo de nuevo o inicia sesión de otra forma.", "Tente de novo ou entre de outra forma.";
    }
    LOGIN_OVER = UNAUTHORIZED "identity.login_over" {
        title: "Begin again", "Empieza de nuevo", "Comece de novo";
        explanation: "This attempt is over: it took too long, was finished already, or was begun in another browser.", "Este intento terminó: tardó demasiado, ya se completó o empezó en otro navegador.", "Esta tentativa terminou: demorou demais, já foi concluída ou começou em outro navegador.";
        remedy: "Sign in again from the sign-in page.", "Inicia sesión de nuevo desde la página de inicio de sesión.", "Entre de novo pela página de entrada.";
    }
    LOGIN_DECLINED = FORBIDDEN "identity.login_declined" {
        title: "The provider said no", "El proveedor dijo que no", "O provedor disse que não";
        explanation: "You, or whoever administers your account there, did not agree.", "Tú, o quien administra tu cuenta allí, no estuvo de acuerdo.", "Você, ou quem administra a sua conta lá, não concordou.";
        remedy: "Try again and agree, or sign in another way.", "Inténtalo de nuevo y acepta, o inicia sesión de otra forma.", "Tente de novo e aceite, ou entre de outra forma.";
    }
    LOGIN_TAKEN = CONFLICT "identity.login_taken" {
        title: "Connected to another account", "Conectada a otra cuenta", "Conectada a outra conta";
        explanation: "That account elsewhere already signs in to another account here.", "Esa cuenta ya inicia sesión en otra cuenta de aquí.", "Essa conta já entra em outra conta daqui.";
        remedy: "Sign in to that account and disconnect it there first.", "Inicia sesión en esa cuenta y desconéctala allí primero.", "Entre nessa conta e desconecte-a lá primeiro.";
    }
    TOO_MANY_LOGINS = CONFLICT "identity.too_many_logins" {
        title: "Too many connected accounts", "Demasiadas cuentas conectadas", "Contas conectadas demais";
        explanation: "An account has at most twenty.", "Una cuenta tiene como máximo veinte.", "Uma conta tem no máximo vinte.";
        remedy: "Disconnect one that you do not use any more.", "Desconecta una que ya no uses.", "Desconecte uma que você não usa mais.";
    }
    LOGIN_NOT_FOUND = NOT_FOUND "identity.login_not_found" {
        title: "No such connected account", "No existe esa cuenta conectada", "Essa conta conectada não existe";
        explanation: "It is disconnected already, or was never yours.", "Ya se desconectó o nunca fue tuya.", "Já foi desconectada ou nunca foi sua.";
        remedy: "Look at the list of connected accounts again.", "Mira de nuevo la lista de cuentas conectadas.", "Veja de novo a lista de contas conectadas.";
    }
    LAST_WAY_IN = CONFLICT "identity.last_way_in" {
        title: "One way in has to stay", "Tiene que quedar una forma de entrar", "Uma forma de entrar tem que ficar";
        explanation: "Without it you could not sign in any more: the account has no password and nothing else that signs in.", "Sin ella no podrías iniciar sesión: la cuenta no tiene contraseña ni nada más con que entrar.", "Sem ela você não poderia mais entrar: a conta não tem senha nem outra forma de entrar.";
        remedy: "Choose a password first (\"Forgot your password?\" sends a link), or connect another account.", "Elige antes una contraseña («¿Olvidaste tu contraseña?» envía un enlace) o conecta otra cuenta.", "Escolha antes uma senha (\"Esqueceu a senha?\" envia um link) ou conecte outra conta.";
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
            IdentityError::ResetRequired => Self::of(&RESET_REQUIRED),
            IdentityError::Outranked => Self::of(&OUTRANKED),
            IdentityError::LastOwner => Self::of(&LAST_OWNER),
            IdentityError::TooManyAttempts { retry_after } => Self::of(&TOO_MANY_ATTEMPTS).retry_after(retry_after),
            IdentityError::Busy => Self::of(&BUSY).retry_after(Duration::from_secs(2)),
            IdentityError::RefreshInvalid => unauthorized(&REFRESH_INVALID),
            IdentityError::RefreshReused => unauthorized(&REFRESH_REUSED),
            IdentityError::LinkInvalid => Self::of(&LINK_INVALID).field("/token", "is not valid any more"),
            IdentityError::SameEmail => Self::of(&SAME_EMAIL).field("/email", "is the account's address already"),
            IdentityError::NoMail => Self::of(&NO_MAIL),
            IdentityError::MagicLinksOff => Self::of(&MAGIC_LINKS_OFF),
            IdentityError::OtherBrowser => Self::of(&OTHER_BROWSER),
            IdentityError::InvitationNeedsEmail => Self::of(&INVITATION_NEEDS_EMAIL).field("/email", "is needed for an administrator"),
            IdentityError::TooManyInvitations => Self::of(&TOO_MANY_INVITATIONS),
            IdentityError::InvitationNotFound => Self::of(&INVITATION_NOT_FOUND),
            IdentityError::AddressMissing => Self::of(&INVALID_FIELDS).field("/email", "is wanted: the link was not sent to an address"),
            IdentityError::TooManyMails { retry_after } => Self::of(&TOO_MANY_MAILS).retry_after(retry_after),
            IdentityError::SecondStepOver => unauthorized(&SECOND_STEP_OVER),
            IdentityError::WrongCode => unauthorized(&WRONG_CODE),
            IdentityError::BadCode => Self::of(&BAD_CODE).field("/code", "is not right, too old, or used already"),
            IdentityError::CodeTooSoon { retry_after } => Self::of(&CODE_TOO_SOON).retry_after(retry_after),
            IdentityError::FactorUnavailable => Self::of(&FACTOR_UNAVAILABLE).field("/method", "is not available"),
            IdentityError::PhoneRefused(why) => Self::from(NotifyError::Sms(why)).field("/phone", why.to_string()),
            IdentityError::FactorExists => Self::of(&FACTOR_EXISTS),
            IdentityError::FactorNotFound => Self::of(&FACTOR_NOT_FOUND),
            IdentityError::FactorRequired => Self::of(&FACTOR_REQUIRED),
            IdentityError::FactorsOff => Self::of(&FACTORS_OFF),
            IdentityError::ReauthenticationNeeded => Self::of(&REAUTHENTICATION_NEEDED),
            IdentityError::ConfirmationNeeded => Self::of(&STEP_UP_REQUIRED),
            IdentityError::BadPasskey => Self::of(&BAD_PASSKEY),
            IdentityError::PasskeyRefused => unauthorized(&PASSKEY_REFUSED),
            IdentityError::PasskeyExists => Self::of(&PASSKEY_EXISTS),
            IdentityError::TooManyPasskeys => Self::of(&TOO_MANY_PASSKEYS),
            IdentityError::PasskeyNotFound => Self::of(&PASSKEY_NOT_FOUND),
            IdentityError::TrustedDeviceNotFound => Self::of(&TRUSTED_DEVICE_NOT_FOUND),
            IdentityError::BadApiKey(field, detail) => Self::of(&INVALID_FIELDS).field(format!("/{field}"), detail),
            IdentityError::TooManyApiKeys => Self::of(&TOO_MANY_API_KEYS),
            IdentityError::ApiKeyNotFound => Self::of(&API_KEY_NOT_FOUND),
            IdentityError::ApiKeyReplaced => Self::of(&API_KEY_REPLACED),
            IdentityError::Login(err) => of_login(&err),
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

fn of_login(err: &LoginError) -> Problem {
    match err {
        LoginError::UnknownProvider => Problem::of(&PROVIDER_NOT_FOUND),
        LoginError::Over => unauthorized(&LOGIN_OVER),
        LoginError::Declined(_) => Problem::of(&LOGIN_DECLINED),
        LoginError::Unreachable(_) | LoginError::NotTaken(_) => Problem::of(&PROVIDER_FAILED),
        LoginError::Busy => Problem::of(&BUSY).retry_after(Duration::from_secs(2)),
        LoginError::Taken => Problem::of(&LOGIN_TAKEN),
        LoginError::TooMany => Problem::of(&TOO_MANY_LOGINS),
        LoginError::NotFound => Problem::of(&LOGIN_NOT_FOUND),
        LoginError::LastWayIn => Problem::of(&LAST_WAY_IN),
    }
}

/// Every 401 names a way to authenticate (RFC 9110, 15.5.2).
fn unauthorized(doc: &'static ProblemDoc) -> Problem {
    Problem::of(doc).header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}
