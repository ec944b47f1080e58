//! QR codes as the outline of an SVG path: no image library, and no inline style that the pages' policy would refuse.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

/// White space around the code that readers ask for, in modules.
const QUIET: usize = 4;

/// What a template draws: `<svg viewBox="0 0 size size"><path d="…"/></svg>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QrPath {
    /// Modules on each side, the quiet zone included.
    pub(crate) size: usize,
    pub(crate) path: String,
}

impl QrPath {
    /// `None` for a text that no QR code holds.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let width = code.width();
        let mut path = String::new();
        for (y, row) in code.to_colors().chunks(width).enumerate() {
            let mut x = 0;
            while x < width {
                let run = row[x..].iter().take_while(|color| **color == Color::Dark).count();
                if run > 0 {
                    let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
                }
                x += run.max(1);
            }
        }
        Some(Self { size: width + 2 * QUIET, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_paints_the_dark_modules_and_nothing_else() {
        let text = "otpauth://totp/shop.example:zoe?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        let drawn = QrPath::of(text).unwrap();
        assert_eq!(drawn.size, code.width() + 8);
        let dark: usize =
            drawn.path.split('M').skip(1).map(|run| run.split('h').nth(1).unwrap().trim_end_matches("v1").parse::<usize>().unwrap()).sum();
        assert_eq!(dark, code.to_colors().iter().filter(|color| **color == Color::Dark).count());
        // The corner of a finder pattern.
        assert!(drawn.path.starts_with("M4 4h7v1h-7z"), "{}", drawn.path);
    }

    #[test]
    fn too_long_a_text_has_no_code() {
        assert_eq!(QrPath::of(&"x".repeat(5_000)), None);
    }
}
