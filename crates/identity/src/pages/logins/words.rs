baluarte_web::texts! {
    /// The words of the pages about accounts elsewhere.
    pub(in crate::pages) struct LoginWords {
        or: "or", "o", "ou";
        continue_with: "Continue with {}", "Continuar con {}", "Continuar com {}";
        back: "Back to your account", "Volver a tu cuenta", "Voltar para a sua conta";

        logins: "Connected accounts", "Cuentas conectadas", "Contas conectadas";
        logins_lead: "Accounts elsewhere with which you sign in here.", "Cuentas de otros sitios con las que inicias sesión aquí.", "Contas de outros sites com que você entra aqui.";
        manage: "Manage connected accounts", "Administrar las cuentas conectadas", "Gerenciar as contas conectadas";
        connected: "Connected", "Conectadas", "Conectadas";
        none: "None yet.", "Todavía ninguna.", "Nenhuma ainda.";
        since: "Connected on {}.", "Conectada el {}.", "Conectada em {}.";
        last_used: "Last used on {}.", "Usada por última vez el {}.", "Usada pela última vez em {}.";
        switched_off: "Switched off here", "Desactivada aquí", "Desativada aqui";
        disconnect: "Disconnect", "Desconectar", "Desconectar";
        disconnect_of: "Disconnect {} at {}", "Desconectar {} de {}", "Desconectar {} de {}";
        disconnect_question: "Disconnect {}?", "¿Desconectar {}?", "Desconectar {}?";
        disconnect_lead: "It will no longer sign in here, and your other devices are signed out. Nothing changes there.", "Ya no iniciará sesión aquí y se cerrará la sesión en tus otros dispositivos. Allí no cambia nada.", "Ela não entrará mais aqui, e os seus outros dispositivos sairão da conta. Lá nada muda.";
        keep: "Keep it", "Conservarla", "Manter";
        connect_another: "Connect an account", "Conectar una cuenta", "Conectar uma conta";
        connect_lead: "You are sent there, and asked again before it is connected.", "Irás a ese sitio y te preguntaremos de nuevo antes de conectarla.", "Você vai até lá e perguntamos de novo antes de conectá-la.";
        connect_with: "Connect an account at {}", "Conectar una cuenta de {}", "Conectar uma conta de {}";
        no_password: "You have no password here. With one you can get in when an account elsewhere does not work.", "Aquí no tienes contraseña. Con una podrás entrar cuando una cuenta de otro sitio no funcione.", "Aqui você não tem senha. Com uma, você pode entrar quando uma conta de outro site não funcionar.";
        send_link: "Send me a link to choose one", "Envíame un enlace para elegir una", "Envie-me um link para escolher uma";
        done_connected: "The account is connected and signs you in from now on.", "La cuenta está conectada y desde ahora inicia sesión.", "A conta está conectada e entra a partir de agora.";
        done_disconnected: "The account is disconnected.", "La cuenta está desconectada.", "A conta está desconectada.";

        connect: "Connect", "Conectar", "Conectar";
        connect_title: "Connect {}?", "¿Conectar {}?", "Conectar {}?";
        connect_text: "It will sign in to the account {} here. Connect it only if both are yours.", "Iniciará sesión en la cuenta {} de aquí. Conéctala solo si las dos son tuyas.", "Ela entrará na conta {} daqui. Conecte-a só se as duas são suas.";
        not_now: "Not now", "Ahora no", "Agora não";
        known_title: "You already have an account here", "Ya tienes una cuenta aquí", "Você já tem uma conta aqui";
        known_lead: "{} at {} has the address of an account here, and is not connected with it yet.", "{} de {} tiene el correo de una cuenta de aquí y todavía no está conectada con ella.", "{} de {} tem o e-mail de uma conta daqui e ainda não está conectada com ela.";
        known_text: "Sign in to that account the way you always do; then connect the two with one click. So nobody gets in only because an address is the same.", "Inicia sesión en esa cuenta como siempre y conéctalas con un clic. Así nadie entra solo porque el correo coincide.", "Entre nessa conta como sempre e conecte as duas com um clique. Assim ninguém entra só porque o e-mail coincide.";
        unknown_title: "One more step", "Un paso más", "Mais um passo";
        unknown_lead: "{} is not connected with an account here, and {} does not vouch for an e-mail address of yours.", "{} no está conectada con ninguna cuenta de aquí y {} no da fe de un correo tuyo.", "{} não está conectada com nenhuma conta daqui, e {} não atesta um e-mail seu.";
        unknown_text: "Sign in, or create an account with your address; then connect the two with one click.", "Inicia sesión o crea una cuenta con tu correo y conéctalas con un clic.", "Entre ou crie uma conta com o seu e-mail e conecte as duas com um clique.";
        waiting_over: "There is nothing to connect any more", "Ya no hay nada que conectar", "Não há mais nada para conectar";
        waiting_over_text: "It took too long, or it was connected already.", "Pasó demasiado tiempo o ya se conectó.", "Demorou demais ou já foi conectada.";

        confirm_lead: "You have no password here: show with the account that you sign in with that it is still you.", "Aquí no tienes contraseña: demuestra que sigues siendo tú con la cuenta con la que inicias sesión.", "Aqui você não tem senha: mostre que ainda é você com a conta com que entra.";

        try_again: "Try again", "Intentarlo de nuevo", "Tentar de novo";
        other_ways: "Other ways to sign in", "Otras formas de iniciar sesión", "Outras formas de entrar";
        over: "Begin again", "Empieza de nuevo", "Comece de novo";
        over_text: "This attempt to sign in took too long, was finished already, or was begun in another browser.", "Este intento de iniciar sesión tardó demasiado, ya se completó o empezó en otro navegador.", "Esta tentativa de entrar demorou demais, já foi concluída ou começou em outro navegador.";
        declined: "{} did not let you in", "{} no te dejó entrar", "{} não deixou você entrar";
        declined_text: "You canceled, or whoever administers your account there does not allow it. Nothing has changed here.", "Cancelaste o quien administra tu cuenta allí no lo permite. Aquí no ha cambiado nada.", "Você cancelou, ou quem administra a sua conta lá não permite. Aqui nada mudou.";
        needs_you: "{} wants to hear from you first", "{} quiere saber de ti primero", "{} quer ouvir você primeiro";
        needs_you_text: "Sign in there, or answer what it asks you, and try again. Nothing has changed here.", "Inicia sesión allí, o responde lo que te pida, e inténtalo de nuevo. Aquí no ha cambiado nada.", "Entre lá, ou responda ao que é pedido, e tente de novo. Aqui nada mudou.";
        away: "{} does not answer", "{} no responde", "{} não responde";
        away_text: "It cannot be reached right now. Try again in a moment, or sign in another way.", "No se puede contactar en este momento. Inténtalo dentro de un rato o inicia sesión de otra forma.", "Não dá para falar com ele agora. Tente daqui a pouco ou entre de outra forma.";
        not_taken: "{} did not say who you are", "{} no dijo quién eres", "{} não disse quem você é";
        not_taken_text: "What came back from there is not taken for a proof. Try again; if it stays like this, tell whoever runs this site.", "Lo que llegó de allí no se acepta como prueba. Inténtalo de nuevo; si sigue igual, avisa a quien administra este sitio.", "O que veio de lá não é aceito como prova. Tente de novo; se continuar assim, avise quem administra este site.";
        busy: "Many people are signing in right now", "Mucha gente está iniciando sesión ahora", "Muita gente está entrando agora";
        busy_text: "Try again in a few seconds.", "Inténtalo de nuevo en unos segundos.", "Tente de novo em alguns segundos.";
        taken: "That account is connected already", "Esa cuenta ya está conectada", "Essa conta já está conectada";
        taken_text: "It signs in to another account here. Sign in with it and disconnect it there first.", "Inicia sesión en otra cuenta de aquí. Entra con ella y desconéctala allí primero.", "Ela entra em outra conta daqui. Entre com ela e desconecte-a lá primeiro.";
        too_many: "You have connected as many accounts as there can be. Disconnect one first.", "Ya conectaste tantas cuentas como se puede. Desconecta una primero.", "Você já conectou tantas contas quanto é possível. Desconecte uma primeiro.";
        last_way_in: "Without it you could not sign in any more. Choose a password first, or connect another account.", "Sin ella no podrías iniciar sesión. Elige antes una contraseña o conecta otra cuenta.", "Sem ela você não poderia mais entrar. Escolha antes uma senha ou conecte outra conta.";
        not_yours: "That is not the account that you are connected with here.", "Esa no es la cuenta que tienes conectada aquí.", "Essa não é a conta que você tem conectada aqui.";
    }
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::Locale;

    use super::LoginWords;

    #[test]
    fn every_text_has_as_many_gaps_in_each_language() {
        let gaps = |word: &str| word.matches("{}").count();
        let english = LoginWords::all(Locale::En);
        for locale in Locale::ALL {
            for ((key, word), (_, original)) in LoginWords::all(locale).into_iter().zip(&english) {
                assert!(!word.is_empty() && gaps(word) == gaps(original), "{key} in {locale:?}");
            }
        }
    }
}
