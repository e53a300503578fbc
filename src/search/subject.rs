//! What must be known of an asset to judge it.
//!
//! Plain values that the caller brings; nothing is looked up here. The surprise is
//! `dimensions`: they stand in the bytes of a file, so they are asked for only where
//! an expression cannot be decided without them, and at most once.

use crate::model::Timestamp;

/// An asset, as a search sees it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Its path from the mount root.
    pub public_id: &'a str,
    /// Its id for life.
    pub asset_id: &'a str,
    /// The name of the file.
    pub filename: &'a str,
    /// What people call it.
    pub display_name: &'a str,
    /// The directory, without a `/` at either end; empty for the mount root. Each
    /// `public_id` is this, a `/` where it is not empty, and one name: what prunes a
    /// walk by folder relies on it.
    pub folder: &'a str,
    /// `jpg`, `pdf`, …; none where the name does not say.
    pub format: Option<&'a str>,
    /// `image`, `video` or `raw`.
    pub resource_type: &'a str,
    /// The field `type`: `upload`.
    pub kind: &'a str,
    /// Its tags.
    pub tags: &'a [String],
    /// Keys and values.
    pub context: &'a [(String, String)],
    /// Its size.
    pub bytes: u64,
    /// There, or deleted.
    pub status: Status,
    /// When its first content came.
    pub created_at: Timestamp,
    /// When its present content came.
    pub uploaded_at: Timestamp,
    /// When anything of it changed.
    pub updated_at: Timestamp,
    /// Width and height in pixels, if it is a picture.
    pub dimensions: &'a dyn Fn() -> Option<(u32, u32)>,
}

/// There, or deleted. Other statuses can be asked for, but no asset has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// In the live tree.
    Active,
    /// Deleted, with versions that can be restored.
    Deleted,
}

impl Status {
    /// The word for it in an expression.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Deleted => "deleted",
        }
    }
}
