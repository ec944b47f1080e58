//! The codes every component shares.

crate::problems! {
    INTERNAL = INTERNAL_SERVER_ERROR "web.internal" {
        title: "Something went wrong on our side", "Algo salió mal de nuestro lado", "Algo deu errado do nosso lado";
        explanation: "The server met an error it did not expect. It has been recorded.", "El servidor encontró un error inesperado. Quedó registrado.", "O servidor encontrou um erro inesperado. Ele foi registrado.";
        remedy: "Try again in a moment. If it keeps happening, send the reference to support.", "Inténtalo de nuevo en un momento. Si sigue pasando, envía la referencia a soporte.", "Tente de novo em um instante. Se continuar, envie a referência ao suporte.";
    }
    NOT_FOUND = NOT_FOUND "web.not_found" {
        title: "Nothing here", "Aquí no hay nada", "Não há nada aqui";
        explanation: "There is nothing at this address, or nothing that you may see.", "No hay nada en esta dirección, o nada que puedas ver.", "Não há nada neste endereço, ou nada que você possa ver.";
        remedy: "Check the address, or start again from the home page.", "Revisa la dirección o vuelve a empezar desde el inicio.", "Confira o endereço ou recomece pela página inicial.";
    }
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "web.method_not_allowed" {
        title: "This address does not do that", "Esta dirección no hace eso", "Este endereço não faz isso";
        explanation: "The address exists, but not for this HTTP method.", "La dirección existe, pero no para este método HTTP.", "O endereço existe, mas não para este método HTTP.";
        remedy: "Use one of the methods in the Allow header.", "Usa uno de los métodos de la cabecera Allow.", "Use um dos métodos do cabeçalho Allow.";
    }
    MALFORMED_JSON = BAD_REQUEST "web.malformed_json" {
        title: "Not valid JSON", "JSON no válido", "JSON inválido";
        explanation: "The body of the request could not be read as JSON.", "El cuerpo de la petición no se pudo leer como JSON.", "O corpo da requisição não pôde ser lido como JSON.";
        remedy: "Correct the body; the detail says where reading stopped.", "Corrige el cuerpo; el detalle dice dónde se detuvo la lectura.", "Corrija o corpo; o detalhe diz onde a leitura parou.";
    }
    MALFORMED_BODY = BAD_REQUEST "web.malformed_body" {
        title: "The body could not be read", "No se pudo leer el cuerpo", "O corpo não pôde ser lido";
        explanation: "The body of the request was cut off or is not valid text.", "El cuerpo de la petición se cortó o no es texto válido.", "O corpo da requisição foi interrompido ou não é texto válido.";
        remedy: "Send the request again, in full, as UTF-8.", "Envía la petición de nuevo, completa y en UTF-8.", "Envie a requisição de novo, completa e em UTF-8.";
    }
    INVALID_FIELDS = UNPROCESSABLE_ENTITY "web.invalid_fields" {
        title: "Some fields are not valid", "Algunos campos no son válidos", "Alguns campos não são válidos";
        explanation: "The request was understood, but some of its values cannot be accepted.", "La petición se entendió, pero algunos valores no se pueden aceptar.", "A requisição foi entendida, mas alguns valores não podem ser aceitos.";
        remedy: "Correct the fields listed under errors.", "Corrige los campos que aparecen en errors.", "Corrija os campos listados em errors.";
    }
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "web.unsupported_media_type" {
        title: "Content type not supported", "Tipo de contenido no admitido", "Tipo de conteúdo não suportado";
        explanation: "This address does not read bodies of that content type.", "Esta dirección no lee cuerpos de ese tipo de contenido.", "Este endereço não lê corpos desse tipo de conteúdo.";
        remedy: "Send the Content-Type that the documentation names, usually application/json.", "Envía el Content-Type que indica la documentación, normalmente application/json.", "Envie o Content-Type que a documentação indica, normalmente application/json.";
    }
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE "web.body_too_large" {
        title: "Too much data", "Demasiados datos", "Dados demais";
        explanation: "The body of the request is larger than this server accepts.", "El cuerpo de la petición es mayor de lo que acepta este servidor.", "O corpo da requisição é maior do que este servidor aceita.";
        remedy: "Send less, or in several requests.", "Envía menos, o en varias peticiones.", "Envie menos, ou em várias requisições.";
    }
    BODY_TOO_SLOW = REQUEST_TIMEOUT "web.body_too_slow" {
        title: "The request took too long to arrive", "La petición tardó demasiado en llegar", "A requisição demorou demais para chegar";
        explanation: "The body of the request came more slowly than this server waits for.", "El cuerpo de la petición llegó más lento de lo que espera este servidor.", "O corpo da requisição chegou mais devagar do que este servidor espera.";
        remedy: "Check the connection and send it again.", "Revisa la conexión y envíala de nuevo.", "Verifique a conexão e envie de novo.";
    }
    SIGN_IN_REQUIRED = UNAUTHORIZED "web.sign_in_required" {
        title: "Sign in first", "Inicia sesión primero", "Entre primeiro";
        explanation: "This needs an account, and the request carried no valid credential.", "Esto necesita una cuenta y la petición no traía una credencial válida.", "Isto exige uma conta e a requisição não trazia uma credencial válida.";
        remedy: "Sign in, or send a valid access token.", "Inicia sesión o envía un token de acceso válido.", "Entre ou envie um token de acesso válido.";
    }
    FORBIDDEN = FORBIDDEN "web.forbidden" {
        title: "Not for this account", "No es para esta cuenta", "Não é para esta conta";
        explanation: "You are signed in, but this account may not do that.", "Has iniciado sesión, pero esta cuenta no puede hacer eso.", "Você entrou, mas esta conta não pode fazer isso.";
        remedy: "Ask an administrator for the role it needs, or use another account.", "Pide a un administrador el rol necesario o usa otra cuenta.", "Peça a um administrador a função necessária ou use outra conta.";
    }
    KEY_REFUSED = FORBIDDEN "web.key_refused" {
        title: "Not with an API key", "No con una clave de API", "Não com uma chave de API";
        explanation: "API keys only do what their scopes name. What concerns the account itself, such as its password, its devices or its keys, takes somebody who has signed in.", "Las claves de API solo hacen lo que dicen sus alcances. Lo que toca a la cuenta misma, como su contraseña, sus dispositivos o sus claves, necesita a alguien que haya iniciado sesión.", "As chaves de API só fazem o que os seus escopos dizem. O que diz respeito à própria conta, como a senha, os dispositivos ou as chaves, precisa de alguém que tenha entrado.";
        remedy: "Sign in and use the access token or the session.", "Inicia sesión y usa el token de acceso o la sesión.", "Entre e use o token de acesso ou a sessão.";
    }
    CROSS_ORIGIN = FORBIDDEN "web.cross_origin" {
        title: "Request from another site", "Petición desde otro sitio", "Requisição de outro site";
        explanation: "The browser could not show that this request comes from our own pages, so the session was not used.", "El navegador no pudo demostrar que esta petición viene de nuestras páginas, así que no se usó la sesión.", "O navegador não pôde mostrar que esta requisição vem das nossas páginas, então a sessão não foi usada.";
        remedy: "Open the page again and repeat the action there. Programs: use an access token instead of the cookie.", "Abre la página otra vez y repite la acción allí. Programas: usa un token de acceso en lugar de la cookie.", "Abra a página de novo e repita a ação ali. Programas: use um token de acesso em vez do cookie.";
    }
    UNAVAILABLE = SERVICE_UNAVAILABLE "web.unavailable" {
        title: "Not available right now", "No disponible en este momento", "Indisponível no momento";
        explanation: "A part this needs, such as the database, cannot be reached at the moment.", "Una parte necesaria, como la base de datos, no responde en este momento.", "Uma parte necessária, como o banco de dados, não responde no momento.";
        remedy: "Try again in a few seconds.", "Inténtalo de nuevo en unos segundos.", "Tente de novo em alguns segundos.";
    }
}
