//! The three languages people read Baluarte in.

use serde::{Deserialize, Serialize};

/// A language of pages, mails and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    #[default]
    En,
    Es,
    Pt,
}

impl Locale {
    pub const ALL: [Self; 3] = [Self::En, Self::Es, Self::Pt];

    /// The BCP 47 tag, for `lang=` and `Content-Language`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
            Self::Pt => "pt",
        }
    }

    /// The language's own name, for the switch.
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Es => "Español",
            Self::Pt => "Português",
        }
    }

    /// `pt-BR` → `Pt`; a language we do not speak → `None`.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|locale| locale.tag().eq_ignore_ascii_case(primary))
    }

    /// The best of ours for an `Accept-Language` header (RFC 9110, 12.5.4); English when none fits.
    pub fn negotiate(accept_language: &str) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for part in accept_language.split(',').take(32) {
            let mut pieces = part.split(';');
            let Some(locale) = Self::from_tag(pieces.next().unwrap_or_default()) else { continue };
            let quality =
                pieces.find_map(|piece| piece.trim().strip_prefix("q=").map(|q| q.trim().parse::<f32>().unwrap_or(0.0))).unwrap_or(1.0);
            // The first named wins among equals, as browsers list by preference.
            if quality > 0.0 && best.is_none_or(|(best_quality, _)| quality > best_quality) {
                best = Some((quality, locale));
            }
        }
        best.map_or(Self::En, |(_, locale)| locale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_with_the_highest_weight_that_we_speak_is_chosen() {
        assert_eq!(Locale::negotiate("es-MX,es;q=0.9,en;q=0.8"), Locale::Es);
        assert_eq!(Locale::negotiate("fr, pt-BR;q=0.7, en;q=0.5"), Locale::Pt);
        assert_eq!(Locale::negotiate("en;q=0.2, pt;q=0.2"), Locale::En);
        assert_eq!(Locale::negotiate("es;q=0"), Locale::En);
        assert_eq!(Locale::negotiate("\u{0}, ;;q=x"), Locale::En);
    }
}
