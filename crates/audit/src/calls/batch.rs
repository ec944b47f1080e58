//! From waiting calls to a batch under two Merkle roots, and back.

use baluarte_db::DbError;
use baluarte_kernel::{Id, Kind, Timestamp};

use super::{
    call::{Bytes, Record, read_private},
    merkle,
};
use crate::link::Hash;

/// Calls in one batch at most.
const CALLS: usize = 16_384;
/// Bytes in one batch at most, before compression.
const BYTES: usize = 4 << 20;
/// What a batch of [`CALLS`] may unpack to; more is not ours.
const UNPACKED: usize = 64 << 20;
const SALT: usize = 16;

pub(crate) enum BatchKind {}
impl Kind for BatchKind {
    const PREFIX: &'static str = "cal";
}

/// A batch ready to be written.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) id: Id<BatchKind>,
    pub(crate) calls: usize,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
    pub(crate) root: Hash,
    pub(crate) private_root: Hash,
    /// Compressed.
    pub(crate) records: Vec<u8>,
    pub(crate) private: Vec<u8>,
}

/// Seals the calls that begin at `*at` in `frames`, as many as fit into one batch, and moves `at` behind them. `None` at the end.
pub(crate) fn seal(frames: &[u8], at: &mut usize) -> Option<Sealed> {
    let mut rest = Bytes(frames.get(*at..)?);
    let (mut records, mut private) = (Vec::with_capacity(rest.0.len().min(BYTES)), Vec::new());
    let (mut leaves, mut private_leaves) = (Vec::new(), Vec::new());
    let (mut first_at, mut last_at) = (i64::MAX, i64::MIN);
    while leaves.len() < CALLS && records.len() + private.len() < BYTES {
        let Some((record, secret)) = rest.text().and_then(|record| Some((record, rest.text()?))) else { break };
        let salt: [u8; SALT] = rand::random();
        leaves.push(merkle::leaf(&[record]));
        private_leaves.push(merkle::leaf(&[&salt, secret]));
        let moment = record.get(5..13).and_then(|at| at.try_into().ok()).map_or(0, i64::from_be_bytes);
        (first_at, last_at) = (first_at.min(moment), last_at.max(moment));
        put(&mut records, &[record]);
        put(&mut private, &[&salt, secret]);
    }
    *at = frames.len() - rest.0.len();
    if leaves.is_empty() {
        return None;
    }
    Some(Sealed {
        id: Id::generate(),
        calls: leaves.len(),
        first_at: Timestamp::from_micros(first_at),
        last_at: Timestamp::from_micros(last_at),
        root: merkle::root(leaves),
        private_root: merkle::root(private_leaves),
        records: lz4_flex::block::compress_prepend_size(&records),
        private: lz4_flex::block::compress_prepend_size(&private),
    })
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&u16::try_from(length).unwrap_or(0).to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// One side of a stored batch, unpacked.
pub(crate) struct Unpacked(Vec<u8>);

/// What is stored is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged;

impl From<Damaged> for DbError {
    fn from(_: Damaged) -> Self {
        Self::Corrupt("audit_calls")
    }
}

impl Unpacked {
    pub(crate) fn of(packed: &[u8]) -> Result<Self, Damaged> {
        let (size, block) = packed.split_first_chunk::<4>().ok_or(Damaged)?;
        let size = usize::try_from(u32::from_le_bytes(*size)).map_err(|_| Damaged)?;
        if size > UNPACKED {
            return Err(Damaged);
        }
        lz4_flex::block::decompress(block, size).map(Self).map_err(|_| Damaged)
    }

    /// The items as they were hashed; an error ends it.
    pub(crate) fn items(&self) -> impl Iterator<Item = Result<&[u8], Damaged>> {
        let mut rest = Some(Bytes(&self.0));
        std::iter::from_fn(move || {
            let bytes = rest.as_mut()?;
            if bytes.0.is_empty() {
                return None;
            }
            let item = bytes.text().ok_or(Damaged);
            if item.is_err() {
                rest = None;
            }
            Some(item)
        })
    }

    /// Hash of each item.
    pub(crate) fn leaves(&self) -> Result<Vec<Hash>, Damaged> {
        self.items().map(|item| Ok(merkle::leaf(&[item?]))).collect()
    }

    /// The place of the first item that is no record.
    pub(crate) fn first_unreadable(&self) -> Option<usize> {
        self.items().position(|item| item.ok().and_then(Record::read).is_none())
    }

    pub(crate) fn records(&self) -> Result<Vec<Record<'_>>, Damaged> {
        self.items().map(|item| Record::read(item?).ok_or(Damaged)).collect()
    }

    /// Address and user agent of each call.
    pub(crate) fn private(&self) -> Result<Vec<(std::net::IpAddr, &[u8])>, Damaged> {
        self.items().map(|item| item?.get(SALT..).and_then(read_private).ok_or(Damaged)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            call::tests::call,
            lane::{Lane, Taken},
        },
        *,
    };

    fn frames(count: i64) -> Vec<u8> {
        let lane = Lane::new(0, usize::MAX, std::sync::Arc::default(), baluarte_telemetry::metrics::Counter::default());
        for at in 0..count {
            lane.record(&call(count - at, &format!("/{at}")));
        }
        let mut all = Vec::new();
        Taken::default().from(&lane, &mut all);
        all
    }

    #[test]
    fn a_batch_holds_every_call_and_its_roots() {
        let frames = frames(1_000);
        let mut at = 0;
        let sealed = seal(&frames, &mut at).unwrap();
        assert_eq!((sealed.calls, at), (1_000, frames.len()));
        assert!(seal(&frames, &mut at).is_none());
        assert_eq!((sealed.first_at, sealed.last_at), (Timestamp::from_micros(1), Timestamp::from_micros(1_000)));
        let (records, private) = (Unpacked::of(&sealed.records).unwrap(), Unpacked::of(&sealed.private).unwrap());
        assert_eq!(merkle::root(records.leaves().unwrap()), sealed.root);
        assert_eq!(merkle::root(private.leaves().unwrap()), sealed.private_root);
        assert_eq!(records.records().unwrap()[7].path, "/7");
        assert_eq!(private.private().unwrap()[7].1, b"curl/8");
    }

    #[test]
    fn more_calls_than_fit_make_several_batches() {
        let count = CALLS + 5;
        let frames = frames(i64::try_from(count).unwrap());
        let mut at = 0;
        let sizes: Vec<usize> = std::iter::from_fn(|| seal(&frames, &mut at)).map(|sealed| sealed.calls).collect();
        assert_eq!(sizes.iter().sum::<usize>(), count);
        assert!(sizes.len() > 1 && sizes.iter().all(|size| *size <= CALLS));
    }

    #[test]
    fn damaged_bytes_are_refused_not_believed() {
        let mut at = 0;
        let sealed = seal(&frames(3), &mut at).unwrap();
        assert_eq!(Unpacked::of(&sealed.records[..sealed.records.len() - 1]).err(), Some(Damaged));
        assert_eq!(Unpacked::of(&u32::MAX.to_le_bytes()).err(), Some(Damaged));
        let torn = Unpacked(vec![0, 9, 1]);
        assert_eq!(torn.leaves(), Err(Damaged));
    }
}
