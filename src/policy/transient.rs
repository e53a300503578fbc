//! Names that tools use in passing, in one table. A file of such a name is never an asset.
//!
//! The surprise: the table must err on the side of people. A temporary file that
//! slips through costs a version; a person's file that is swallowed has no
//! history, so random letters are told from words, and `*.tmp` is not listed.

use crate::model::PublicId;

/// One kind of temporary name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransientRule {
    /// As the docs show it, in gitignore style; `XXXXXX` are letters that mkstemp(3) drew.
    pub pattern: &'static str,
    /// Who makes such names.
    pub tool: &'static str,
    matcher: Matcher,
}

/// How a rule reads a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matcher {
    /// Begins so.
    Prefix(&'static [u8]),
    /// Ends so.
    Suffix(&'static [u8]),
    /// Begins so and ends so, without overlap.
    Around(&'static [u8], &'static [u8]),
    /// As [`Around`](Self::Around), whatever the case of ASCII letters.
    AroundAnyCase(&'static [u8], &'static [u8]),
    /// Exactly this name.
    Exact(&'static [u8]),
    /// This name, whatever the case of ASCII letters.
    ExactAnyCase(&'static [u8]),
    /// A name of this beginning, or anything below a directory of such a name.
    PrefixTree(&'static [u8]),
    /// Anything below a directory of exactly this name.
    Below(&'static [u8]),
    /// `.*.sw?`.
    VimSwap,
    /// `lu*.tmp` where the star holds a process number: `lunch.tmp` is a person's.
    LibreOfficeTemp,
    /// `sedXXXXXX`.
    SedTemp,
    /// `.*.XXXXXX`.
    RsyncTemp,
    /// This suffix behind a name with an extension.
    SqliteSide(&'static [u8]),
    /// Begins so, and a number follows.
    Numbered(&'static [u8]),
}

const fn rule(pattern: &'static str, tool: &'static str, matcher: Matcher) -> TransientRule {
    TransientRule {
        pattern,
        tool,
        matcher,
    }
}

/// The table, in the order in which `keepfs policy` and the docs show it.
pub static TRANSIENT_RULES: [TransientRule; 36] = [
    rule(".*.sw?", "vim", Matcher::VimSwap),
    rule("#*#", "emacs", Matcher::Around(b"#", b"#")),
    rule(".#*", "emacs", Matcher::Prefix(b".#")),
    rule(
        ".~lock.*#",
        "LibreOffice",
        Matcher::Around(b".~lock.", b"#"),
    ),
    rule("lu*.tmp", "LibreOffice", Matcher::LibreOfficeTemp),
    rule("~$*", "Office", Matcher::Prefix(b"~$")),
    rule(
        "~wr*.tmp",
        "Office",
        Matcher::AroundAnyCase(b"~wr", b".tmp"),
    ),
    rule(
        ".goutputstream-*",
        "GNOME",
        Matcher::Prefix(b".goutputstream-"),
    ),
    rule(".Trash-*", "GNOME", Matcher::PrefixTree(b".Trash-")),
    rule("*.kate-swp", "KDE", Matcher::Suffix(b".kate-swp")),
    rule(
        "*___jb_tmp___",
        "JetBrains",
        Matcher::Suffix(b"___jb_tmp___"),
    ),
    rule(
        "*___jb_old___",
        "JetBrains",
        Matcher::Suffix(b"___jb_old___"),
    ),
    rule("sedXXXXXX", "sed", Matcher::SedTemp),
    rule("tmp_obj_*", "git", Matcher::Prefix(b"tmp_obj_")),
    rule("tmp_pack_*", "git", Matcher::Prefix(b"tmp_pack_")),
    rule("tmp_idx_*", "git", Matcher::Prefix(b"tmp_idx_")),
    rule("tmp_rev_*", "git", Matcher::Prefix(b"tmp_rev_")),
    rule(".*.XXXXXX", "rsync", Matcher::RsyncTemp),
    rule(".~tmp~/", "rsync", Matcher::Below(b".~tmp~")),
    rule("*.partial", "rclone", Matcher::Suffix(b".partial")),
    rule(
        ".syncthing.*.tmp",
        "Syncthing",
        Matcher::Around(b".syncthing.", b".tmp"),
    ),
    rule("*.crdownload", "Chrome", Matcher::Suffix(b".crdownload")),
    rule("*.part", "Firefox", Matcher::Suffix(b".part")),
    rule("*.filepart", "WinSCP", Matcher::Suffix(b".filepart")),
    rule("*.ytdl", "yt-dlp", Matcher::Suffix(b".ytdl")),
    rule("*.aria2", "aria2", Matcher::Suffix(b".aria2")),
    rule(".fuse_hidden*", "FUSE", Matcher::Prefix(b".fuse_hidden")),
    rule(".nfs*", "NFS", Matcher::Prefix(b".nfs")),
    rule(".DS_Store", "macOS", Matcher::Exact(b".DS_Store")),
    rule("._*", "macOS", Matcher::Prefix(b"._")),
    rule("Thumbs.db", "Windows", Matcher::ExactAnyCase(b"thumbs.db")),
    rule(
        "desktop.ini",
        "Windows",
        Matcher::ExactAnyCase(b"desktop.ini"),
    ),
    rule("X-journal", "SQLite", Matcher::SqliteSide(b"-journal")),
    rule("X-wal", "SQLite", Matcher::SqliteSide(b"-wal")),
    rule("X-shm", "SQLite", Matcher::SqliteSide(b"-shm")),
    rule(
        ".keepfs-rebuild.N",
        "keepfs",
        Matcher::Numbered(b".keepfs-rebuild."),
    ),
];

/// The rule that makes this path a temporary one: by its last name, or by a
/// directory above it where the rule is one for directories.
pub fn transient_rule(id: &PublicId) -> Option<&'static TransientRule> {
    let name = id.name()?;
    TRANSIENT_RULES
        .iter()
        .find(|rule| rule.matcher.takes_name(name))
        .or_else(|| {
            let mut above = id.components();
            above.next_back();
            above.find_map(|directory| {
                TRANSIENT_RULES
                    .iter()
                    .find(|rule| rule.matcher.takes_below(directory))
            })
        })
}

impl Matcher {
    /// Is a file of this name a temporary one, wherever it lies?
    fn takes_name(self, name: &[u8]) -> bool {
        match self {
            Matcher::Prefix(prefix) | Matcher::PrefixTree(prefix) => name.starts_with(prefix),
            Matcher::Suffix(suffix) => name.ends_with(suffix),
            Matcher::Around(prefix, suffix) => between(name, prefix, suffix).is_some(),
            Matcher::AroundAnyCase(prefix, suffix) => {
                between(&name.to_ascii_lowercase(), prefix, suffix).is_some()
            }
            Matcher::Exact(exact) => name == exact,
            Matcher::ExactAnyCase(exact) => name.eq_ignore_ascii_case(exact),
            Matcher::Below(_) => false,
            Matcher::VimSwap => {
                matches!(name, [b'.', rest @ .., _] if rest.ends_with(b".sw"))
            }
            Matcher::LibreOfficeTemp => between(name, b"lu", b".tmp").is_some_and(|middle| {
                middle.iter().all(u8::is_ascii_alphanumeric)
                    && middle.iter().any(u8::is_ascii_digit)
            }),
            Matcher::SedTemp => name.strip_prefix(b"sed").is_some_and(is_mkstemp_draw),
            Matcher::RsyncTemp => name
                .strip_prefix(b".")
                .and_then(split_last_dot)
                .is_some_and(|(_, draw)| is_mkstemp_draw(draw)),
            Matcher::Numbered(prefix) => name
                .strip_prefix(prefix)
                .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit)),
            Matcher::SqliteSide(suffix) => name.strip_suffix(suffix).is_some_and(has_extension),
        }
    }

    /// Is everything below a directory of this name temporary?
    fn takes_below(self, directory: &[u8]) -> bool {
        match self {
            Matcher::PrefixTree(prefix) => directory.starts_with(prefix),
            Matcher::Below(exact) => directory == exact,
            _ => false,
        }
    }
}

/// Six characters as mkstemp(3) draws them from 62. All lower-case letters (one draw
/// in 185) and all digits are given to people: `.env.sample`, `.log.202611`.
pub(super) fn is_mkstemp_draw(text: &[u8]) -> bool {
    is_six_alphanumerics(text)
        && !text.iter().all(u8::is_ascii_lowercase)
        && !text.iter().all(u8::is_ascii_digit)
}

/// Any draw of mkstemp(3), words included: for where the rest of the name is known.
pub(super) fn is_six_alphanumerics(text: &[u8]) -> bool {
    text.len() == 6 && text.iter().all(u8::is_ascii_alphanumeric)
}

fn between<'a>(name: &'a [u8], prefix: &[u8], suffix: &[u8]) -> Option<&'a [u8]> {
    name.strip_prefix(prefix)?.strip_suffix(suffix)
}

/// What is before and behind the last dot.
fn split_last_dot(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    Some((&name[..dot], &name[dot + 1..]))
}

/// `data.db` has one; `.hidden`, `notes` and the date of `2026.11.23-journal` have none.
fn has_extension(name: &[u8]) -> bool {
    split_last_dot(name).is_some_and(|(stem, extension)| {
        !stem.is_empty()
            && extension.iter().all(u8::is_ascii_alphanumeric)
            && extension.iter().any(u8::is_ascii_alphabetic)
    })
}

#[cfg(test)]
#[path = "transient_tests.rs"]
mod tests;
