//! What stands behind one mount: the live tree, its history, and what both share.

use std::sync::Arc;

use fuser::INodeNo;

use super::barrier::Barrier;
use super::errno::{Error, Result};
use super::handles::Handles;
use super::history::{Past, is_history};
use super::live::Live;
use super::remote_commits::RemoteCommits;

/// Everything behind one mount.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) live: Live,
    pub(crate) past: Past,
    pub(crate) barrier: Arc<Barrier>,
    pub(crate) handles: Arc<Handles>,
    /// `None`: nobody waits for the store.
    pub(crate) remote: Option<RemoteCommits>,
}

impl Tree {
    /// Closes what the kernel never got to close: the session is over.
    pub(crate) fn close_all(&self) {
        for handle in self.handles.numbers() {
            self.live.release(handle);
        }
    }

    /// The live tree, for what changes a file: history refuses it.
    pub(crate) fn in_live(&self, id: INodeNo) -> Result<&Live> {
        if is_history(id.0) {
            Err(Error::HistoryIsReadOnly)
        } else {
            Ok(&self.live)
        }
    }
}
