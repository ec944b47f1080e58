//! The edge's problem codes.

baluarte_web::problems! {
    BAD_REQUEST = BAD_REQUEST "edge.bad_request" {
        title: "The request is not valid HTTP", "La petición no es HTTP válido", "A requisição não é HTTP válido";
        explanation: "The request breaks a rule of HTTP that keeps servers from misunderstanding each other.", "La petición incumple una regla de HTTP que evita que los servidores se malinterpreten.", "A requisição viola uma regra do HTTP que evita que os servidores se desentendam.";
        remedy: "The detail names the rule; correct the program that sent the request.", "El detalle indica la regla; corrige el programa que envió la petición.", "O detalhe indica a regra; corrija o programa que enviou a requisição.";
    }
    HEADERS_TOO_LARGE = REQUEST_HEADER_FIELDS_TOO_LARGE "edge.headers_too_large" {
        title: "The request's headers are too large", "Las cabeceras de la petición son demasiado grandes", "Os cabeçalhos da requisição são grandes demais";
        explanation: "The headers are larger or more numerous than this server accepts; often too many cookies.", "Las cabeceras son más grandes o numerosas de lo que este servidor acepta; a menudo, demasiadas cookies.", "Os cabeçalhos são maiores ou mais numerosos do que este servidor aceita; muitas vezes, cookies demais.";
        remedy: "Delete this site's cookies and try again.", "Borra las cookies de este sitio e inténtalo de nuevo.", "Apague os cookies deste site e tente de novo.";
    }
    TARGET_TOO_LONG = URI_TOO_LONG "edge.target_too_long" {
        title: "The address is too long", "La dirección es demasiado larga", "O endereço é longo demais";
        explanation: "The address is longer than this server accepts.", "La dirección es más larga de lo que este servidor acepta.", "O endereço é mais longo do que este servidor aceita.";
        remedy: "Send the data in the body of a POST request.", "Envía los datos en el cuerpo de una petición POST.", "Envie os dados no corpo de uma requisição POST.";
    }
    NOT_IMPLEMENTED = NOT_IMPLEMENTED "edge.not_implemented" {
        title: "Not supported here", "No se admite aquí", "Não suportado aqui";
        explanation: "The request uses a method or transfer coding that this server does not support.", "La petición usa un método o una codificación de transferencia que este servidor no admite.", "A requisição usa um método ou uma codificação de transferência que este servidor não suporta.";
        remedy: "Use a registered HTTP method and no transfer coding but chunked.", "Usa un método HTTP registrado y ninguna codificación de transferencia salvo chunked.", "Use um método HTTP registrado e nenhuma codificação de transferência além de chunked.";
    }
    VERSION_NOT_SUPPORTED = HTTP_VERSION_NOT_SUPPORTED "edge.version_not_supported" {
        title: "HTTP version not supported", "Versión de HTTP no admitida", "Versão de HTTP não suportada";
        explanation: "The request names a version of HTTP that this server does not speak.", "La petición nombra una versión de HTTP que este servidor no habla.", "A requisição indica uma versão de HTTP que este servidor não fala.";
        remedy: "Use HTTP/1.1 or HTTP/2.", "Usa HTTP/1.1 o HTTP/2.", "Use HTTP/1.1 ou HTTP/2.";
    }
    EXPECTATION_FAILED = EXPECTATION_FAILED "edge.expectation_failed" {
        title: "Expectation not supported", "Expectativa no admitida", "Expectativa não suportada";
        explanation: "The Expect header asks for something other than 100-continue.", "La cabecera Expect pide algo distinto de 100-continue.", "O cabeçalho Expect pede algo diferente de 100-continue.";
        remedy: "Send the request without the Expect header.", "Envía la petición sin la cabecera Expect.", "Envie a requisição sem o cabeçalho Expect.";
    }
    REQUEST_TIMEOUT = REQUEST_TIMEOUT "edge.request_timeout" {
        title: "The request came too slowly", "La petición llegó demasiado despacio", "A requisição chegou devagar demais";
        explanation: "The request was not complete in time.", "La petición no llegó completa a tiempo.", "A requisição não chegou completa a tempo.";
        remedy: "Try again over a better connection.", "Inténtalo de nuevo con una conexión mejor.", "Tente de novo com uma conexão melhor.";
    }
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE "edge.body_too_large" {
        title: "Too much data", "Demasiados datos", "Dados demais";
        explanation: "The request carries more data than this server accepts.", "La petición lleva más datos de los que este servidor acepta.", "A requisição traz mais dados do que este servidor aceita.";
        remedy: "Send a smaller file or split the request.", "Envía un archivo más pequeño o divide la petición.", "Envie um arquivo menor ou divida a requisição.";
    }
    ANSWER_TIMEOUT = SERVICE_UNAVAILABLE "edge.answer_timeout" {
        title: "The answer took too long", "La respuesta tardó demasiado", "A resposta demorou demais";
        explanation: "The server could not finish its answer in time.", "El servidor no pudo terminar su respuesta a tiempo.", "O servidor não conseguiu terminar a resposta a tempo.";
        remedy: "Try again in a moment.", "Inténtalo de nuevo en un momento.", "Tente de novo em um instante.";
    }
}
