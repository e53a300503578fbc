//! Plain values that every layer speaks: ids, paths, versions, attributes, time.
//!
//! Nothing here does I/O, except the one [`SystemClock`] that reads the wall
//! clock. Everything is cheap to copy or clone and compares by value.

mod attributes;
mod clock;
mod deadline;
pub mod failpoint;
mod fence;
mod ids;
mod labels;
mod path;
pub mod percent;
mod reserved;
mod shell;
mod store_place;
mod version;

pub use attributes::{Attributes, FileFacts, InodeKey, Override, Xattrs};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use deadline::{Deadline, patience};
pub use fence::{Fence, WriteClaim};
pub use ids::{
    AssetId, ChunkHash, ContentId, IdError, NodeId, PackId, ROOT, VersionId, VersionIdPrefix,
    VersionIds, VersionSeq,
};
pub use labels::{Context, LabelError, Labels, Tags};
pub use path::{Name, PathError, PublicId};
pub use reserved::{HISTORY_NAMES, HistoryName};
pub use shell::ShellWord;
pub use store_place::{BucketPlace, Cloud, STORE_FORMS, StorePlace};
pub use version::{Hold, Location, Origin, Version, VersionState};
