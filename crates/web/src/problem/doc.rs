//! What each problem code means, declared beside the code that refuses; source of `/problems/<code>` and `docs/errors.md`.

use http::StatusCode;

use crate::Text;

/// One problem code and what people are told about it.
#[derive(Debug)]
pub struct ProblemDoc {
    /// `component.reason`: stable, what programs switch on.
    pub code: &'static str,
    pub status: StatusCode,
    /// One line; the English one is the `title` of the JSON.
    pub title: Text,
    /// What happened, for somebody who has not read our documentation.
    pub explanation: Text,
    /// What to do now.
    pub remedy: Text,
}

/// Declares a component's problem codes: one constant each and `PROBLEMS`, the list of all of them.
///
/// A code is its status, its name, then title, explanation and remedy, each in English, Spanish and Portuguese.
/// `Problem::of(&CODE)` makes the refusal, so a code that nobody explained does not compile.
///
/// ```
/// baluarte_web::problems! {
///     NAME_TAKEN = CONFLICT "example.name_taken" {
///         title: "Name already in use", "Nombre en uso", "Nome já em uso";
///         explanation: "Somebody has this name.", "Alguien tiene ese nombre.", "Alguém já tem esse nome.";
///         remedy: "Choose another one.", "Elige otro.", "Escolha outro.";
///     }
/// }
/// let refusal = baluarte_web::Problem::of(&NAME_TAKEN).detail("“shop” is in use");
/// assert_eq!(refusal.status, 409);
/// ```
#[macro_export]
macro_rules! problems {
    ($($(#[$meta:meta])* $name:ident = $status:ident $code:literal {
        title: $ten:literal, $tes:literal, $tpt:literal;
        explanation: $een:literal, $ees:literal, $ept:literal;
        remedy: $ren:literal, $res:literal, $rpt:literal;
    })+) => {
        $(
            $(#[$meta])*
            pub static $name: $crate::ProblemDoc = $crate::ProblemDoc {
                code: $code,
                status: $crate::StatusCode::$status,
                title: $crate::Text { en: $ten, es: $tes, pt: $tpt },
                explanation: $crate::Text { en: $een, es: $ees, pt: $ept },
                remedy: $crate::Text { en: $ren, es: $res, pt: $rpt },
            };
        )+
        /// Every problem code declared here; the server collects them into its catalogue.
        pub static PROBLEMS: &[&$crate::ProblemDoc] = &[$(&$name,)+];
    };
}
