//! `user.keepfs.tags` and `user.keepfs.context`: real attributes to whoever looks, kept by
//! the vault. They change without a version.

use std::sync::Arc;

use rustix::fs::XattrFlags;

use super::Live;
use crate::model::{Context, Labels, PublicId, Tags};
use crate::mount::errno::{Error, Result};
use crate::mount::node::Node;
use crate::mount::nodes::is_regular;
use crate::vault::{CONTEXT_XATTR, TAGS_XATTR};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Tags,
    Context,
}

impl Label {
    /// The one with that name. `None`: it is another attribute.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        match name {
            _ if name == TAGS_XATTR => Some(Self::Tags),
            _ if name == CONTEXT_XATTR => Some(Self::Context),
            _ => None,
        }
    }

    fn value(self, labels: &Labels) -> String {
        match self {
            Self::Tags => labels.tags.to_string(),
            Self::Context => labels.context.to_string(),
        }
    }
}

impl Live {
    pub(super) fn label(&self, node: &Arc<Node>, label: Label) -> Result<Vec<u8>> {
        let (_, labels) = self.labels_of(node)?;
        match label.value(&labels) {
            value if value.is_empty() => Err(Error::NoAttribute),
            value => Ok(value.into_bytes()),
        }
    }

    /// The value as text; an empty one takes the label away.
    pub(super) fn set_label(
        &self,
        node: &Arc<Node>,
        label: Label,
        value: &[u8],
        flags: XattrFlags,
    ) -> Result<()> {
        if !is_regular(node.kind) {
            return Err(Error::LabelOfNoFile);
        }
        let text = str::from_utf8(value).map_err(|_| Error::BadLabel)?;
        let (path, mut labels) = self.labels_of(node)?;
        let is_there = !label.value(&labels).is_empty();
        if is_there && flags.contains(XattrFlags::CREATE) {
            return Err(Error::AttributeExists);
        }
        if !is_there && flags.contains(XattrFlags::REPLACE) {
            return Err(Error::NoAttribute);
        }
        match label {
            Label::Tags => labels.tags = Tags::parse(text).map_err(|_| Error::BadLabel)?,
            Label::Context => labels.context = Context::parse(text).map_err(|_| Error::BadLabel)?,
        }
        Ok(self.vault.set_labels(&path, &labels)?)
    }

    /// Adds the names of those that the node has to a list of attributes.
    pub(super) fn list_labels(&self, node: &Arc<Node>, list: &mut Vec<u8>) {
        let Ok((_, labels)) = self.labels_of(node) else {
            return;
        };
        for (label, name) in [(Label::Tags, TAGS_XATTR), (Label::Context, CONTEXT_XATTR)] {
            let is_listed = list.split(|byte| *byte == 0).any(|known| known == name);
            if !is_listed && !label.value(&labels).is_empty() {
                list.extend_from_slice(name);
                list.push(0);
            }
        }
    }

    fn labels_of(&self, node: &Arc<Node>) -> Result<(PublicId, Labels)> {
        if !is_regular(node.kind) {
            return Err(Error::NoAttribute);
        }
        let path = self.nodes.path(node)?.ok_or(Error::NoAttribute)?;
        let labels = self.vault.labels(&path)?;
        Ok((path, labels))
    }
}
