//! Chunk-size lines and chunk ends (RFC 9112, section 7.1), one byte at a time: a line may come in as many pieces as it has bytes.

use super::head::TOKEN;
use crate::rules::{self, Rule};

/// 2^56 bytes are more than anybody sends, and far from overflowing.
const MAX_SIZE_DIGITS: u8 = 14;
/// Of all extensions of one body together, in bytes: nobody uses them, attackers hide in them.
const MAX_EXTENSIONS: u16 = 1_024;

/// Where in a chunked body the next byte is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunked {
    at: At,
    extensions: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size { size: u64, digits: u8 },
    Extension { size: u64, part: Part },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
}

/// `;name=token` or `;name="quoted \" text"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    NameStart,
    Name,
    ValueStart,
    Token,
    Quoted,
    Escaped,
    QuoteEnd,
}

/// What follows the bytes that were looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More of this body.
    More,
    /// The last chunk's line has ended: trailers, or the empty line.
    Trailers,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { at: At::Size { size: 0, digits: 0 }, extensions: 0 }
    }

    /// How many of `bytes` are fine, and what comes next; or how many are fine before the one that is not.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<(usize, Next), (usize, &'static Rule)> {
        let mut i = 0;
        while let Some(byte) = bytes.get(i) {
            if let At::Data { left } = &mut self.at {
                let available = bytes.len() - i;
                let take = usize::try_from(*left).map_or(available, |left| left.min(available));
                *left -= take as u64;
                i += take;
                if *left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            let last = self.at == At::SizeLf { size: 0 };
            self.at = self.step(*byte).map_err(|rule| (i, rule))?;
            i += 1;
            if last {
                return Ok((i, Next::Trailers));
            }
        }
        Ok((i, Next::More))
    }

    fn step(&mut self, byte: u8) -> Result<At, &'static Rule> {
        Ok(match self.at {
            At::Size { size, digits } => match (byte, char::from(byte).to_digit(16)) {
                (_, Some(_)) if digits == MAX_SIZE_DIGITS => return Err(&rules::CHUNK_SIZE),
                (_, Some(digit)) => At::Size { size: size << 4 | u64::from(digit), digits: digits + 1 },
                (b'\r', None) if digits > 0 => At::SizeLf { size },
                (b';', None) if digits > 0 => At::Extension { size, part: Part::NameStart },
                (b'\n', None) => return Err(&rules::BARE_LF),
                _ => return Err(&rules::CHUNK_SIZE),
            },
            At::Extension { size, part } => {
                self.extensions += 1;
                if self.extensions > MAX_EXTENSIONS {
                    return Err(&rules::CHUNK_EXTENSION);
                }
                match extension(part, byte)? {
                    Some(part) => At::Extension { size, part },
                    None => At::SizeLf { size },
                }
            }
            At::SizeLf { size } if byte == b'\n' => At::Data { left: size },
            At::SizeLf { .. } => return Err(&rules::CHUNK_SIZE),
            At::DataCr if byte == b'\r' => At::DataLf,
            At::DataLf if byte == b'\n' => At::Size { size: 0, digits: 0 },
            At::DataCr | At::DataLf | At::Data { .. } => return Err(&rules::CHUNK_END),
        })
    }
}

/// The part that follows; `None` when a carriage return ends the line.
fn extension(part: Part, byte: u8) -> Result<Option<Part>, &'static Rule> {
    let token = TOKEN[usize::from(byte)] != 0;
    Ok(Some(match (part, byte) {
        (Part::NameStart | Part::Name, _) if token => Part::Name,
        (Part::Name, b'=') => Part::ValueStart,
        (Part::ValueStart, b'"') => Part::Quoted,
        (Part::ValueStart | Part::Token, _) if token => Part::Token,
        (Part::Quoted, b'"') => Part::QuoteEnd,
        (Part::Quoted, b'\\') => Part::Escaped,
        (Part::Quoted | Part::Escaped, b'\t' | 0x20..=0x7e) => Part::Quoted,
        (Part::Name | Part::Token | Part::QuoteEnd, b';') => Part::NameStart,
        (Part::Name | Part::Token | Part::QuoteEnd, b'\r') => return Ok(None),
        (_, b'\n') => return Err(&rules::BARE_LF),
        _ => return Err(&rules::CHUNK_EXTENSION),
    }))
}
