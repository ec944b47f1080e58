baluarte_web::texts! {
    /// The words of the pages about accounts.
    pub(super) struct Words {
        error_title: "Error: {}", "Error: {}", "Erro: {}";
        email: "E-mail address", "Correo electrónico", "E-mail";
        password: "Password", "Contraseña", "Senha";
        name: "Name", "Nombre", "Nome";
        name_hint: "As others should see it.", "Como lo verán los demás.", "Como os outros devem ver.";
        new_password: "New password", "Contraseña nueva", "Nova senha";
        current_password: "Current password", "Contraseña actual", "Senha atual";
        password_hint: "At least 8 characters. A few words in a row are easy to remember and hard to guess.", "Al menos 8 caracteres. Varias palabras seguidas son fáciles de recordar y difíciles de adivinar.", "Pelo menos 8 caracteres. Algumas palavras seguidas são fáceis de lembrar e difíceis de adivinhar.";
        strength_short: "Too short: {n} more to go.", "Demasiado corta: faltan {n}.", "Curta demais: faltam {n}.";
        strength_weak: "Easy to guess. Add a word or two.", "Fácil de adivinar. Añade una o dos palabras.", "Fácil de adivinhar. Acrescente uma ou duas palavras.";
        strength_fair: "Fair. One more word makes it strong.", "Aceptable. Con otra palabra será fuerte.", "Razoável. Com mais uma palavra fica forte.";
        strength_good: "Strong.", "Fuerte.", "Forte.";
        show: "Show", "Mostrar", "Mostrar";
        hide: "Hide", "Ocultar", "Ocultar";

        sign_in: "Sign in", "Iniciar sesión", "Entrar";
        sign_in_lead: "Welcome back to {}.", "Te damos la bienvenida de nuevo a {}.", "{}: que bom ter você de volta.";
        forgot_link: "Forgot your password?", "¿Olvidaste tu contraseña?", "Esqueceu a senha?";
        no_account: "No account yet?", "¿Aún no tienes cuenta?", "Ainda não tem conta?";
        register_link: "Create one", "Crea una", "Crie uma";
        wrong_credentials: "That address and password do not go together.", "Ese correo y esa contraseña no coinciden.", "Esse e-mail e essa senha não combinam.";
        too_many_attempts: "Too many attempts. Try again in {}.", "Demasiados intentos. Inténtalo de nuevo en {}.", "Tentativas demais. Tente de novo em {}.";
        seconds: "{} s", "{} s", "{} s";
        minutes: "{} min", "{} min", "{} min";
        busy: "Many people are signing in right now. Try again in a few seconds.", "Mucha gente está iniciando sesión ahora. Inténtalo de nuevo en unos segundos.", "Muita gente está entrando agora. Tente de novo em alguns segundos.";
        disabled: "This account is disabled. Contact whoever runs this site.", "Esta cuenta está desactivada. Contacta con quien administra este sitio.", "Esta conta está desativada. Fale com quem administra este site.";
        reset_required: "Choose a new password first: whoever runs this site has asked for one, and we mailed you a link.", "Primero elige una contraseña nueva: quien administra este sitio la pidió y te enviamos un enlace.", "Primeiro escolha uma nova senha: quem administra este site pediu, e enviamos um link a você.";
        not_verified: "Confirm your address first: we sent you a link when you registered.", "Primero confirma tu correo: te enviamos un enlace cuando te registraste.", "Primeiro confirme o seu e-mail: enviamos um link quando você se cadastrou.";
        send_again: "Send the link again", "Enviar el enlace otra vez", "Enviar o link de novo";
        done_reset: "Your password is changed. Sign in with the new one.", "Tu contraseña se ha cambiado. Inicia sesión con la nueva.", "A sua senha foi alterada. Entre com a nova.";
        done_verified: "Your address is confirmed. Sign in to go on.", "Tu correo está confirmado. Inicia sesión para continuar.", "O seu e-mail está confirmado. Entre para continuar.";
        done_deleted: "Your account and its data are gone.", "Tu cuenta y sus datos se han eliminado.", "A sua conta e os dados dela foram apagados.";
        go_on: "Sign in to go on to the page you asked for.", "Inicia sesión para ir a la página que pediste.", "Entre para ir à página que você pediu.";

        register: "Create your account", "Crea tu cuenta", "Crie a sua conta";
        register_lead: "It takes less than a minute.", "Toma menos de un minuto.", "Leva menos de um minuto.";
        register_button: "Create account", "Crear cuenta", "Criar conta";
        have_account: "Already have an account?", "¿Ya tienes cuenta?", "Já tem conta?";
        email_taken: "There is already an account with this address. Sign in instead, or choose a new password.", "Ya existe una cuenta con este correo. Inicia sesión o elige una contraseña nueva.", "Já existe uma conta com este e-mail. Entre ou escolha uma nova senha.";
        closed: "Nobody can register here", "Aquí nadie puede registrarse", "Ninguém pode se cadastrar aqui";
        closed_more: "Accounts are made by whoever runs this site. Ask them for one.", "Las cuentas las crea quien administra este sitio. Pídele una.", "As contas são criadas por quem administra este site. Peça uma.";
        invitation: "You need an invitation", "Necesitas una invitación", "Você precisa de um convite";
        invitation_more: "Accounts here are by invitation. Ask whoever runs this site.", "Aquí las cuentas son por invitación. Pídela a quien administra este sitio.", "As contas aqui são por convite. Peça a quem administra este site.";

        check_mail: "Look into your mailbox", "Revisa tu correo", "Veja o seu e-mail";
        check_mail_verify: "If the address can have an account, a link to confirm it is on its way.", "Si ese correo puede tener una cuenta, va en camino un enlace para confirmarlo.", "Se esse e-mail puder ter uma conta, um link para confirmá-lo está a caminho.";
        check_mail_reset: "If the address has an account, a link to choose a new password is on its way.", "Si ese correo tiene una cuenta, va en camino un enlace para elegir una contraseña nueva.", "Se esse e-mail tiver uma conta, um link para escolher uma nova senha está a caminho.";
        check_mail_more: "It can take a few minutes. Look into the spam folder too.", "Puede tardar unos minutos. Mira también en la carpeta de correo no deseado.", "Pode levar alguns minutos. Veja também a pasta de spam.";
        back_to_sign_in: "Back to signing in", "Volver a iniciar sesión", "Voltar para entrar";

        forgot: "Choose a new password", "Elige una contraseña nueva", "Escolha uma nova senha";
        forgot_lead: "Tell us your address and we send you a link.", "Dinos tu correo y te enviamos un enlace.", "Diga o seu e-mail e enviaremos um link.";
        forgot_button: "Send me the link", "Envíame el enlace", "Envie-me o link";
        reset_lead: "After that, every device is signed out and you sign in with the new password.", "Después se cerrará la sesión en todos los dispositivos y entrarás con la contraseña nueva.", "Depois disso, todos os dispositivos saem da conta e você entra com a nova senha.";
        reset_button: "Save the new password", "Guardar la contraseña nueva", "Salvar a nova senha";
        link_invalid: "This link does not work any more", "Este enlace ya no funciona", "Este link não funciona mais";
        link_invalid_more: "It was used already, is too old, or a newer one was sent.", "Ya se usó, es demasiado antiguo o se envió otro más nuevo.", "Já foi usado, é antigo demais ou um mais novo foi enviado.";
        new_link: "Send a new link", "Enviar un enlace nuevo", "Enviar um novo link";

        unlock: "Let me in", "Déjame entrar", "Deixe-me entrar";
        unlock_lead: "Then sign in with your password where you are now: earlier failures do not hold you back.", "Después inicia sesión con tu contraseña donde estás ahora: los fallos anteriores no te frenan.", "Depois entre com a sua senha onde está agora: as falhas anteriores não o impedem.";
        unlock_ask: "Send me a link that lets me in", "Envíame un enlace para entrar", "Envie-me um link para entrar";
        done_unlocked: "Sign in with your password now.", "Ahora inicia sesión con tu contraseña.", "Agora entre com a sua senha.";
        check_mail_unlock: "If the address has an account, a link that lets its owner in is on its way.", "Si ese correo tiene una cuenta, va en camino un enlace para que entre quien la posee.", "Se esse e-mail tiver uma conta, um link para o dono entrar está a caminho.";
        end_that: "End that session", "Cerrar esa sesión", "Encerrar essa sessão";
        end_that_lead: "Whoever signed in there is signed out, and browsers and networks that were known are forgotten.", "Se cierra la sesión de quien entró ahí y se olvidan los navegadores y redes conocidos.", "Quem entrou ali sai da conta, e os navegadores e redes conhecidos são esquecidos.";
        ended: "That session has ended", "Esa sesión se cerró", "Essa sessão foi encerrada";
        ended_more: "Somebody else may know your password: choose a new one now.", "Otra persona puede conocer tu contraseña: elige una nueva ahora.", "Outra pessoa pode conhecer a sua senha: escolha uma nova agora.";
        alerts: "What you should know", "Lo que debes saber", "O que você deve saber";
        alert_refresh: "A sign-in of a program was used twice: somebody may have a copy. It was ended. If you do not know why, choose a new password.", "Un inicio de sesión de un programa se usó dos veces: alguien puede tener una copia. Se cerró. Si no sabes por qué, elige una contraseña nueva.", "Uma entrada de um programa foi usada duas vezes: alguém pode ter uma cópia. Foi encerrada. Se não sabe por quê, escolha uma nova senha.";
        verify: "Confirm your address", "Confirma tu correo", "Confirme o seu e-mail";
        verify_lead: "One click and it is done.", "Un clic y listo.", "Um clique e pronto.";
        verify_button: "Confirm", "Confirmar", "Confirmar";
        resend: "Send a new confirmation", "Enviar una confirmación nueva", "Enviar uma nova confirmação";

        account: "Your account", "Tu cuenta", "A sua conta";
        profile: "Profile", "Perfil", "Perfil";
        language: "Language of pages and mails", "Idioma de las páginas y los correos", "Idioma das páginas e dos e-mails";
        save: "Save", "Guardar", "Salvar";
        change_email: "Change", "Cambiar", "Mudar";
        change_email_label: "Change the e-mail address", "Cambiar el correo", "Mudar o e-mail";
        verified: "Confirmed", "Confirmado", "Confirmado";
        unverified: "Not confirmed", "Sin confirmar", "Não confirmado";
        plan: "Plan", "Plan", "Plano";
        role: "Role", "Rol", "Função";
        plan_free: "Free", "Gratuito", "Gratuito";
        role_user: "Member", "Miembro", "Membro";
        role_owner: "Owner", "Titular", "Titular";
        role_admin: "Administrator", "Administración", "Administração";
        role_support: "Support", "Soporte", "Suporte";
        role_read_only: "Read only", "Solo lectura", "Somente leitura";
        member_since: "Member since", "Cuenta desde", "Conta desde";
        change_password: "Password", "Contraseña", "Senha";
        change_password_lead: "Changing it signs out every other device.", "Al cambiarla se cierra la sesión en los demás dispositivos.", "Ao mudá-la, os outros dispositivos saem da conta.";
        change_password_button: "Change password", "Cambiar contraseña", "Mudar a senha";
        wrong_password: "That is not your current password.", "Esa no es tu contraseña actual.", "Essa não é a sua senha atual.";
        devices: "Devices", "Dispositivos", "Dispositivos";
        devices_lead: "Where your account is signed in. End what you do not recognise.", "Dónde está abierta tu cuenta. Cierra lo que no reconozcas.", "Onde a sua conta está aberta. Encerre o que não reconhecer.";
        this_device: "This device", "Este dispositivo", "Este dispositivo";
        last_seen: "Last seen", "Última actividad", "Última atividade";
        end_session: "End", "Cerrar", "Encerrar";
        end_session_of: "End the session: {}", "Cerrar la sesión: {}", "Encerrar a sessão: {}";
        end_others: "Sign out all other devices", "Cerrar las demás sesiones", "Encerrar as outras sessões";
        more_devices: "Only the latest are shown.", "Solo se muestran los más recientes.", "Só os mais recentes são mostrados.";
        on: "{} on {}", "{} en {}", "{} no {}";
        unknown_device: "Unknown device", "Dispositivo desconocido", "Dispositivo desconhecido";
        program: "A program ({})", "Un programa ({})", "Um programa ({})";
        sign_out: "Sign out", "Cerrar sesión", "Sair";
        done_verified_here: "Your address is confirmed.", "Tu correo está confirmado.", "O seu e-mail está confirmado.";
        done_profile: "Your profile is saved.", "Tu perfil se ha guardado.", "O seu perfil foi salvo.";
        done_password: "Your password is changed, and every other device is signed out.", "Tu contraseña se ha cambiado y se cerró la sesión en los demás dispositivos.", "A sua senha foi alterada e os outros dispositivos saíram da conta.";
        done_session: "That device is signed out.", "Se cerró la sesión en ese dispositivo.", "Esse dispositivo saiu da conta.";
        done_others: "All other devices are signed out.", "Se cerró la sesión en los demás dispositivos.", "Todos os outros dispositivos saíram da conta.";

        delete: "Delete account", "Eliminar la cuenta", "Apagar a conta";
        delete_lead: "Removes your account and everything kept with it. This cannot be undone.", "Elimina tu cuenta y todo lo que se guarda con ella. No se puede deshacer.", "Remove a sua conta e tudo o que está guardado com ela. Não dá para desfazer.";
        delete_ask: "Enter your password to show that it is you.", "Escribe tu contraseña para demostrar que eres tú.", "Digite a sua senha para mostrar que é você.";
        delete_button: "Delete my account for good", "Eliminar mi cuenta para siempre", "Apagar a minha conta para sempre";
        last_admin: "You are the only administrator. Make somebody else one first.", "Eres el único administrador. Nombra a otro primero.", "Você é o único administrador. Nomeie outro primeiro.";
        last_owner: "This is the only owner. Make somebody else one first.", "Es el único propietario. Nombra a otro primero.", "É o único proprietário. Nomeie outro primeiro.";
        outranked: "That is above your own role.", "Eso está por encima de tu rol.", "Isso está acima da sua função.";
        cancel: "Keep it", "Conservarla", "Manter";

        signed_out: "You are signed out", "Has cerrado la sesión", "Você saiu da conta";
        signed_out_lead: "On this device. Your other devices stay signed in.", "En este dispositivo. Tus otros dispositivos siguen con la sesión abierta.", "Neste dispositivo. Os seus outros dispositivos continuam conectados.";
        home: "Go to the home page", "Ir al inicio", "Ir para o início";

        bad_email: "Enter an e-mail address such as name@example.com.", "Escribe un correo como nombre@example.com.", "Digite um e-mail como nome@example.com.";
        bad_name: "Enter a name of 1 to 100 characters.", "Escribe un nombre de 1 a 100 caracteres.", "Digite um nome de 1 a 100 caracteres.";
        password_missing: "Enter your password.", "Escribe tu contraseña.", "Digite a sua senha.";
        password_short: "Use at least 8 characters.", "Usa al menos 8 caracteres.", "Use pelo menos 8 caracteres.";
        password_long: "Use at most 256 characters.", "Usa como máximo 256 caracteres.", "Use no máximo 256 caracteres.";
        password_common: "That password is among the first that attackers try. Choose another.", "Esa contraseña está entre las primeras que prueban los atacantes. Elige otra.", "Essa senha está entre as primeiras que os atacantes tentam. Escolha outra.";
        password_personal: "That is little more than your own address or name, or this site's. Choose another.", "Es poco más que tu propio correo o nombre, o el de este sitio. Elige otra.", "É pouco mais que o seu próprio e-mail ou nome, ou o deste site. Escolha outra.";
        check_fields: "Please correct the field marked below.", "Corrige el campo señalado abajo.", "Corrija o campo indicado abaixo.";
    }
}

#[test]
fn every_text_has_as_many_gaps_in_each_language() {
    crate::gaps::are_even(Words::all);
}
