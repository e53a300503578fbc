//! Cuts a stream of bytes into chunks whose borders follow the content (FastCDC).
//!
//! Knows nothing of hashes and packs. The surprise: the borders are part of the
//! storage format in all but name. Other numbers here would find no chunk of
//! older versions again. And the last chunk is special: it ends where the file ends,
//! not at a border, so each append would store all of it again.

use std::io::{self, Read};

use fastcdc::v2020::{FastCDC, Normalization};

/// A content up to this size is one chunk.
pub(super) const CHUNK_BYTES_MIN: usize = 256 << 10;
const CHUNK_BYTES_AVERAGE: usize = 1 << 20;
const CHUNK_BYTES_MAX: usize = 4 << 20;
/// Three chunks of the greatest size, so that few bytes are moved to the front.
const BUFFER_BYTES: usize = 3 * CHUNK_BYTES_MAX;

/// What is behind the last border is cut finer: an append stores some of it again.
const TAIL_BYTES_MIN: usize = 32 << 10;
const TAIL_BYTES_AVERAGE: usize = 128 << 10;
const TAIL_BYTES_MAX: usize = 512 << 10;

/// More chunks than any content of that size has, and not many more.
pub fn chunks_max(bytes: u64) -> u64 {
    let in_tail = CHUNK_BYTES_MAX / TAIL_BYTES_MIN;
    bytes / (CHUNK_BYTES_MIN as u64 / 2) + in_tail as u64 + 2
}

/// What becomes of the bytes behind the last border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// One chunk: for a file that may never change.
    Whole,
    /// Several small ones: for a file that has changed before.
    Fine,
}

/// Fills `buffer` from `reader`; fewer bytes only at the end.
pub(super) fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The chunks of one stream.
pub(super) struct Chunker<'a> {
    reader: &'a mut (dyn Read + Send),
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    tail: Tail,
    /// The last border has been passed.
    in_tail: bool,
    seed: u64,
}

impl<'a> Chunker<'a> {
    /// Cuts `head` and what `reader` still gives. `buffer` is one from
    /// [`into_buffer`](Self::into_buffer), or empty. Other seeds give other borders.
    pub(super) fn new(
        head: &[u8],
        reader: &'a mut (dyn Read + Send),
        mut buffer: Vec<u8>,
        tail: Tail,
        seed: u64,
    ) -> Self {
        buffer.resize(BUFFER_BYTES, 0);
        buffer[..head.len()].copy_from_slice(head);
        Self {
            reader,
            buffer,
            start: 0,
            end: head.len(),
            at_end: false,
            tail,
            in_tail: false,
            seed,
        }
    }

    /// The next chunk. `None`: the end.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if !self.at_end && self.end - self.start < CHUNK_BYTES_MAX {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            let room = &mut self.buffer[self.end..];
            let wanted = room.len();
            let filled = read_full(self.reader, room)?;
            self.end += filled;
            self.at_end = filled < wanted;
        }
        let rest = &self.buffer[self.start..self.end];
        if rest.is_empty() {
            return Ok(None);
        }
        let mut cut = rest.len();
        if !self.in_tail {
            let sizes = [CHUNK_BYTES_MIN, CHUNK_BYTES_AVERAGE, CHUNK_BYTES_MAX];
            cut = first_border(rest, sizes, self.seed);
            self.in_tail = self.at_end && cut == rest.len() && self.tail == Tail::Fine;
        }
        if self.in_tail {
            let sizes = [TAIL_BYTES_MIN, TAIL_BYTES_AVERAGE, TAIL_BYTES_MAX];
            cut = first_border(rest, sizes, self.seed);
        }
        self.start += cut;
        Ok(Some(&rest[..cut]))
    }

    /// The buffer, to be used again.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}

fn first_border(rest: &[u8], [min, average, max]: [usize; 3], seed: u64) -> usize {
    let level = Normalization::Level1;
    let cutter = FastCDC::with_level_and_seed(rest, min, average, max, level, seed);
    cutter.cut(0, rest.len()).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::noise;

    /// Gives few bytes at a time, and an interruption now and then.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1 % 7 == 3 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let bytes = buffer.len().min(self.0.len()).min(self.1 * 37 % 70_000);
            let bytes = bytes.max(self.0.len().min(buffer.len()).min(1));
            buffer[..bytes].copy_from_slice(&self.0[..bytes]);
            self.0 = &self.0[bytes..];
            Ok(bytes)
        }
    }

    fn cut(head: &[u8], reader: &mut (dyn Read + Send)) -> Vec<Vec<u8>> {
        cut_with(Tail::Whole, head, reader)
    }

    fn cut_with(tail: Tail, head: &[u8], reader: &mut (dyn Read + Send)) -> Vec<Vec<u8>> {
        let mut chunker = Chunker::new(head, reader, Vec::new(), tail, 0);
        let mut chunks = Vec::new();
        while let Some(chunk) = chunker.next().unwrap() {
            chunks.push(chunk.to_vec());
        }
        chunks
    }

    #[test]
    fn chunks_are_the_source_and_keep_the_size_limits() {
        let source = noise(30 << 20, 3);
        let chunks = cut(&[], &mut &source[..]);
        assert_eq!(chunks.concat(), source);
        let (_, all_but_last) = chunks.split_last().unwrap();
        for chunk in all_but_last {
            assert!((CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&chunk.len()));
        }
        let average = source.len() / chunks.len();
        assert!((700_000..2_000_000).contains(&average), "{average}");
    }

    #[test]
    fn the_borders_do_not_depend_on_how_the_source_is_read() {
        let source = noise(9 << 20, 4);
        let whole = cut(&[], &mut &source[..]);
        assert_eq!(cut(&source[..300_000], &mut &source[300_000..]), whole);
        assert_eq!(cut(&[], &mut Trickle(&source, 0)), whole);
    }

    #[test]
    fn a_fine_tail_lets_most_of_it_stay_when_something_is_appended() {
        let source = noise(5 << 20, 5);
        let whole = cut(&[], &mut &source[..]);
        let fine = cut_with(Tail::Fine, &[], &mut &source[..]);
        assert_eq!(fine.concat(), source);
        let borders = whole.len() - 1;
        assert_eq!(fine[..borders], whole[..borders]);
        assert!(fine.len() > whole.len());
        let longer = [&source[..], &[7; 1000]].concat();
        let after = cut_with(Tail::Fine, &[], &mut &longer[..]);
        assert_eq!(after[..fine.len() - 1], fine[..fine.len() - 1]);
        let new: usize = after[fine.len() - 1..].iter().map(Vec::len).sum();
        assert!(new <= TAIL_BYTES_MAX + 1000, "{new}");
    }

    #[test]
    fn another_seed_gives_other_borders() {
        let source = noise(20 << 20, 6);
        let lengths = |seed| {
            let mut reader = &source[..];
            let mut chunker = Chunker::new(&[], &mut reader, Vec::new(), Tail::Whole, seed);
            let mut lengths = Vec::new();
            while let Some(chunk) = chunker.next().unwrap() {
                lengths.push(chunk.len());
            }
            lengths
        };
        let (one, other) = (lengths(1), lengths(0x1234_5678_9abc_def0));
        assert_eq!(one.iter().sum::<usize>(), other.iter().sum::<usize>());
        assert_ne!(one[..3], other[..3]);
    }

    #[test]
    fn an_empty_source_has_no_chunks() {
        assert!(cut(&[], &mut io::empty()).is_empty());
    }
}
