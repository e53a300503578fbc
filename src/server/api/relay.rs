//! Pieces of a body on their way to work that blocks: the disk, or a hash.
//!
//! The surprise: there is no thread that waits for the next piece. Each lot of pieces is a
//! job of its own, so that callers who are slow, however many, hold no thread that others
//! need; and a body that is no more than one lot needs no job but the one that ends it.

use std::io;

use axum::body::Bytes;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// Less than this is not worth waking a thread for.
const LOT_BYTES_MIN: usize = 512 << 10;
/// What may wait while a lot is worked on.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// A piece of work, and what waits for it.
pub(super) struct Relay<S> {
    work: Work<S>,
    state: State<S>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

type Work<S> = fn(&mut S, &[u8]) -> io::Result<()>;

enum State<S> {
    Idle(S),
    Busy(JoinHandle<io::Result<S>>),
    /// It failed, and has said so.
    Over,
}

impl<S: Send + 'static> Relay<S> {
    pub(super) fn new(state: S, work: Work<S>) -> Self {
        Self {
            work,
            state: State::Idle(state),
            waiting: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// Hands a piece on. Waits only where too many do.
    ///
    /// # Errors
    /// What the work on earlier pieces failed with.
    pub(super) async fn give(&mut self, piece: Bytes) -> io::Result<()> {
        self.waiting_bytes += piece.len();
        self.waiting.push(piece);
        let is_busy = matches!(&self.state, State::Busy(job) if !job.is_finished());
        let may_wait = match is_busy {
            true => self.waiting_bytes <= WAITING_BYTES_MAX,
            false => self.waiting_bytes < LOT_BYTES_MIN,
        };
        match may_wait {
            true => Ok(()),
            false => self.start().await,
        }
    }

    /// Begins with what waits, after what runs.
    async fn start(&mut self) -> io::Result<()> {
        let state = match std::mem::replace(&mut self.state, State::Over) {
            State::Idle(state) => state,
            State::Busy(job) => ended(job.await)?,
            State::Over => return Err(over()),
        };
        let pieces = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let work = self.work;
        let lot = move || work_off(state, work, &pieces);
        self.state = State::Busy(spawn_blocking(lot));
        Ok(())
    }

    /// Works off what is left, on a thread that may block.
    ///
    /// # Errors
    /// What any of the work failed with.
    pub(super) fn finish(self) -> io::Result<S> {
        let state = match self.state {
            State::Idle(state) => state,
            State::Busy(job) => ended(Handle::current().block_on(job))?,
            State::Over => return Err(over()),
        };
        work_off(state, self.work, &self.waiting)
    }

    /// Has the rest worked off while the caller does something else. What waits for it on
    /// such a thread must be begun after this: threads are few, and first come is first
    /// served, so whoever waits for what was begun before it waits for what runs.
    pub(super) fn finish_beside(self) -> JoinHandle<io::Result<S>> {
        match self.state {
            State::Busy(job) if self.waiting.is_empty() => job,
            _ => spawn_blocking(|| self.finish()),
        }
    }
}

fn work_off<S>(mut state: S, work: Work<S>, pieces: &[Bytes]) -> io::Result<S> {
    for piece in pieces {
        work(&mut state, piece)?;
    }
    Ok(state)
}

fn ended<S>(job: Result<io::Result<S>, JoinError>) -> io::Result<S> {
    job.map_err(io::Error::other)?
}

fn over() -> io::Error {
    io::Error::other("it was given up")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(all: &mut Vec<u8>, piece: &[u8]) -> io::Result<()> {
        match piece {
            b"bad" => Err(io::Error::other("a bad piece")),
            piece => {
                all.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    #[tokio::test]
    async fn pieces_are_worked_on_in_their_order() {
        for (pieces, is_one_lot) in [(0, true), (20, true), (1_000, false)] {
            let mut relays = [Relay::new(vec![1], append), Relay::new(vec![1], append)];
            let mut expected = vec![1];
            for number in 0..pieces {
                let piece = Bytes::from(vec![number as u8; 20_000]);
                expected.extend_from_slice(&piece);
                for relay in &mut relays {
                    relay.give(piece.clone()).await.unwrap();
                }
            }
            let [here, beside] = relays;
            assert_eq!(matches!(here.state, State::Idle(_)), is_one_lot, "{pieces}");
            let here = spawn_blocking(|| here.finish()).await.unwrap();
            assert!(here.unwrap() == expected, "{pieces}");
            let beside = beside.finish_beside().await.unwrap();
            assert!(beside.unwrap() == expected, "{pieces}");
        }
    }

    #[test]
    fn more_bodies_than_threads_come_to_their_end() {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).max_blocking_threads(2);
        let runtime = runtime.enable_all().build().unwrap();
        let one = |pieces: usize| async move {
            let mut here = Relay::new(Vec::new(), append);
            let mut beside = Relay::new(Vec::new(), append);
            for _ in 0..pieces {
                let piece = Bytes::from(vec![0; 20_000]);
                here.give(piece.clone()).await.unwrap();
                beside.give(piece).await.unwrap();
            }
            let beside = beside.finish_beside();
            let both = spawn_blocking(move || {
                let here = here.finish().unwrap();
                let beside = Handle::current().block_on(beside).unwrap();
                here == beside.unwrap() && here.len() == pieces * 20_000
            });
            both.await.unwrap()
        };
        let all: Vec<_> = (0..40).map(|n| runtime.spawn(one(n))).collect();
        let all = runtime.block_on(async {
            let all = futures_util::future::join_all(all);
            tokio::time::timeout(std::time::Duration::from_secs(60), all).await
        });
        let all = all.expect("they wait for each other");
        assert!(all.into_iter().all(|done| done.unwrap()));
        runtime.shutdown_background();
    }

    #[tokio::test]
    async fn a_failure_ends_it() {
        let mut relay = Relay::new(Vec::new(), append);
        relay.give(Bytes::from_static(b"bad")).await.unwrap();
        let rest = async {
            loop {
                relay.give(Bytes::from(vec![0; 20_000])).await?;
            }
        };
        let failed: io::Result<()> = rest.await;
        assert_eq!(failed.unwrap_err().to_string(), "a bad piece");
        assert!(relay.finish().is_err());
        let mut short = Relay::new(Vec::new(), append);
        short.give(Bytes::from_static(b"bad")).await.unwrap();
        assert_eq!(short.finish().unwrap_err().to_string(), "a bad piece");
    }
}
