crate::texts! {
    /// The words around the reference; what the operations say of themselves is English.
    pub(super) struct Words {
        title: "API reference", "Referencia de la API", "Referência da API";
        version: "Version", "Versión", "Versão";
        contents: "Operations", "Operaciones", "Operações";
        machine: "For programs: the OpenAPI document", "Para programas: el documento OpenAPI", "Para programas: o documento OpenAPI";
        errors: "All error codes", "Todos los códigos de error", "Todos os códigos de erro";
        signed_in: "Needs a signed-in caller", "Requiere haber iniciado sesión", "Exige ter entrado";
        parameters: "Parameters", "Parámetros", "Parâmetros";
        body: "Body", "Cuerpo", "Corpo";
        answers: "Answers", "Respuestas", "Respostas";
        name: "Name", "Nombre", "Nome";
        kind: "Type", "Tipo", "Tipo";
        meaning: "Meaning", "Significado", "Significado";
        required: "required", "obligatorio", "obrigatório";
        examples: "In curl, Python and JavaScript", "En curl, Python y JavaScript", "Em curl, Python e JavaScript";
        try_it: "Try it", "Pruébalo", "Experimente";
        try_more: "The request is really made, as whoever is signed in in this browser, or with the token below.", "La petición se hace de verdad, con la sesión de este navegador o con el token de abajo.", "A requisição é feita de verdade, com a sessão deste navegador ou com o token abaixo.";
        token: "Access token", "Token de acceso", "Token de acesso";
        token_hint: "Optional. Kept in this page only, and forgotten when you leave it.", "Opcional. Solo se guarda en esta página y se olvida al salir.", "Opcional. Fica só nesta página e é esquecido ao sair.";
        send: "Send", "Enviar", "Enviar";
        answer: "Answer", "Respuesta", "Resposta";
        failed: "No answer", "Sin respuesta", "Sem resposta";
    }
}

#[cfg(test)]
mod tests {
    use baluarte_kernel::Locale;

    use super::Words;

    #[test]
    fn no_word_is_empty_in_any_language() {
        for locale in Locale::ALL {
            assert!(Words::all(locale).iter().all(|(_, word)| !word.is_empty()), "{locale:?}");
        }
    }
}
