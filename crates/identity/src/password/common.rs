//! What attackers try first, searched where it lies in the binary: nothing of it is copied or kept in memory.

use std::cmp::Ordering;

/// One in each line, lower case, NFC, eight characters or more, sorted by bytes. Where it comes from: `common/README.md`.
const LIST: &str = include_str!("common/list.txt");

/// Whether a folded password is one of them.
pub(super) fn is_common(folded: &str) -> bool {
    let mut chars = folded.chars();
    let first = chars.next();
    // `aaaaaaaa` of any length needs no list.
    first.is_some() && chars.all(|c| Some(c) == first) || contains(LIST.as_bytes(), folded.as_bytes())
}

/// Halves what is left of the list and looks at the line in the middle.
fn contains(list: &[u8], word: &[u8]) -> bool {
    let (mut low, mut high) = (0, list.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let begin = list[low..middle].iter().rposition(|byte| *byte == b'\n').map_or(low, |at| low + at + 1);
        let end = list[middle..high].iter().position(|byte| *byte == b'\n').map_or(high, |at| middle + at);
        match word.cmp(&list[begin..end]) {
            Ordering::Equal => return true,
            Ordering::Less => high = begin,
            Ordering::Greater => low = (end + 1).min(high),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::fold, password::MIN_CHARS};

    #[test]
    fn asvs_6_2_4_the_list_holds_three_thousand_and_only_what_the_length_rule_lets_through() {
        let lines: Vec<_> = LIST.lines().collect();
        assert!(lines.len() > 15_000, "{}", lines.len());
        assert!(lines.iter().all(|line| line.chars().count() >= MIN_CHARS && fold(line) == *line));
        assert!(lines.windows(2).all(|pair| pair[0].as_bytes() < pair[1].as_bytes()));
    }

    #[test]
    fn every_word_is_found_and_no_other() {
        let words: std::collections::HashSet<_> = LIST.lines().collect();
        for line in LIST.lines() {
            assert!(contains(LIST.as_bytes(), line.as_bytes()), "{line}");
            for other in [&line[..line.char_indices().last().map_or(0, |(at, _)| at)], &format!("{line}~~")] {
                assert_eq!(contains(LIST.as_bytes(), other.as_bytes()), words.contains(other), "{other}");
            }
        }
        for none in ["", "\n", "zzzzzzzz\n", "~~~~~~~~~"] {
            assert!(!contains(LIST.as_bytes(), none.as_bytes()), "{none:?}");
        }
    }
}
