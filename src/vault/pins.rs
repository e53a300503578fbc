//! Which inodes hold sealed bytes that nobody may change yet.
//!
//! A pin lasts from the seal until the bytes are durable in a pack. The catalog
//! has the same fact in its rows; this table answers in nanoseconds, on each
//! open, whether there is anything to make safe first.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard};

use crate::model::{InodeKey, VersionSeq};

use super::commits::Epoch;

/// The pins of a vault.
#[derive(Debug, Default)]
pub struct Pins {
    table: Mutex<HashMap<InodeKey, Pin>>,
    changed: Condvar,
}

/// The sealed versions whose bytes one inode holds.
#[derive(Debug, Default, Clone)]
struct Pin {
    held: Vec<Held>,
    busy: bool,
}

/// One sealed version in a pinned inode: its first `size` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The version.
    pub seq: VersionSeq,
    /// Bytes from the start of the file.
    pub size: u64,
    /// Whether its bytes were fsynced by the writer, so that power loss must not take them.
    pub promised: Promised,
    /// When its row was written.
    pub before: Epoch,
    /// Whether the inode has a name in the spool for it.
    pub named: SpoolName,
}

/// Whether a pinned inode would outlive its names in the live tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpoolName {
    /// It has only its live names.
    No,
    /// The spool links to it.
    Linked,
}

/// What the writer was told about its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promised {
    /// Nothing: it never asked.
    Nothing,
    /// fsync returned.
    Durable,
}

impl Pins {
    /// Pins an inode for one more version.
    pub fn add(&self, inode: InodeKey, held: Held) {
        self.lock().entry(inode).or_default().held.push(held);
    }

    /// True when the inode holds sealed bytes.
    pub fn is_pinned(&self, inode: InodeKey) -> bool {
        self.lock().contains_key(&inode)
    }

    /// True when sealed bytes would be lost with the inode's last live name.
    pub fn needs_spool_name(&self, inode: InodeKey) -> bool {
        self.lock()
            .get(&inode)
            .is_some_and(|pin| pin.held.iter().any(|held| held.named == SpoolName::No))
    }

    /// The writer was told that the bytes are durable, after the close.
    pub fn promise(&self, inode: InodeKey) {
        if let Some(pin) = self.lock().get_mut(&inode) {
            for held in &mut pin.held {
                held.promised = Promised::Durable;
            }
        }
    }

    /// Takes the inode's versions to make them safe elsewhere. Others that ask
    /// for the same inode wait until [`Preserving`] is dropped. `None`: not pinned.
    pub fn begin(&self, inode: InodeKey) -> Option<Preserving<'_>> {
        let mut table = self.lock();
        loop {
            let pin = table.get_mut(&inode)?;
            if !pin.busy {
                pin.busy = true;
                let held = pin.held.clone();
                return Some(Preserving {
                    pins: self,
                    inode,
                    held,
                });
            }
            table = self
                .changed
                .wait(table)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Ends one version's claim on an inode: its bytes are stored, or it is gone.
    pub fn release(&self, inode: InodeKey, seq: VersionSeq) {
        let mut table = self.lock();
        if let Some(pin) = table.get_mut(&inode) {
            pin.held.retain(|held| held.seq != seq);
            if pin.held.is_empty() && !pin.busy {
                table.remove(&inode);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InodeKey, Pin>> {
        self.table
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The right to move one inode's sealed bytes.
#[derive(Debug)]
pub struct Preserving<'a> {
    pins: &'a Pins,
    inode: InodeKey,
    /// The versions, as of the beginning.
    pub held: Vec<Held>,
}

impl Preserving<'_> {
    /// The bytes of these versions no longer depend on the inode.
    pub fn done(&self, seqs: &[VersionSeq]) {
        let mut table = self.pins.lock();
        if let Some(pin) = table.get_mut(&self.inode) {
            pin.held.retain(|held| !seqs.contains(&held.seq));
        }
    }

    /// The inode has a name in the spool for this version now.
    pub fn named(&self, seq: VersionSeq) {
        let mut table = self.pins.lock();
        if let Some(pin) = table.get_mut(&self.inode) {
            for held in pin.held.iter_mut().filter(|held| held.seq == seq) {
                held.named = SpoolName::Linked;
            }
        }
    }
}

impl Drop for Preserving<'_> {
    fn drop(&mut self) {
        let mut table = self.pins.lock();
        if let Some(pin) = table.get_mut(&self.inode) {
            pin.busy = false;
            if pin.held.is_empty() {
                table.remove(&self.inode);
            }
        }
        self.pins.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INODE: InodeKey = InodeKey { dev: 1, ino: 2 };

    fn held(seq: i64) -> Held {
        Held {
            seq: VersionSeq(seq),
            size: 10,
            promised: Promised::Nothing,
            before: Epoch::default(),
            named: SpoolName::No,
        }
    }

    #[test]
    fn an_inode_is_pinned_until_its_last_version_is_released() {
        let pins = Pins::default();
        pins.add(INODE, held(1));
        pins.add(INODE, held(2));
        pins.release(INODE, VersionSeq(1));
        assert!(pins.is_pinned(INODE));
        pins.release(INODE, VersionSeq(2));
        assert!(!pins.is_pinned(INODE));
        assert!(pins.begin(INODE).is_none());
    }

    #[test]
    fn a_version_sealed_while_others_are_made_safe_stays_pinned() {
        let pins = Pins::default();
        pins.add(INODE, held(1));
        let preserving = pins.begin(INODE).unwrap();
        pins.add(INODE, held(2));
        preserving.done(&[VersionSeq(1)]);
        drop(preserving);
        assert_eq!(pins.begin(INODE).unwrap().held, vec![held(2)]);
    }

    #[test]
    fn a_second_preserver_waits_for_the_first() {
        let pins = Pins::default();
        pins.add(INODE, held(1));
        let first = pins.begin(INODE).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| pins.begin(INODE).is_none());
            first.done(&[VersionSeq(1)]);
            drop(first);
            assert!(second.join().unwrap(), "nothing is left to preserve");
        });
    }
}
