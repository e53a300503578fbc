//! Pieces of a body on their way to work that blocks: the disk, or a hash.
//!
//! The surprise: there is no thread that waits for the next piece. Each lot of pieces is a
//! job of its own, so that callers who are slow, however many, hold no thread that others
//! need.

use std::io;

use axum::body::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

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
        match is_busy && self.waiting_bytes <= WAITING_BYTES_MAX {
            true => Ok(()),
            false => self.start().await,
        }
    }

    /// Begins with what waits, after what runs.
    async fn start(&mut self) -> io::Result<()> {
        let mut state = match std::mem::replace(&mut self.state, State::Over) {
            State::Idle(state) => state,
            State::Busy(job) => job.await.map_err(io::Error::other)??,
            State::Over => return Err(io::Error::other("it was given up")),
        };
        let pieces = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let work = self.work;
        self.state = State::Busy(spawn_blocking(move || {
            for piece in pieces {
                work(&mut state, &piece)?;
            }
            Ok(state)
        }));
        Ok(())
    }

    /// Waits for the end of all the work.
    ///
    /// # Errors
    /// What it failed with.
    pub(super) async fn finish(mut self) -> io::Result<S> {
        if !self.waiting.is_empty() {
            self.start().await?;
        }
        match self.state {
            State::Idle(state) => Ok(state),
            State::Busy(job) => job.await.map_err(io::Error::other)?,
            State::Over => Err(io::Error::other("it was given up")),
        }
    }
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
        let mut relay = Relay::new(Vec::new(), append);
        let mut expected = Vec::new();
        for number in 0..1_000_u32 {
            let piece = vec![number as u8; 20_000];
            expected.extend_from_slice(&piece);
            relay.give(piece.into()).await.unwrap();
        }
        assert!(relay.finish().await.unwrap() == expected);
        let nothing = Relay::new(vec![1], append);
        assert_eq!(nothing.finish().await.unwrap(), [1]);
    }

    #[tokio::test]
    async fn a_failure_ends_it() {
        let mut relay = Relay::new(Vec::new(), append);
        relay.give(Bytes::from_static(b"bad")).await.unwrap();
        let rest = async {
            loop {
                relay.give(Bytes::from_static(b"good")).await?;
            }
        };
        let failed: io::Result<()> = rest.await;
        assert_eq!(failed.unwrap_err().to_string(), "a bad piece");
        assert!(relay.finish().await.is_err());
    }
}
