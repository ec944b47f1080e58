//! What the gateway refuses, in the words of people.

baluarte_web::problems! {
    NO_ROUTE = NOT_FOUND "gateway.no_route" {
        title: "There is nothing at this address", "No hay nada en esta dirección", "Não há nada neste endereço";
        explanation: "No route leads from this host and path to an application.", "Ninguna ruta lleva de este dominio y camino a una aplicación.", "Nenhuma rota leva deste domínio e caminho a uma aplicação.";
        remedy: "Check the address.", "Revisa la dirección.", "Confira o endereço.";
    }
    NO_FILE = NOT_FOUND "gateway.no_file" {
        title: "There is no such file", "No existe ese archivo", "Esse arquivo não existe";
        explanation: "The address belongs to a folder of files, and this one is not among them.", "La dirección pertenece a una carpeta de archivos y este no está entre ellos.", "O endereço pertence a uma pasta de arquivos e este não está entre eles.";
        remedy: "Check the address.", "Revisa la dirección.", "Confira o endereço.";
    }
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "gateway.method_not_allowed" {
        title: "This address does not do that", "Esta dirección no hace eso", "Este endereço não faz isso";
        explanation: "The address exists, but not for this HTTP method.", "La dirección existe, pero no para este método HTTP.", "O endereço existe, mas não para este método HTTP.";
        remedy: "Use one of the methods in the Allow header.", "Usa uno de los métodos de la cabecera Allow.", "Use um dos métodos do cabeçalho Allow.";
    }
    AMBIGUOUS_PATH = BAD_REQUEST "gateway.ambiguous_path" {
        title: "This address can be read in two ways", "Esta dirección se puede leer de dos maneras", "Este endereço pode ser lido de duas formas";
        explanation: "The path holds dots, slashes or escapes that lead to different places depending on who reads it.", "La ruta contiene puntos, barras o escapes que llevan a lugares distintos según quién la lea.", "O caminho contém pontos, barras ou escapes que levam a lugares diferentes conforme quem lê.";
        remedy: "Send the address in its plain form.", "Envía la dirección en su forma simple.", "Envie o endereço na sua forma simples.";
    }
    SIGN_IN_REQUIRED = UNAUTHORIZED "gateway.sign_in_required" {
        title: "Sign in first", "Inicia sesión primero", "Entre primeiro";
        explanation: "This address is for people with an account, and the request carried no valid credential.", "Esta dirección es para personas con cuenta y la petición no traía una credencial válida.", "Este endereço é para pessoas com conta e a requisição não trazia uma credencial válida.";
        remedy: "Sign in, or send a valid access token.", "Inicia sesión o envía un token de acceso válido.", "Entre ou envie um token de acesso válido.";
    }
    STEP_UP_REQUIRED = UNAUTHORIZED "gateway.step_up_required" {
        title: "Show again that it is you", "Demuestra de nuevo que eres tú", "Mostre de novo que é você";
        explanation: "This address asks for people who have shown lately who they are.", "Esta dirección pide que hayas demostrado hace poco quién eres.", "Este endereço pede que você tenha mostrado há pouco quem é.";
        remedy: "Confirm with the second factor or the password (POST /api/v1/auth/step-up), refresh the access token and try again.", "Confirma con el segundo factor o la contraseña (POST /api/v1/auth/step-up), renueva el token de acceso e inténtalo de nuevo.", "Confirme com o segundo fator ou a senha (POST /api/v1/auth/step-up), renove o token de acesso e tente de novo.";
    }
    ROLE_REQUIRED = FORBIDDEN "gateway.role_required" {
        title: "Your account may not open this", "Tu cuenta no puede abrir esto", "Sua conta não pode abrir isto";
        explanation: "This address is for accounts with another role.", "Esta dirección es para cuentas con otro rol.", "Este endereço é para contas com outra função.";
        remedy: "Ask an administrator for the role, or use another account.", "Pide el rol a un administrador o usa otra cuenta.", "Peça a função a um administrador ou use outra conta.";
    }
    PLAN_REQUIRED = FORBIDDEN "gateway.plan_required" {
        title: "Your plan does not include this", "Tu plan no incluye esto", "Seu plano não inclui isto";
        explanation: "This address is for accounts on a higher plan.", "Esta dirección es para cuentas con un plan superior.", "Este endereço é para contas em um plano superior.";
        remedy: "Choose a higher plan.", "Elige un plan superior.", "Escolha um plano superior.";
    }
    SCOPE_REQUIRED = FORBIDDEN "gateway.scope_required" {
        title: "Your key may not do this", "Tu clave no puede hacer esto", "Sua chave não pode fazer isto";
        explanation: "The API key was made without the scope that this address asks for.", "La clave de API se creó sin el alcance que pide esta dirección.", "A chave de API foi criada sem o escopo que este endereço pede.";
        remedy: "Make a key with that scope.", "Crea una clave con ese alcance.", "Crie uma chave com esse escopo.";
    }
    UPSTREAM_UNREACHABLE = BAD_GATEWAY "gateway.upstream_unreachable" {
        title: "The application is not answering", "La aplicación no responde", "A aplicação não responde";
        explanation: "The application behind this address could not be reached, or broke the connection off.", "No se pudo llegar a la aplicación detrás de esta dirección, o cortó la conexión.", "Não foi possível alcançar a aplicação por trás deste endereço, ou ela cortou a conexão.";
        remedy: "Try again in a moment.", "Inténtalo de nuevo en un momento.", "Tente de novo em um instante.";
    }
    UPSTREAM_INVALID = BAD_GATEWAY "gateway.upstream_invalid" {
        title: "The application sent an invalid answer", "La aplicación envió una respuesta no válida", "A aplicação enviou uma resposta inválida";
        explanation: "What the application behind this address sent is not valid HTTP.", "Lo que envió la aplicación detrás de esta dirección no es HTTP válido.", "O que a aplicação por trás deste endereço enviou não é HTTP válido.";
        remedy: "Try again; if it keeps happening, send the reference to support.", "Inténtalo de nuevo; si sigue pasando, envía la referencia a soporte.", "Tente de novo; se continuar, envie a referência ao suporte.";
    }
    UPSTREAM_TIMEOUT = GATEWAY_TIMEOUT "gateway.upstream_timeout" {
        title: "The application took too long", "La aplicación tardó demasiado", "A aplicação demorou demais";
        explanation: "The application behind this address did not answer in time.", "La aplicación detrás de esta dirección no respondió a tiempo.", "A aplicação por trás deste endereço não respondeu a tempo.";
        remedy: "Try again in a moment.", "Inténtalo de nuevo en un momento.", "Tente de novo em um instante.";
    }
    UPSTREAM_BUSY = SERVICE_UNAVAILABLE "gateway.upstream_busy" {
        title: "The application is busy", "La aplicación está ocupada", "A aplicação está ocupada";
        explanation: "As many requests as allowed are under way to the application behind this address.", "La aplicación detrás de esta dirección atiende tantas peticiones como se permiten.", "A aplicação por trás deste endereço atende tantas requisições quantas são permitidas.";
        remedy: "Try again in a few seconds.", "Inténtalo de nuevo en unos segundos.", "Tente de novo em alguns segundos.";
    }
    BAD_ACCESS = BAD_REQUEST "gateway.bad_access" {
        title: "That is not an access rule", "Eso no es una regla de acceso", "Isso não é uma regra de acesso";
        explanation: "The proxy that asks whether a request may pass named a rule that does not exist.", "El proxy que pregunta si una petición puede pasar nombró una regla que no existe.", "O proxy que pergunta se uma requisição pode passar citou uma regra que não existe.";
        remedy: "Use signed-in, role:NAME, plan:NAME or scope:NAME.", "Usa signed-in, role:NOMBRE, plan:NOMBRE o scope:NOMBRE.", "Use signed-in, role:NOME, plan:NOME ou scope:NOME.";
    }
}
