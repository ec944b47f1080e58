crate::texts! {
    /// The words of the frame, of error pages and of the pages about problems.
    pub(crate) struct Words {
        skip: "Skip to content", "Saltar al contenido", "Pular para o conteúdo";
        navigation: "Main", "Principal", "Principal";
        language: "Language", "Idioma", "Idioma";
        support: "Help", "Ayuda", "Ajuda";
        motto: "One account. A solid wall around it.", "Una cuenta. Un muro sólido alrededor.", "Uma conta. Um muro sólido ao redor.";
        motto_more: "Your sign-in is checked here, before anything else is.", "Tu acceso se comprueba aquí, antes que todo lo demás.", "Seu acesso é verificado aqui, antes de todo o resto.";
        home: "Go to the home page", "Ir al inicio", "Ir para o início";
        sign_in: "Sign in", "Iniciar sesión", "Entrar";
        account: "Your account", "Tu cuenta", "A sua conta";
        reference: "Reference for support", "Referencia para soporte", "Referência para o suporte";
        code: "Code", "Código", "Código";
        status: "Status", "Estado", "Status";
        meaning: "Meaning", "Significado", "Significado";
        wait: "Try again in {} s.", "Inténtalo de nuevo en {} s.", "Tente de novo em {} s.";
        what_happened: "What happened", "Qué pasó", "O que aconteceu";
        what_to_do: "What to do", "Qué hacer", "O que fazer";
        switch_on_code: "For programs: the code stays the same from version to version; texts may change.", "Para programas: el código no cambia de una versión a otra; los textos sí pueden cambiar.", "Para programas: o código não muda de uma versão para outra; os textos podem mudar.";
        all_problems: "All error codes", "Todos los códigos de error", "Todos os códigos de erro";
        problems_lead: "Every refusal carries one of these codes. Each has a page that says what it means and what to do.", "Cada rechazo lleva uno de estos códigos. Cada uno tiene una página que dice qué significa y qué hacer.", "Cada recusa traz um destes códigos. Cada um tem uma página que diz o que significa e o que fazer.";
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
