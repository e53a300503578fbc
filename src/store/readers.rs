//! The chunks that open readers will want: nobody may take them away with the packs that
//! waste space, even if no version has them any more.
//!
//! An open costs one entry, however long the content is; only who looks for dead chunks
//! among them goes through the lists.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::catalog::ChunkRecord;
use crate::model::ChunkHash;

#[derive(Debug, Default)]
struct Lists {
    last: u64,
    open: HashMap<u64, Arc<[ChunkRecord]>>,
}

/// What is open.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<Lists>);

/// One open reader's entry.
#[derive(Debug)]
pub(super) struct Ticket(u64);

impl Readers {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader begins. To be called while the catalog that named the chunks is still
    /// locked.
    pub(super) fn enter(&self, chunks: Arc<[ChunkRecord]>) -> Ticket {
        let mut lists = self.lists();
        lists.last += 1;
        let ticket = lists.last;
        lists.open.insert(ticket, chunks);
        Ticket(ticket)
    }

    /// It is done.
    pub(super) fn leave(&self, ticket: &Ticket) {
        self.lists().open.remove(&ticket.0);
    }

    /// Those of the chunks that some reader has open.
    pub(super) fn open_among(&self, mut chunks: HashSet<ChunkHash>) -> HashSet<ChunkHash> {
        let lists = self.lists();
        let mut found = HashSet::new();
        for chunk in lists.open.values().flat_map(|list| list.iter()) {
            found.extend(chunks.take(&chunk.hash));
        }
        found
    }
}
