//! Words in the three languages, checked by the compiler: a language that lacks one does not build.

use baluarte_kernel::Locale;

/// One text in every language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    pub en: &'static str,
    pub es: &'static str,
    pub pt: &'static str,
}

impl Text {
    pub const fn get(&self, locale: Locale) -> &'static str {
        match locale {
            Locale::En => self.en,
            Locale::Es => self.es,
            Locale::Pt => self.pt,
        }
    }
}

/// Declares the words of a group of pages: a struct of `&'static str`, one value per language, and `of(locale)`.
///
/// Each entry gives English, Spanish and Portuguese, in this order; leaving one out is a compile error.
///
/// ```
/// baluarte_web::texts! {
///     /// The words of the greeting.
///     pub struct Greeting {
///         hello: "Hello", "Hola", "Olá";
///     }
/// }
/// assert_eq!(Greeting::of(baluarte_kernel::Locale::Es).hello, "Hola");
/// ```
#[macro_export]
macro_rules! texts {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($key:ident: $en:expr, $es:expr, $pt:expr;)* }) => {
        $(#[$meta])*
        #[derive(Debug)]
        $vis struct $name { $(pub $key: &'static str,)* }
        impl $name {
            const EN: Self = Self { $($key: $en,)* };
            const ES: Self = Self { $($key: $es,)* };
            const PT: Self = Self { $($key: $pt,)* };

            $vis const fn of(locale: $crate::Locale) -> &'static Self {
                match locale {
                    $crate::Locale::En => &Self::EN,
                    $crate::Locale::Es => &Self::ES,
                    $crate::Locale::Pt => &Self::PT,
                }
            }

            /// Every word of one language, for tests that look for empty ones.
            #[cfg(test)]
            $vis fn all(locale: $crate::Locale) -> Vec<(&'static str, &'static str)> {
                let words = Self::of(locale);
                vec![$((stringify!($key), words.$key),)*]
            }
        }
    };
}

/// A text with its gaps (`{}`) filled, one after the other.
pub fn fill(text: &str, values: &[&str]) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut values = values.iter();
    let mut rest = text;
    while let Some(at) = rest.find("{}") {
        out.push_str(&rest[..at]);
        out.push_str(values.next().copied().unwrap_or_default());
        rest = &rest[at + 2..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_in_order_and_values_are_not_read_again() {
        assert_eq!(fill("{} of {}", &["{}", "2"]), "{} of 2");
        assert_eq!(fill("{} and {}", &["one"]), "one and ");
    }
}
