//! A chunked answer (RFC 9112, 7.1), taken apart as its bytes come.

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Frame;

use crate::headers::is_hop_by_hop;

/// 2^56 bytes are more than anybody sends, and far from overflowing.
const MAX_SIZE_DIGITS: u8 = 14;
/// Of one chunk's extensions and the blanks some servers pad its size with, in bytes; they are skipped.
const MAX_EXTENSION: u16 = 16 * 1_024;
/// The most bytes of a trailer section, and the most trailers in it.
const MAX_TRAILER: usize = 16 * 1_024;
const MAX_TRAILERS: usize = 64;

/// Where in a chunked body the next byte is.
#[derive(Debug)]
pub(crate) struct Chunked {
    at: At,
    trailer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size { size: u64, digits: u8 },
    Extension { size: u64, skipped: u16 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer,
    Done,
}

impl Chunked {
    pub(crate) fn new() -> Self {
        Self { at: At::Size { size: 0, digits: 0 }, trailer: Vec::new() }
    }

    /// The last chunk and the trailers have come.
    pub(crate) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Takes what belongs to the next frame off the front of `bytes`; `None` when it is not complete, or there is no other.
    pub(crate) fn next(&mut self, bytes: &mut Bytes) -> Result<Option<Frame<Bytes>>, &'static str> {
        while !self.is_done()
            && let Some(&byte) = bytes.first()
        {
            if let At::Data { left } = self.at {
                let take = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let left = left - take as u64;
                self.at = if left == 0 { At::DataCr } else { At::Data { left } };
                return Ok(Some(Frame::data(bytes.split_to(take))));
            }
            bytes.advance(1);
            if self.at == At::Trailer {
                if self.trailer_ends_with(byte)? {
                    self.at = At::Done;
                    return Ok(trailers(&self.trailer)?.map(Frame::trailers));
                }
            } else {
                self.at = self.step(byte)?;
            }
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> Result<At, &'static str> {
        const BAD_SIZE: &str = "a chunk's size is no number";
        Ok(match self.at {
            At::Size { size, digits } => match (byte, char::from(byte).to_digit(16)) {
                (_, Some(digit)) if digits < MAX_SIZE_DIGITS => At::Size { size: size << 4 | u64::from(digit), digits: digits + 1 },
                (b'\r', None) if digits > 0 => At::SizeLf { size },
                (b';' | b' ' | b'\t', None) if digits > 0 => At::Extension { size, skipped: 0 },
                _ => return Err(BAD_SIZE),
            },
            At::Extension { size, skipped } => match byte {
                b'\r' => At::SizeLf { size },
                b'\n' => return Err(BAD_SIZE),
                _ if skipped == MAX_EXTENSION => return Err("too long a chunk extension"),
                _ => At::Extension { size, skipped: skipped + 1 },
            },
            At::SizeLf { size: 0 } if byte == b'\n' => At::Trailer,
            At::SizeLf { size } if byte == b'\n' => At::Data { left: size },
            At::SizeLf { .. } => return Err(BAD_SIZE),
            At::DataCr if byte == b'\r' => At::DataLf,
            At::DataLf if byte == b'\n' => At::Size { size: 0, digits: 0 },
            At::DataCr | At::DataLf | At::Data { .. } | At::Trailer | At::Done => return Err("a chunk does not end where its size says"),
        })
    }

    fn trailer_ends_with(&mut self, byte: u8) -> Result<bool, &'static str> {
        if self.trailer.len() >= MAX_TRAILER {
            return Err("too large a trailer");
        }
        if byte == b'\n' && self.trailer.last() != Some(&b'\r') {
            return Err("an invalid trailer");
        }
        self.trailer.push(byte);
        Ok(self.trailer == b"\r\n" || self.trailer.ends_with(b"\r\n\r\n"))
    }
}

fn trailers(section: &[u8]) -> Result<Option<HeaderMap>, &'static str> {
    const BAD: &str = "an invalid trailer";
    if section == b"\r\n" {
        return Ok(None);
    }
    let mut slots = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    let lines = match httparse::parse_headers(section, &mut slots) {
        Ok(httparse::Status::Complete((end, lines))) if end == section.len() => lines,
        _ => return Err(BAD),
    };
    let mut trailers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| BAD)?;
        // What concerns one connection, or frames the body, has no meaning here, and HTTP/2 breaks an answer off over it.
        if is_hop_by_hop(name.as_str()) || name == header::CONTENT_LENGTH || name == header::TRAILER {
            continue;
        }
        trailers.append(name, HeaderValue::from_bytes(line.value).map_err(|_| BAD)?);
    }
    Ok(Some(trailers).filter(|trailers| !trailers.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data, trailers, whether that was the whole body, and how many bytes came behind it.
    type Came = (Vec<u8>, Option<HeaderMap>, bool, usize);

    /// Feeds `text` in pieces of `size` bytes.
    fn read(text: &[u8], size: usize) -> Result<Came, &'static str> {
        let mut chunked = Chunked::new();
        let (mut data, mut trailers, mut rest) = (Vec::new(), None, 0);
        for piece in text.chunks(size) {
            let mut bytes = Bytes::copy_from_slice(piece);
            while let Some(frame) = chunked.next(&mut bytes)? {
                match frame.into_data() {
                    Ok(piece) => data.extend_from_slice(&piece),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                }
            }
            rest += bytes.len();
        }
        Ok((data, trailers, chunked.is_done(), rest))
    }

    #[test]
    fn a_body_is_the_same_however_its_bytes_are_cut() {
        let text = b"4\r\nhalf\r\n0A;x=\"y\"\r\n and half.\r\n0\r\nx-sum: 1\r\n\r\nHTTP";
        for size in 1..text.len() {
            let (data, trailers, done, rest) = read(text, size).expect("a valid body");
            assert_eq!((&*data, done, rest), (&b"half and half."[..], true, 4), "{size}");
            assert_eq!(trailers.expect("trailers")["x-sum"], "1");
        }
    }

    #[test]
    fn what_two_readers_could_see_differently_is_refused() {
        for bad in [
            &b"4\nhalf\r\n0\r\n\r\n"[..],
            b"\r\n",
            b"-1\r\n",
            b"0x4\r\nhalf\r\n",
            b"4\r\nhalf0\r\n\r\n",
            b"4\r\nhalf\n0\r\n\r\n",
            b"4;a\nb\r\nhalf\r\n",
            b"fffffffffffffff\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\nx-sum: 1\n",
            b"0\r\n\n",
        ] {
            assert!(read(bad, bad.len()).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(read(&[b"1;".as_slice(), &[b'x'; 20_000]].concat(), 1_000).is_err(), "endless extensions");
        assert!(read(&[b"0\r\n".as_slice(), &[b'x'; 20_000]].concat(), 1_000).is_err(), "endless trailers");
    }
}
