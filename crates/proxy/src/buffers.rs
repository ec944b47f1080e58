//! One core's buffers for what it reads from upstreams and writes to them. Connections have none of their own.

use std::{
    cell::{RefCell, RefMut},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

/// What is read at once, and copied out exactly as long as it was.
const SMALL: usize = 16 * 1_024;
/// What is read at once of a body that is known to be longer than that; it is handed on without a copy.
const LARGE: usize = 64 * 1_024;

/// What is read and no longer than this lies in a block of this size.
const BLOCK: usize = 2 * 1_024;

pub(crate) struct Buffers {
    read: RefCell<Box<[u8]>>,
    block: RefCell<BytesMut>,
    out: RefCell<Vec<u8>>,
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Self {
            read: RefCell::new(vec![0; SMALL].into_boxed_slice()),
            block: RefCell::default(),
            out: RefCell::new(Vec::with_capacity(SMALL)),
        }
    }

    /// An empty buffer to write into.
    pub(crate) fn out(&self) -> RefMut<'_, Vec<u8>> {
        let mut out = self.out.borrow_mut();
        out.clear();
        // One request with huge headers must not keep its memory for ever.
        out.shrink_to(2 * SMALL);
        out
    }

    /// What there is to read; empty at the end. `expected`: how many bytes of a body are still to come.
    pub(crate) fn poll_read<S: AsyncRead + Unpin>(&self, stream: &mut S, cx: &mut Context<'_>, expected: u64) -> Poll<io::Result<Bytes>> {
        if expected > SMALL as u64 {
            let mut piece = BytesMut::with_capacity(usize::try_from(expected).map_or(LARGE, |expected| expected.min(LARGE)));
            let count = ready!(poll_read_buf(Pin::new(stream), cx, &mut piece))?;
            // A small piece does not keep a large buffer alive until a slow client has taken it.
            return Poll::Ready(Ok(if count < piece.capacity() / 2 { Bytes::copy_from_slice(&piece) } else { piece.freeze() }));
        }
        let mut read = self.read.borrow_mut();
        let mut buf = ReadBuf::new(&mut read);
        ready!(Pin::new(stream).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(self.copy(buf.filled())))
    }

    /// A small answer has nearly always been handed on and let go when the next one is read, which then lies where it lay.
    fn copy(&self, read: &[u8]) -> Bytes {
        if read.len() > BLOCK {
            return Bytes::copy_from_slice(read);
        }
        let mut block = self.block.borrow_mut();
        if !block.try_reclaim(BLOCK) {
            // Not the rest of the block that is still in use: a slow client would keep several answers' memory.
            *block = BytesMut::with_capacity(BLOCK);
        }
        block.extend_from_slice(read);
        block.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_lies_where_the_last_one_lay_unless_somebody_still_holds_that() {
        let buffers = Buffers::new();
        let first = buffers.copy(b"first");
        let place = first.as_ptr();
        drop(first);
        let second = buffers.copy(b"second");
        assert_eq!(second.as_ptr(), place);
        let third = buffers.copy(b"third");
        assert!(third.as_ptr() != place && &*second == b"second" && &*third == b"third");
        let large = buffers.copy(&[7; BLOCK + 1]);
        assert_eq!((large.len(), &*third), (BLOCK + 1, &b"third"[..]));
    }
}
