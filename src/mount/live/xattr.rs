//! Extended attributes and ACLs, and the ones that keepfs answers itself.
//!
//! `user.keepfs.backup` is real and lives on the lower file, so that it travels with
//! it. `user.keepfs.status`, `.vault` and `.policy` are made up and never listed; tags and
//! context are in `labels`.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use fuser::FileType;
use rustix::fs::{OFlags, XattrFlags as LowerFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;

use super::labels::Label;
use super::{Caller, Live};
use crate::model::{Override, PublicId};
use crate::mount::attr::{SET_GID, Stat};
use crate::mount::errno::{Error, Result};
use crate::mount::node::Node;
use crate::mount::nodes::{ROOT_ID, is_regular};
use crate::mount::proc_path;

const OWN: &[u8] = b"user.keepfs.";
const BACKUP: &[u8] = b"user.keepfs.backup";
const STATUS: &[u8] = b"user.keepfs.status";
const VAULT: &[u8] = b"user.keepfs.vault";
const POLICY: &[u8] = b"user.keepfs.policy";
const ACL: &[u8] = b"system.posix_acl_access";
const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// The most that a value or a list can have.
const LARGEST: usize = 64 * 1024;

impl Live {
    /// getxattr(2): the whole value.
    pub(crate) fn getxattr(&self, id: u64, name: &OsStr) -> Result<Vec<u8>> {
        let node = self.nodes.get(id)?;
        match name.as_bytes() {
            STATUS if id == ROOT_ID => return Ok(self.vault.status_json()?.into_bytes()),
            VAULT if id == ROOT_ID => {
                return Ok(self.options.vault.as_os_str().as_bytes().to_vec());
            }
            POLICY => return self.policy(&node),
            _ => {}
        }
        if let Some(label) = Label::named(name.as_bytes()) {
            return self.label(&node, label);
        }
        let anchor = self.anchor(&node)?;
        let path = proc_path(anchor.as_fd());
        // Most values are small; a large one costs a second call.
        let mut value = Vec::with_capacity(256);
        match getxattr(
            path.as_str(),
            name,
            rustix::buffer::spare_capacity(&mut value),
        ) {
            Err(Errno::RANGE) => {
                value.reserve(LARGEST);
                getxattr(
                    path.as_str(),
                    name,
                    rustix::buffer::spare_capacity(&mut value),
                )?;
            }
            other => {
                other?;
            }
        }
        Ok(value)
    }

    fn policy(&self, node: &Arc<Node>) -> Result<Vec<u8>> {
        let path = self.nodes.path(node)?.ok_or(Error::NoAttribute)?;
        Ok(self.vault.policy_json(&path)?.into_bytes())
    }

    /// A readable descriptor of a regular file, where it can be had.
    fn readable(&self, node: &Node) -> Option<OwnedFd> {
        is_regular(node.kind)
            .then(|| self.open_node(node, OFlags::RDONLY).ok())
            .flatten()
    }

    /// listxattr(2): NUL-terminated names.
    pub(crate) fn listxattr(&self, id: u64) -> Result<Vec<u8>> {
        let node = self.nodes.get(id)?;
        let anchor = self.anchor(&node)?;
        let path = proc_path(anchor.as_fd());
        let mut list = Vec::with_capacity(1024);
        match listxattr(path.as_str(), rustix::buffer::spare_capacity(&mut list)) {
            Err(Errno::RANGE) => {
                list.reserve(LARGEST);
                listxattr(path.as_str(), rustix::buffer::spare_capacity(&mut list))?;
            }
            other => {
                other?;
            }
        }
        self.list_labels(&node, &mut list);
        Ok(list)
    }

    /// setxattr(2).
    pub(crate) fn setxattr(
        &self,
        id: u64,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        caller: Caller,
    ) -> Result<()> {
        let node = self.nodes.get(id)?;
        if let Some(label) = Label::named(name.as_bytes()) {
            let flags = LowerFlags::from_bits_retain(flags as u32);
            return self.set_label(&node, label, value, flags);
        }
        let setting = own_attribute(name.as_bytes())?
            .map(|()| Override::from_word(value).ok_or(Error::BadOverride))
            .transpose()?;
        if setting.is_some() {
            self.finish_closes_before_override(&node);
        }
        let anchor = self.anchor(&node)?;
        let path = proc_path(anchor.as_fd());
        let flags = LowerFlags::from_bits_retain(flags as u32);
        setxattr(path.as_str(), name, value, flags)?;
        if setting.is_some() {
            self.tell_override(&node, setting)?;
        }
        self.acl_changed(&node, name, Some(caller))
    }

    /// removexattr(2).
    pub(crate) fn removexattr(&self, id: u64, name: &OsStr) -> Result<()> {
        let node = self.nodes.get(id)?;
        if let Some(label) = Label::named(name.as_bytes()) {
            return self.set_label(&node, label, b"", LowerFlags::REPLACE);
        }
        let is_backup = own_attribute(name.as_bytes())?.is_some();
        if is_backup {
            self.finish_closes_before_override(&node);
        }
        let anchor = self.anchor(&node)?;
        removexattr(proc_path(anchor.as_fd()).as_str(), name)?;
        if is_backup {
            self.tell_override(&node, None)?;
        }
        self.acl_changed(&node, name, None)
    }

    /// What was closed before an override changed is kept, or not, by the former one.
    fn finish_closes_before_override(&self, node: &Node) {
        let others_below = !is_regular(node.kind);
        if others_below || node.open().is_some_and(|open| open.writers() > 0) {
            self.barrier.fence();
        }
    }

    fn tell_override(&self, node: &Arc<Node>, value: Option<Override>) -> Result<()> {
        let file = self.readable(node);
        let _names = self.names_stay();
        let path: Option<PublicId> = self.nodes.path(node)?;
        if let Some(path) = path {
            self.vault
                .override_changed(&path, value, file.as_ref().map(AsFd::as_fd))?;
        }
        Ok(())
    }

    fn acl_changed(&self, node: &Node, name: &OsStr, caller: Option<Caller>) -> Result<()> {
        match name.as_bytes() {
            DEFAULT_ACL => {
                self.descriptors.drop_one(node.id);
            }
            ACL => {
                if let Some(caller) = caller {
                    self.keep_set_gid_honest(node, caller)?;
                }
                // The ACL's mask is the mode's group bits.
                self.expire_attributes(node.id);
            }
            _ => {}
        }
        Ok(())
    }

    /// An ACL set by an owner outside the file's group takes the set-gid bit away,
    /// which the lower filesystem does not see because the daemon is root.
    fn keep_set_gid_honest(&self, node: &Node, caller: Caller) -> Result<()> {
        if caller.is_root() || !self.runs_as_root || node.kind == FileType::Symlink {
            return Ok(());
        }
        let anchor = self.anchor(node)?;
        let stat = Stat::of(&anchor)?;
        if stat.mode() & SET_GID != 0 && stat.gid() != caller.gid {
            let mode = rustix::fs::Mode::from_raw_mode(stat.mode() & !SET_GID);
            rustix::fs::chmod(proc_path(anchor.as_fd()).as_str(), mode)?;
        }
        Ok(())
    }
}

/// `Some` for the one attribute of ours that people set; the others are read-only.
fn own_attribute(name: &[u8]) -> Result<Option<()>> {
    match name {
        BACKUP => Ok(Some(())),
        _ if name.starts_with(OWN) => Err(Error::OwnAttribute),
        _ => Ok(None),
    }
}
