//! The history names at the mount root, in one table.

/// A name at the mount root that shows history instead of a live file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HistoryName {
    /// `.versions`: every kept content of every asset.
    Versions,
    /// `.deleted`: every deleted asset that can be restored.
    Deleted,
    /// `.at`: the whole tree as it was. Reserved; it shows nothing yet.
    At,
}

/// All of them with their names. No user file can have these at the mount root.
pub const HISTORY_NAMES: [(HistoryName, &str); 3] = [
    (HistoryName::Versions, ".versions"),
    (HistoryName::Deleted, ".deleted"),
    (HistoryName::At, ".at"),
];

impl HistoryName {
    /// The history name that these bytes spell at the mount root.
    pub fn from_root_name(name: &[u8]) -> Option<Self> {
        HISTORY_NAMES
            .iter()
            .find(|(_, text)| text.as_bytes() == name)
            .map(|(history, _)| *history)
    }
}
