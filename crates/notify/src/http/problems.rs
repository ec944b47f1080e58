//! What notify refuses, as programs and people are told.

baluarte_web::problems! {
    CANNOT_RESEND = CONFLICT "notify.cannot_resend" {
        title: "This message is not sent again", "Este mensaje no se reenvía", "Esta mensagem não é reenviada";
        explanation: "Only a message that nobody has taken can be sent again, and only while it is useful.", "Solo se reenvía un mensaje que nadie aceptó, y solo mientras sirve.", "Só se reenvia uma mensagem que ninguém aceitou, e só enquanto ela é útil.";
        remedy: "Let the person ask for a new message.", "Haz que la persona pida un mensaje nuevo.", "Faça a pessoa pedir uma nova mensagem.";
    }
    BAD_NUMBER = UNPROCESSABLE_ENTITY "notify.bad_number" {
        title: "Not a telephone number", "No es un número de teléfono", "Não é um número de telefone";
        explanation: "Text messages go to numbers in the international form.", "Los mensajes de texto van a números en formato internacional.", "As mensagens de texto vão para números no formato internacional.";
        remedy: "Write it with + and the code of the country: +351912345678.", "Escríbelo con + y el código del país: +351912345678.", "Escreva-o com + e o código do país: +351912345678.";
    }
    NUMBER_REFUSED = UNPROCESSABLE_ENTITY "notify.number_refused" {
        title: "No text messages to this number", "No se envían mensajes a este número", "Não enviamos mensagens para este número";
        explanation: "This site sends text messages only to some countries, and never to premium-rate numbers.", "Este sitio solo envía mensajes de texto a algunos países, y nunca a números de tarificación especial.", "Este site só envia mensagens de texto para alguns países, e nunca para números de valor acrescentado.";
        remedy: "Use another number or another way.", "Usa otro número u otro medio.", "Use outro número ou outro meio.";
    }
    BUDGET_SPENT = TOO_MANY_REQUESTS "notify.budget_spent" {
        title: "Too many text messages", "Demasiados mensajes de texto", "Mensagens de texto demais";
        explanation: "No more text messages are sent for now.", "Por ahora no se envían más mensajes de texto.", "Por enquanto não são enviadas mais mensagens de texto.";
        remedy: "Try again later, or use another way.", "Inténtalo más tarde o usa otro medio.", "Tente mais tarde ou use outro meio.";
    }
    NOT_GENUINE = FORBIDDEN "notify.not_genuine" {
        title: "Not signed by the provider", "No está firmado por el proveedor", "Não está assinado pelo provedor";
        explanation: "The signature of this report is missing or is not the provider's.", "La firma de este informe falta o no es del proveedor.", "A assinatura deste relatório falta ou não é do provedor.";
        remedy: "Check the configured secret or key, and that the provider calls the public address.", "Revisa el secreto o la clave configurados y que el proveedor llame a la dirección pública.", "Confira o segredo ou a chave configurados e que o provedor chame o endereço público.";
    }
    STALE = FORBIDDEN "notify.stale" {
        title: "Signed too long ago", "Firmado hace demasiado tiempo", "Assinado há tempo demais";
        explanation: "The report is genuine, and its signature is older than five minutes.", "El informe es auténtico, pero su firma tiene más de cinco minutos.", "O relatório é autêntico, mas a sua assinatura tem mais de cinco minutos.";
        remedy: "Check the clock of this machine.", "Revisa el reloj de esta máquina.", "Confira o relógio desta máquina.";
    }
    REPORT_UNREADABLE = BAD_REQUEST "notify.report_unreadable" {
        title: "The report could not be read", "No se pudo leer el informe", "O relatório não pôde ser lido";
        explanation: "The report is genuine, and not in the form that was expected.", "El informe es auténtico, pero no tiene la forma esperada.", "O relatório é autêntico, mas não tem a forma esperada.";
        remedy: "Check which events the provider is set up to send here.", "Revisa qué eventos envía el proveedor aquí.", "Confira quais eventos o provedor envia para cá.";
    }
}
