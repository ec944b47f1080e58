baluarte_web::texts! {
    /// The words of the pages about second factors.
    pub(in crate::pages) struct FactorWords {
        over: "That took too long, or there were too many wrong codes. Sign in again.", "Pasó demasiado tiempo o hubo demasiados códigos incorrectos. Inicia sesión de nuevo.", "Passou tempo demais ou houve códigos errados demais. Entre de novo.";

        step: "One more step", "Un paso más", "Mais uma etapa";
        step_totp: "Open your authenticator app and enter the code it shows for {}.", "Abre tu aplicación de autenticación y escribe el código que muestra para {}.", "Abra o seu aplicativo autenticador e digite o código que ele mostra para {}.";
        step_email_sent: "We sent a code to {}. It is good for ten minutes after you entered your password.", "Enviamos un código a {}. Sirve durante diez minutos desde que escribiste tu contraseña.", "Enviamos um código para {}. Ele vale por dez minutos depois de digitar a sua senha.";
        step_email: "We can send a code to {}.", "Podemos enviar un código a {}.", "Podemos enviar um código para {}.";
        step_recovery: "Enter one of the recovery codes that you printed or wrote down. Each works once.", "Escribe uno de los códigos de recuperación que imprimiste o anotaste. Cada uno sirve una vez.", "Digite um dos códigos de recuperação que você imprimiu ou anotou. Cada um vale uma vez.";
        step_none: "None of your second steps can be used right now. Ask whoever runs this site for help.", "Ninguno de tus segundos pasos se puede usar ahora. Pide ayuda a quien administra este sitio.", "Nenhuma das suas segundas etapas pode ser usada agora. Peça ajuda a quem administra este site.";
        code: "Code", "Código", "Código";
        code_hint: "Six digits.", "Seis cifras.", "Seis dígitos.";
        recovery_code: "Recovery code", "Código de recuperación", "Código de recuperação";
        recovery_hint: "Twelve letters and digits, such as 7K2M-9QXT-04HV.", "Doce letras y cifras, como 7K2M-9QXT-04HV.", "Doze letras e dígitos, como 7K2M-9QXT-04HV.";
        trust_days: "Do not ask again on this device for {}", "No volver a preguntar en este dispositivo durante {}", "Não perguntar de novo neste dispositivo por {}";
        trust_hint: "Only on a device that nobody else uses.", "Solo en un dispositivo que nadie más use.", "Só em um dispositivo que mais ninguém usa.";
        days: "{} days", "{} días", "{} dias";
        hours: "{} h", "{} h", "{} h";
        go_on: "Continue", "Continuar", "Continuar";
        send: "Send a code", "Enviar un código", "Enviar um código";
        resend: "Send another code", "Enviar otro código", "Enviar outro código";
        resend_in: "You can ask for another code in {} seconds. It voids this one.", "Podrás pedir otro código en {} segundos. Anula este.", "Você poderá pedir outro código em {} segundos. Ele anula este.";
        resend_now: "Nothing arrived? Another code voids the earlier one.", "¿No llegó nada? Otro código anula el anterior.", "Não chegou nada? Outro código anula o anterior.";
        other_ways: "Other ways", "Otras formas", "Outras formas";
        use_totp: "Use the authenticator app", "Usar la aplicación de autenticación", "Usar o aplicativo autenticador";
        use_passkey: "Use a passkey", "Usar una llave de acceso", "Usar uma chave de acesso";
        step_passkey: "Confirm with your passkey that it is you.", "Confirma con tu llave de acceso que eres tú.", "Confirme com a sua chave de acesso que é você.";
        passkey_use: "Continue with a passkey", "Continuar con una llave de acceso", "Continuar com uma chave de acesso";
        passkey_sign_in: "Sign in with a passkey", "Iniciar sesión con una llave de acceso", "Entrar com uma chave de acesso";
        passkey_off: "Passkeys need JavaScript and a browser that knows them.", "Las llaves de acceso necesitan JavaScript y un navegador que las conozca.", "As chaves de acesso precisam de JavaScript e de um navegador que as conheça.";
        passkey_failed: "That did not work, or was cancelled. Try again.", "No funcionó o se canceló. Inténtalo de nuevo.", "Não funcionou ou foi cancelado. Tente de novo.";
        passkey_refused: "That passkey was not accepted. Try again, or use your password.", "Esa llave de acceso no se aceptó. Inténtalo de nuevo o usa tu contraseña.", "Essa chave de acesso não foi aceita. Tente de novo ou use a sua senha.";
        passkey_exists: "That passkey is set up already.", "Esa llave de acceso ya está configurada.", "Essa chave de acesso já está configurada.";
        passkey_many: "There are twenty passkeys already. Remove one first.", "Ya hay veinte llaves de acceso. Quita antes una.", "Já há vinte chaves de acesso. Remova uma antes.";
        passkeys: "Passkeys", "Llaves de acceso", "Chaves de acesso";
        passkeys_lead: "Your device recognises you, by a finger, a face or a PIN, and signs you in without a password. Nobody can be tricked into giving one away.", "Tu dispositivo te reconoce por un dedo, una cara o un PIN y te deja entrar sin contraseña. Nadie puede engañarte para que la entregues.", "O seu dispositivo reconhece você por um dedo, um rosto ou um PIN e deixa você entrar sem senha. Ninguém consegue enganar você para entregá-la.";
        passkey_add: "Add a passkey", "Añadir una llave de acceso", "Adicionar uma chave de acesso";
        passkey_new: "A new passkey", "Una llave de acceso nueva", "Uma nova chave de acesso";
        passkey_new_lead: "Give it a name, then your device asks whether it is you.", "Dale un nombre; después tu dispositivo pregunta si eres tú.", "Dê um nome a ela; depois o seu dispositivo pergunta se é você.";
        passkey_name: "Name", "Nombre", "Nome";
        passkey_name_hint: "So that you know it again.", "Para que la reconozcas.", "Para que você a reconheça.";
        passkey_create: "Create the passkey", "Crear la llave de acceso", "Criar a chave de acesso";
        passkey_synced: "Synced between your devices.", "Sincronizada entre tus dispositivos.", "Sincronizada entre os seus dispositivos.";
        passkey_remove: "Remove the passkey", "Quitar la llave de acceso", "Remover a chave de acesso";
        rename: "Rename", "Cambiar nombre", "Renomear";
        rename_of: "Rename {}", "Cambiar el nombre de {}", "Renomear {}";
        remove_of: "Remove {}", "Quitar {}", "Remover {}";
        save: "Save", "Guardar", "Salvar";
        done_passkey: "The passkey is set up.", "La llave de acceso está configurada.", "A chave de acesso está configurada.";
        use_sms: "Send a code by text message", "Enviar un código por SMS", "Enviar um código por SMS";
        use_email: "Send a code by e-mail", "Enviar un código por correo", "Enviar um código por e-mail";
        use_recovery: "Use a recovery code", "Usar un código de recuperación", "Usar um código de recuperação";
        start_over: "Start over", "Empezar de nuevo", "Começar de novo";
        wrong_code: "That code is not right, too old, or was used already.", "Ese código no es correcto, es demasiado antiguo o ya se usó.", "Esse código não está correto, é antigo demais ou já foi usado.";
        code_missing: "Enter the code.", "Escribe el código.", "Digite o código.";
        too_soon: "A code was sent a moment ago. You can ask for another one in {}.", "Se envió un código hace un momento. Podrás pedir otro en {}.", "Um código foi enviado há pouco. Você poderá pedir outro em {}.";

        enrol: "Protect your account", "Protege tu cuenta", "Proteja a sua conta";
        enrol_lead: "Your account needs a second step besides the password. Choose one; it takes a minute.", "Tu cuenta necesita un segundo paso además de la contraseña. Elige uno; toma un minuto.", "A sua conta precisa de uma segunda etapa além da senha. Escolha uma; leva um minuto.";
        totp: "Authenticator app", "Aplicación de autenticación", "Aplicativo autenticador";
        totp_lead: "An app on your phone shows a new code every 30 seconds. Works without a network.", "Una aplicación en tu teléfono muestra un código nuevo cada 30 segundos. Funciona sin red.", "Um aplicativo no seu telefone mostra um código novo a cada 30 segundos. Funciona sem rede.";
        sms: "Codes by text message", "Códigos por SMS", "Códigos por SMS";
        sms_lead: "We send a code to your telephone when you sign in. Weaker than an app: numbers can be taken over.", "Enviamos un código a tu teléfono cuando inicias sesión. Más débil que una aplicación: pueden apropiarse de un número.", "Enviamos um código para o seu telefone quando você entra. Mais fraco que um aplicativo: um número pode ser tomado por outra pessoa.";
        set_up_sms: "Set up codes by text message", "Configurar códigos por SMS", "Configurar códigos por SMS";
        remove_sms: "Remove codes by text message", "Quitar códigos por SMS", "Remover códigos por SMS";
        change_number: "Change the number", "Cambiar el número", "Trocar o número";
        other_number: "Another number", "Otro número", "Outro número";
        phone_title: "Your telephone number", "Tu número de teléfono", "O seu número de telefone";
        phone_lead: "We send a code there to see that it is yours.", "Enviamos un código ahí para ver que es tuyo.", "Enviamos um código para ver que ele é seu.";
        phone: "Telephone number", "Número de teléfono", "Número de telefone";
        phone_hint: "With the country's code, such as +351 912 345 678.", "Con el código del país, como +34 612 345 678.", "Com o código do país, como +55 11 96123-4567.";
        phone_bad: "Enter a number with the country's code, such as +351 912 345 678.", "Escribe un número con el código del país, como +34 612 345 678.", "Digite um número com o código do país, como +55 11 96123-4567.";
        phone_refused: "This site sends no text messages to that number.", "Este sitio no envía SMS a ese número.", "Este site não envia SMS para esse número.";
        confirm_phone: "Confirm your number", "Confirma tu número", "Confirme o seu número";
        confirm_phone_lead: "We sent a code to {}. Enter it to receive codes there from now on.", "Enviamos un código a {}. Escríbelo para recibir códigos ahí a partir de ahora.", "Enviamos um código para {}. Digite-o para receber códigos nele a partir de agora.";
        email: "Codes by e-mail", "Códigos por correo", "Códigos por e-mail";
        email_lead: "We send a code to your address when you sign in. Weaker than an app: whoever reads your mail gets it.", "Enviamos un código a tu correo cuando inicias sesión. Más débil que una aplicación: quien lea tu correo lo obtiene.", "Enviamos um código para o seu e-mail quando você entra. Mais fraco que um aplicativo: quem lê o seu e-mail o obtém.";
        set_up: "Set up", "Configurar", "Configurar";
        set_up_totp: "Set up the authenticator app", "Configurar la aplicación de autenticación", "Configurar o aplicativo autenticador";
        set_up_email: "Set up codes by e-mail", "Configurar códigos por correo", "Configurar códigos por e-mail";
        scan: "Scan this with your authenticator app", "Escanea esto con tu aplicación de autenticación", "Escaneie isto com o seu aplicativo autenticador";
        scan_lead: "Aegis, 2FAS, Google Authenticator, Bitwarden and others can. Then enter the code that the app shows.", "Sirven Aegis, 2FAS, Google Authenticator, Bitwarden y otras. Después escribe el código que muestra la aplicación.", "Servem Aegis, 2FAS, Google Authenticator, Bitwarden e outros. Depois digite o código que o aplicativo mostra.";
        qr_label: "QR code for the authenticator app", "Código QR para la aplicación de autenticación", "Código QR para o aplicativo autenticador";
        cannot_scan: "Cannot scan it?", "¿No puedes escanearlo?", "Não consegue escanear?";
        by_hand: "Open this link on the phone, or type the key into the app (by time, six digits):", "Abre este enlace en el teléfono o escribe la clave en la aplicación (por tiempo, seis cifras):", "Abra este link no telefone ou digite a chave no aplicativo (por tempo, seis dígitos):";
        open_app: "Open in the app", "Abrir en la aplicación", "Abrir no aplicativo";
        turn_on: "Turn on", "Activar", "Ativar";
        confirm_email: "Confirm your address", "Confirma tu correo", "Confirme o seu e-mail";
        confirm_email_lead: "We sent a code to {}. Enter it to receive codes there from now on.", "Enviamos un código a {}. Escríbelo para recibir códigos ahí a partir de ahora.", "Enviamos um código para {}. Digite-o para receber códigos nele a partir de agora.";

        codes: "Your recovery codes", "Tus códigos de recuperación", "Os seus códigos de recuperação";
        codes_lead: "Print them or write them down now: they are not shown again. Each signs you in once when your phone or mailbox is out of reach.", "Imprímelos o anótalos ahora: no se mostrarán otra vez. Cada uno te deja entrar una vez cuando no tengas tu teléfono o tu correo.", "Imprima ou anote agora: eles não serão mostrados de novo. Cada um deixa você entrar uma vez quando o telefone ou o e-mail não estiver ao alcance.";
        codes_void: "Earlier recovery codes do not work any more.", "Los códigos de recuperación anteriores ya no sirven.", "Os códigos de recuperação anteriores não valem mais.";
        codes_for: "Account {} at {}, {}", "Cuenta {} en {}, {}", "Conta {} em {}, {}";
        print: "Print", "Imprimir", "Imprimir";
        codes_kept: "I have kept them", "Ya los guardé", "Já os guardei";

        factors: "Two-step sign-in", "Verificación en dos pasos", "Verificação em duas etapas";
        factors_lead: "Whoever learns your password still cannot sign in.", "Aunque alguien sepa tu contraseña, no podrá entrar.", "Mesmo que alguém saiba a sua senha, não conseguirá entrar.";
        manage: "Manage", "Administrar", "Gerenciar";
        is_on: "On", "Activado", "Ativado";
        is_off: "Off", "Desactivado", "Desativado";
        needed: "Your role needs at least one of them.", "Tu rol necesita al menos uno de ellos.", "O seu papel precisa de pelo menos um deles.";
        switched_off: "Whoever runs this site has switched second steps off for your role.", "Quien administra este sitio desactivó los segundos pasos para tu rol.", "Quem administra este site desativou as segundas etapas para o seu papel.";
        on_since: "On since {}.", "Activado desde {}.", "Ativado desde {}.";
        last_used: "Last used {}.", "Último uso: {}.", "Último uso: {}.";
        remove: "Remove", "Quitar", "Remover";
        remove_totp: "Remove the authenticator app", "Quitar la aplicación de autenticación", "Remover o aplicativo autenticador";
        remove_email: "Remove codes by e-mail", "Quitar códigos por correo", "Remover códigos por e-mail";
        remove_lead: "Your other devices will be signed out, and no device is trusted any more.", "Tus otros dispositivos cerrarán sesión y ningún dispositivo seguirá siendo de confianza.", "Os seus outros dispositivos serão desconectados e nenhum dispositivo continuará confiável.";
        last_one: "This is the second step that your role needs. Set up another one first.", "Es el segundo paso que tu rol necesita. Configura antes otro.", "É a segunda etapa de que o seu papel precisa. Configure outra antes.";
        recovery: "Recovery codes", "Códigos de recuperación", "Códigos de recuperação";
        recovery_left: "{} of 10 left.", "Quedan {} de 10.", "Restam {} de 10.";
        recovery_lead: "On paper, for when your phone or mailbox is out of reach.", "En papel, para cuando no tengas tu teléfono o tu correo.", "No papel, para quando o telefone ou o e-mail não estiver ao alcance.";
        replace: "Make new ones", "Generar nuevos", "Gerar novos";
        replace_title: "Make new recovery codes", "Generar códigos de recuperación nuevos", "Gerar novos códigos de recuperação";
        replace_lead: "The ones you have now stop working.", "Los que tienes ahora dejarán de servir.", "Os que você tem agora deixarão de valer.";
        trusted: "Trusted devices", "Dispositivos de confianza", "Dispositivos confiáveis";
        trusted_lead: "They are asked for the password only.", "Solo se les pide la contraseña.", "Só a senha é pedida a eles.";
        trusted_until: "Until", "Hasta", "Até";
        forget: "Ask again", "Volver a preguntar", "Perguntar de novo";
        forget_device: "Ask again on {}", "Volver a preguntar en {}", "Perguntar de novo em {}";
        again: "Show that it is still you", "Demuestra que sigues siendo tú", "Mostre que ainda é você";
        confirm_lead: "You signed in a while ago. Enter your password to go on.", "Iniciaste sesión hace un rato. Escribe tu contraseña para continuar.", "Você entrou há algum tempo. Digite a sua senha para continuar.";
        confirm_sent: "We sent a code to {}. It is good for ten minutes.", "Enviamos un código a {}. Sirve durante diez minutos.", "Enviamos um código para {}. Ele vale por dez minutos.";
        again_lead: "This changes how your account is protected. Enter your password to go on.", "Esto cambia cómo se protege tu cuenta. Escribe tu contraseña para continuar.", "Isto muda como a sua conta é protegida. Digite a sua senha para continuar.";
        back: "Back", "Volver", "Voltar";
        done_removed: "It is not asked for any more.", "Ya no se pedirá.", "Não será mais pedido.";
        done_added: "It is asked for from now on. Your other devices were signed out.", "Se pedirá a partir de ahora. Tus otros dispositivos cerraron sesión.", "Será pedido a partir de agora. Os seus outros dispositivos foram desconectados.";
        done_forgotten: "That device is asked for the second step again.", "A ese dispositivo se le pedirá de nuevo el segundo paso.", "A segunda etapa será pedida de novo a esse dispositivo.";
    }
}

#[test]
fn every_text_has_as_many_gaps_in_each_language() {
    crate::gaps::are_even(FactorWords::all);
}
