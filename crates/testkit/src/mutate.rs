//! Inputs that almost make sense: what a parser should be right about whoever sends them. Bounded and the same in every run; the
//! long search is a fuzzer's.

/// Shows the input of a check that panicked.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    #[expect(clippy::print_stderr, reason = "what a failing test has to say")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with the input {:?}", String::from_utf8_lossy(self.0));
            eprintln!("in bytes {:?}", self.0);
        }
    }
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not nothing.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// What means something to one parser or another.
const TOKENS: [&[u8]; 24] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"=",
    b"\"",
    b"%",
    b"%00",
    b"..",
    b"/",
    b"\\",
    b"@",
    b"[::1]",
    b"\xff",
    b"\xc0\xaf",
    b"18446744073709551616",
    b"-1",
    b"chunked",
    "\u{202e}".as_bytes(),
];

/// Checks every seed, and then `rounds` inputs that were made of them by a few changes each.
pub fn mutated(seeds: &[&[u8]], rounds: usize, check: impl Fn(&[u8])) {
    let mut numbers = Numbers(0x0b5e_55ed);
    let run = |input: &[u8]| {
        let shown = Shown(input);
        check(input);
        drop(shown);
    };
    run(&[]);
    seeds.iter().for_each(|seed| run(seed));
    for _ in 0..rounds {
        let mut input = seeds.get(numbers.below(seeds.len())).map_or_else(Vec::new, |seed| seed.to_vec());
        for _ in 0..=numbers.below(4) {
            change(&mut input, seeds, &mut numbers);
        }
        run(&input);
    }
}

fn change(input: &mut Vec<u8>, seeds: &[&[u8]], numbers: &mut Numbers) {
    let at = numbers.below(input.len() + 1);
    let end = (at + numbers.below(16)).min(input.len());
    match numbers.below(7) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..end)),
        2 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << numbers.below(8);
            }
        }
        3 => input.insert(at, numbers.below(256) as u8),
        4 => drop(input.splice(at..at, TOKENS[numbers.below(TOKENS.len())].iter().copied())),
        5 => {
            let again = input[at..end].repeat(1 + numbers.below(20));
            drop(input.splice(at..at, again));
        }
        _ => {
            let other = seeds.get(numbers.below(seeds.len())).copied().unwrap_or_default();
            let rest = &other[numbers.below(other.len() + 1)..];
            drop(input.splice(at.., rest.iter().copied()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeSet};

    use super::*;

    #[test]
    fn inputs_differ_and_are_the_same_in_every_run() {
        let run = || {
            let seen = RefCell::new(Vec::new());
            mutated(&[b"one", b"another"], 500, |input| seen.borrow_mut().push(input.to_vec()));
            seen.into_inner()
        };
        let seen = run();
        assert_eq!(seen, run());
        assert!(seen.iter().collect::<BTreeSet<_>>().len() > 300);
    }
}
