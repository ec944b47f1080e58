use baluarte_kernel::scope;
use baluarte_web::fill;

baluarte_web::texts! {
    /// The words of the pages about API keys.
    pub(in crate::pages) struct KeyWords {
        keys: "API keys", "Claves de API", "Chaves de API";
        keys_lead: "A key lets a program act for you, within the scopes that you give it. It never changes your account.", "Una clave permite que un programa actúe por ti, con los alcances que le des. Nunca cambia tu cuenta.", "Uma chave permite que um programa aja por você, com os escopos que você der. Ela nunca muda a sua conta.";
        manage: "Manage API keys", "Administrar claves de API", "Gerenciar chaves de API";
        back: "Back to the account", "Volver a la cuenta", "Voltar à conta";
        back_to_keys: "Back to the keys", "Volver a las claves", "Voltar às chaves";
        none: "There are no keys yet.", "Aún no hay claves.", "Ainda não há chaves.";
        make: "Make a key", "Crear una clave", "Criar uma chave";
        make_lead: "Give it no more than it needs: whoever has it can do everything its scopes name.", "No le des más de lo que necesita: quien la tenga puede hacer todo lo que dicen sus alcances.", "Não dê mais do que ela precisa: quem a tiver pode fazer tudo o que os escopos dizem.";
        name: "What is it for?", "¿Para qué es?", "Para que serve?";
        name_hint: "Such as “Nightly export”. Only you see it.", "Por ejemplo «Exportación nocturna». Solo tú lo ves.", "Por exemplo “Exportação noturna”. Só você vê.";
        bad_name: "Enter 1 to 100 characters, without line breaks.", "Escribe de 1 a 100 caracteres, sin saltos de línea.", "Digite de 1 a 100 caracteres, sem quebras de linha.";
        scopes: "Scopes", "Alcances", "Escopos";
        no_scope: "Choose at least one.", "Elige al menos uno.", "Escolha pelo menos um.";
        scope_profile: "Read your profile", "Leer tu perfil", "Ler o seu perfil";
        scope_app: "Use the app as you, wherever being signed in is enough", "Usar la aplicación como tú, donde basta con haber iniciado sesión", "Usar o aplicativo como você, onde basta ter entrado";
        scope_jobs: "Have addresses called later, and look after those calls", "Programar llamadas a direcciones y ocuparse de ellas", "Agendar chamadas a endereços e cuidar delas";
        scope_monitor: "Look whether everything is well", "Mirar si todo está bien", "Ver se está tudo bem";
        scope_other: "What this site calls “{}”", "Lo que este sitio llama «{}»", "O que este site chama de “{}”";
        ends: "Ends after", "Termina después de", "Termina depois de";
        days: "{} days", "{} días", "{} dias";
        new_key: "Your new key", "Tu clave nueva", "A sua nova chave";
        new_key_lead: "Copy it now: it is not shown again, and we keep only what is needed to recognise it.", "Cópiala ahora: no se vuelve a mostrar y solo guardamos lo necesario para reconocerla.", "Copie agora: ela não é mostrada de novo e guardamos só o necessário para reconhecê-la.";
        copy: "Copy", "Copiar", "Copiar";
        copied: "Copied", "Copiada", "Copiada";
        kept: "I have kept it", "Ya la guardé", "Já guardei";
        send_it: "Programs send it as a header, never in an address:", "Los programas la envían en una cabecera, nunca en una dirección:", "Os programas a enviam em um cabeçalho, nunca em um endereço:";
        made_at: "Made", "Creada", "Criada";
        used_at: "last used", "último uso", "último uso";
        never_used: "never used", "sin usar", "nunca usada";
        ends_at: "ends", "termina", "termina";
        ended: "Ended", "Terminada", "Terminada";
        replaced: "Replaced", "Reemplazada", "Substituída";
        rotate: "Rotate", "Renovar", "Renovar";
        rotate_one: "Rotate the key {}", "Renovar la clave {}", "Renovar a chave {}";
        rotate_lead: "You get another key with the same scopes for “{}”. The old one can go on for a while, so that nothing stops.", "Recibes otra clave con los mismos alcances para «{}». La anterior puede seguir un tiempo para que nada se detenga.", "Você recebe outra chave com os mesmos escopos para “{}”. A anterior pode continuar por um tempo para que nada pare.";
        overlap: "The old key ends", "La clave anterior termina", "A chave anterior termina";
        at_once: "At once", "De inmediato", "Imediatamente";
        in_hour: "In an hour", "En una hora", "Em uma hora";
        in_day: "In a day", "En un día", "Em um dia";
        in_week: "In a week", "En una semana", "Em uma semana";
        in_month: "In 30 days", "En 30 días", "Em 30 dias";
        revoke: "Revoke", "Revocar", "Revogar";
        revoke_one: "Revoke the key {}", "Revocar la clave {}", "Revogar a chave {}";
        done_revoked: "The key does not work any more.", "La clave ya no funciona.", "A chave não funciona mais.";
        gone: "That key is gone or has been replaced.", "Esa clave ya no existe o fue reemplazada.", "Essa chave não existe mais ou foi substituída.";
        too_many: "You have as many keys as one can have. Revoke one that is not used any more.", "Tienes el máximo de claves. Revoca una que ya no se use.", "Você tem o máximo de chaves. Revogue uma que não é mais usada.";
    }
}

impl KeyWords {
    /// What a scope means, for people.
    pub(super) fn scope(&self, name: &str) -> String {
        match name {
            scope::PROFILE => self.scope_profile.to_owned(),
            scope::APP => self.scope_app.to_owned(),
            scope::JOBS => self.scope_jobs.to_owned(),
            scope::MONITOR => self.scope_monitor.to_owned(),
            other => fill(self.scope_other, &[other]),
        }
    }
}
