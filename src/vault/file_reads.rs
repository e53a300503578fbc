//! Reading many small files: a batch is asked for together and is on its way while the one
//! before is worked on.
//!
//! By io_uring, which hands the disk all reads of a batch at once; where the kernel or a
//! sandbox has none, one file after the other. The surprise: a request that goes wrong is no
//! failure yet, that file is read once more in the ordinary way.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;

use compio_buf::{BufResult, IntoInner};
use compio_driver::op::ReadAt;
use compio_driver::{Key, Proactor, PushEntry};

use super::live::read_ahead;

/// Requests that the kernel takes at once; several batches fit.
const REQUESTS_MAX: u32 = 256;

/// Asks the kernel for files, for one thread.
pub(super) struct FileReads {
    /// `None`: there is no io_uring.
    ring: Option<Proactor>,
}

/// Files that were asked for.
pub(super) struct UnderWay(Vec<Asked>);

type ReadWhole = ReadAt<Vec<u8>, Arc<File>>;

struct Asked {
    file: Arc<File>,
    size: u64,
    request: Request,
}

enum Request {
    OnTheWay(Key<ReadWhole>),
    Answered(BufResult<usize, ReadWhole>),
    /// The kernel was only told that it will be read.
    Ahead,
}

impl FileReads {
    pub(super) fn new() -> Self {
        let ring = Proactor::builder().capacity(REQUESTS_MAX).build();
        Self {
            ring: ring
                .inspect_err(|error| log::debug!("no io_uring: {error}"))
                .ok(),
        }
    }

    /// Asks for the first `size` bytes of each file.
    pub(super) fn begin(&mut self, files: impl IntoIterator<Item = (Arc<File>, u64)>) -> UnderWay {
        let asked = files
            .into_iter()
            .map(|(file, size)| Asked {
                request: self.ask(&file, size),
                file,
                size,
            })
            .collect();
        if let Some(ring) = &mut self.ring {
            ring.flush();
        }
        UnderWay(asked)
    }

    fn ask(&mut self, file: &Arc<File>, size: u64) -> Request {
        let Some(ring) = &mut self.ring else {
            read_ahead(file.as_fd(), size);
            return Request::Ahead;
        };
        let buffer = vec![0; size as usize];
        match ring.push(ReadAt::new(file.clone(), 0, buffer)) {
            PushEntry::Pending(key) => Request::OnTheWay(key),
            PushEntry::Ready(answer) => Request::Answered(answer),
        }
    }

    /// Their bytes, in the order of the files; fewer than were asked for where a file ends
    /// before.
    pub(super) fn finish(&mut self, under_way: UnderWay) -> Vec<io::Result<Vec<u8>>> {
        let asked = under_way.0.into_iter();
        asked
            .map(
                |Asked {
                     file,
                     size,
                     request,
                 }| {
                    match self.answer(request) {
                        Some(bytes) if bytes.len() as u64 == size => Ok(bytes),
                        _ => read_whole(&file, size),
                    }
                },
            )
            .collect()
    }

    /// `None`: the request came to nothing.
    fn answer(&mut self, request: Request) -> Option<Vec<u8>> {
        let BufResult(read, operation) = match request {
            Request::Ahead => return None,
            Request::Answered(answer) => answer,
            Request::OnTheWay(mut key) => loop {
                let ring = self.ring.as_mut()?;
                match ring.pop(key) {
                    PushEntry::Ready(answer) => break answer,
                    PushEntry::Pending(pending) => key = pending,
                }
                match ring.poll(None) {
                    Ok(()) => {}
                    Err(error) if is_passing(&error) => {}
                    Err(error) => {
                        log::debug!("no io_uring any more: {error}");
                        self.ring = None;
                    }
                }
            },
        };
        let mut bytes = operation.into_inner();
        // The kernel may use more than was asked for of what the vector has in reserve.
        let count = read.ok().filter(|count| *count <= bytes.len())?;
        bytes.truncate(count);
        Some(bytes)
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::TimedOut
    )
}

fn read_whole(file: &File, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_the_same_with_and_without_io_uring() {
        let directory = tempfile::tempdir().unwrap();
        let sizes = [0, 1, 4095, 4096, 70_000, 1 << 20];
        let files: Vec<(Arc<File>, u64)> = (0..200)
            .map(|number| {
                let path = directory.path().join(number.to_string());
                let size = sizes[number % sizes.len()];
                std::fs::write(&path, vec![number as u8; size]).unwrap();
                // Whoever asks may have seen the file when it was longer, or shorter.
                let asked = (size + number % 3).saturating_sub(1) as u64;
                (Arc::new(File::open(path).unwrap()), asked)
            })
            .collect();
        let ring = FileReads::new();
        if ring.ring.is_none() {
            eprintln!("not run: reading by io_uring: this system has none");
        }
        for mut reads in [ring, FileReads { ring: None }] {
            let (first, second) = files.split_at(64);
            let first = reads.begin(first.to_vec());
            let second = reads.begin(second.to_vec());
            let mut read = reads.finish(first);
            read.extend(reads.finish(second));
            for (number, bytes) in read.into_iter().enumerate() {
                let size = sizes[number % sizes.len()].min(files[number].1 as usize);
                assert_eq!(bytes.unwrap(), vec![number as u8; size], "{number}");
            }
            for (file, _) in &files {
                std::io::Seek::rewind(&mut &**file).unwrap();
            }
        }
    }
}
