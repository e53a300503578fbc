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
        ".keepfs-rebuild.*",
        "keepfs",
        Matcher::Prefix(b".keepfs-rebuild."),
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tool_of(path: &[u8]) -> Option<&'static str> {
        transient_rule(&PublicId::new(path).unwrap()).map(|rule| rule.tool)
    }

    #[test]
    fn temporary_names_of_tools_are_transient() {
        let table: &[(&[u8], &str)] = &[
            (b".notes.txt.swp", "vim"),
            (b".notes.txt.swo", "vim"),
            (b".notes.txt.swx", "vim"),
            (b"..bashrc.swp", "vim"),
            (b"#notes.txt#", "emacs"),
            (b".#notes.txt", "emacs"),
            (b".~lock.letter.odt#", "LibreOffice"),
            (b"lu1880i9p8g.tmp", "LibreOffice"),
            (b"lu35jzv6.tmp", "LibreOffice"),
            (b"~$letter.docx", "Office"),
            (b"~WRL0001.tmp", "Office"),
            (b"~WRD0000.tmp", "Office"),
            (b"~wrf0002.TMP", "Office"),
            (b".goutputstream-AB12CD", "GNOME"),
            (b".Trash-1000", "GNOME"),
            (b".Trash-1000/files/cat.jpg", "GNOME"),
            (b"usb/.Trash-0/info/cat.jpg.trashinfo", "GNOME"),
            (b".notes.txt.kate-swp", "KDE"),
            (b"Main.java___jb_tmp___", "JetBrains"),
            (b"Main.java___jb_old___", "JetBrains"),
            (b"sedGx2b0Q", "sed"),
            (b"sed1234aB", "sed"),
            (b".git/objects/4b/tmp_obj_x7Zq1P", "git"),
            (b".git/objects/pack/tmp_pack_f0OBar", "git"),
            (b".git/objects/pack/tmp_idx_f0OBar", "git"),
            (b".cat.jpg.Xy12Zq", "rsync"),
            (b".bashrc.k3JmQ9", "rsync"),
            (b"photos/.\xff\xfe.jpg.aB3dE6", "rsync"),
            (b"photos/.~tmp~/cat.jpg", "rsync"),
            (b".~tmp~/a/b/cat.jpg", "rsync"),
            (b"film.mkv.partial", "rclone"),
            (b"film.mkv.1a2b3c4d.partial", "rclone"),
            (b".syncthing.cat.jpg.tmp", "Syncthing"),
            (b"Unconfirmed 1234.crdownload", "Chrome"),
            (b"debian.iso.part", "Firefox"),
            (b"upload.zip.filepart", "WinSCP"),
            (b"talk.mp4.ytdl", "yt-dlp"),
            (b"a/.keepfs-rebuild.12", "keepfs"),
            (b"debian.iso.aria2", "aria2"),
            (b".fuse_hidden0000000300000002", "FUSE"),
            (b".nfs000000000123abcd00000001", "NFS"),
            (b".DS_Store", "macOS"),
            (b"a/b/.DS_Store", "macOS"),
            (b"._cat.jpg", "macOS"),
            (b"Thumbs.db", "Windows"),
            (b"thumbs.db", "Windows"),
            (b"desktop.ini", "Windows"),
            (b"Desktop.ini", "Windows"),
            (b"library.db-journal", "SQLite"),
            (b"library.db-wal", "SQLite"),
            (b"library.sqlite3-shm", "SQLite"),
            (b".cache.db-wal", "SQLite"),
        ];
        for (path, tool) in table {
            assert_eq!(
                tool_of(path),
                Some(*tool),
                "{}",
                String::from_utf8_lossy(path)
            );
        }
    }

    #[test]
    fn names_that_people_make_are_not_transient() {
        for path in [
            &b".env.sample"[..],
            b".env.development",
            b".env.123456",
            b"sedentary",
            b"sed",
            b"sedimentary.txt",
            b"sed-tricks",
            b"sed123456",
            b"my.partial.notes.txt",
            b"partial",
            b"x.part1",
            b"party",
            b"notes-wal",
            b"travel-journal",
            b".private-journal",
            b"2026.11.23-journal",
            b"Dr. Smith-journal",
            b"end.-wal",
            b"a.lock",
            b"Cargo.lock",
            b"draft.tmp",
            b"lunch.tmp",
            b"lu 1.tmp",
            b"notes.txt~",
            b"notes.txt.bak",
            b"notes.txt.orig",
            b"notes.txt.old",
            b"notes.txt.new",
            b".bashrc.backup",
            b".bashrc",
            b".gitignore",
            b"film.swp",
            b".sw",
            b"swp",
            b"#1 hits.txt",
            b"#",
            b"wr0001.tmp",
            b"~wr.txt",
            b"~notes",
            b"a#",
            b".~lock",
            b"~tmp~",
            b".~tmp~",
            b".Trash",
            b"Trash-1000/cat.jpg",
            b"syncthing.cat.tmp",
            b".syncthing.tmp",
            b"tmp_objects",
            b"tmp_package",
            b"DS_Store",
            b"_cat.jpg",
            b"Thumbs.dbx",
            b"my desktop.ini.txt",
            b"Main.java",
            b"goutputstream-1",
            b"fuse_hidden",
            b"4913",
            b"\xff\xfe",
            b"cat.jpg.Xy12Zq",
        ] {
            assert_eq!(tool_of(path), None, "{}", String::from_utf8_lossy(path));
        }
    }

    #[test]
    fn only_directory_rules_look_at_directories() {
        for path in [
            &b"#old#/notes.txt"[..],
            b"film.part/scene.mkv",
            b"sedGx2b0Q/notes.txt",
            b".notes.swp/a",
            b"._x/a",
            b"~$x/a",
        ] {
            assert_eq!(tool_of(path), None, "{}", String::from_utf8_lossy(path));
        }
        assert_eq!(transient_rule(&PublicId::root()), None);
    }

    #[test]
    fn each_pattern_is_listed_once() {
        for (index, rule) in TRANSIENT_RULES.iter().enumerate() {
            let again = TRANSIENT_RULES
                .iter()
                .skip(index + 1)
                .any(|other| other.pattern == rule.pattern);
            assert!(!again, "{} is listed twice", rule.pattern);
        }
    }

    proptest! {
        #[test]
        fn a_name_is_judged_alike_in_every_ordinary_directory(
            name in prop_oneof!["[ -.0-~]{1,20}", "[.#~][a-zA-Z0-9.]{1,12}[.#~a-zA-Z0-9]{0,7}"],
            directory in "[a-z]{1,8}(/[a-z]{1,8}){0,3}",
        ) {
            prop_assume!(name != "." && name != "..");
            let alone = PublicId::new(name.as_bytes()).unwrap();
            let inside = PublicId::new(format!("{directory}/{name}").as_bytes()).unwrap();
            prop_assert_eq!(transient_rule(&alone), transient_rule(&inside));
        }
    }
}
