//! For tests of texts.

use baluarte_kernel::Locale;

/// No word of a list is missing in a language, and each has the gaps of the English one.
pub(crate) fn are_even(all: impl Fn(Locale) -> Vec<(&'static str, &'static str)>) {
    let gaps = |word: &str| word.matches("{}").count();
    let english = all(Locale::En);
    for locale in Locale::ALL {
        for ((key, word), (_, original)) in all(locale).into_iter().zip(&english) {
            assert!(!word.is_empty() && gaps(word) == gaps(original), "{key} in {locale:?}");
        }
    }
}
