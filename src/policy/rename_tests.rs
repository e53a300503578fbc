//! Names and facts of renames, as the real tools make them, against the table in the docs.
//!
//! The tables are text, one rename a line; rsync --inplace, tar and sqlite3 are not in
//! them because they rename nothing.

use super::*;

fn id(text: &str) -> PublicId {
    PublicId::new(text.as_bytes()).unwrap()
}

/// `from -> to | what the names say`.
const RELATIONS: &str = "
# git: lock files, refs, loose objects, packs
.git/index.lock -> .git/index | save
.git/HEAD.lock -> .git/HEAD | save
.git/refs/heads/main.lock -> .git/refs/heads/main | save
.git/packed-refs.new -> .git/packed-refs | save
.git/packed-refs.lock -> .git/packed-refs | save
.git/objects/4b/tmp_obj_x7Zq1P -> .git/objects/4b/825dc642cb6eb9a060e54bf8d69288fbee4904 | save
.git/objects/pack/tmp_pack_f0OBar -> .git/objects/pack/pack-12ab.pack | save
# rsync
p/.cat.jpg.Xy12Zq -> p/cat.jpg | save
p/.cat.jpg.abcdef -> p/cat.jpg | save
p/.cat.jpg.123456 -> p/cat.jpg | save
p/.bashrc.k3JmQ9 -> p/.bashrc | save
p/.~tmp~/cat.jpg -> p/cat.jpg | save
.~tmp~/cat.jpg -> cat.jpg | save
p/.rsync-partial/cat.jpg -> p/cat.jpg | save
# sed, patch, GNOME, LibreOffice, Office, JetBrains, downloads
sedGx2b0Q -> notes.txt | save
main.c.oRt5KzA -> main.c | save
new.okjqglv -> new | save
sedkjqglv -> notes.txt | save
sedkjqglv -> s | save
sedGx2b0Q -> sed | save
.goutputstream-AB12CD -> notes.txt | save
lu1880i9p8g.tmp -> letter.odt | save
~WRD0000.tmp -> letter.docx | save
Main.java___jb_tmp___ -> Main.java | save
debian.iso.part -> debian.iso | save
debian.iso.part -> iso/debian.iso | save
film.mkv.crdownload -> film.mkv | save
x.tmp -> x | save
x.new -> x | save
x.lock -> x | save
# backups
notes.txt -> notes.txt~ | never
notes.txt -> notes.txz~ | never
notes.txt -> notes.tx~ | none
a -> z~ | none
d/notes.txt -> d/notes.txt.bak | own
main.c -> main.c.orig | own
app.log -> app.log.old | own
# people
x.bak -> x | none
x~ -> x | none
x.orig -> x | none
x.old -> x | none
a -> b | none
x.tmp -> y | none
x.tmp -> d/x | none
d/x.lock -> x | none
x -> d/x.bak | none
x -> d/x~ | none
x -> y~ | none
x -> x.backup | none
x -> x.bak2 | none
x.txt -> x.bak | none
x.tmp2 -> x | none
.env.sample -> .env | none
.bashrc.backup -> .bashrc | none
x.original -> x | none
x.oldnames -> x | none
report.o123456 -> report | none
d/cat.jpg -> cat.jpg | none
p/.old/cat.jpg -> p/cat.jpg | none
p/.rsync-partial/cat.jpg -> p/dog.jpg | none
p/.rsync-partial/cat.jpg -> q/cat.jpg | none
.lock -> x | none
x -> x | none
";

/// `tool: step | from (source) -> to (target, what policy says of its name) | case`.
const SAVES: &str = "
vim: make room | x (asset) -> x~ (free, kept) | save away
vim: make room again | x (asset) -> x~ (live other, kept) | save away
vim: write failed, put back | x~ (other) -> x (reserved, kept) | save in
emacs: backup | d/x (asset) -> d/x~ (free, kept) | save away
emacs: recovered autosave | #x# (other) -> x (live asset, kept) | save in
sed -i | sedGx2b0Q (other) -> x (live asset, kept) | save in
sed -i.bak, first | x (asset) -> x.bak (free, kept) | save away, own version
sed -i.bak, second | sedGx2b0Q (other) -> x (reserved, kept) | save in
sed -i.bak, once more | x (asset) -> x.bak (live asset, kept) | save away, own version
sed -i.bak, the copy deleted | x (asset) -> x.bak (reserved, kept) | save away, own version
sed -i.bak, *.bak excluded | x (asset) -> x.bak (free, not kept) | save away
sed -i on an excluded file | sedGx2b0Q (other) -> x.o (live other, not kept) | untracked
rsync, new file | p/.x.Xy12Zq (other) -> p/x (free, kept) | save in
rsync, update | p/.x.Xy12Zq (other) -> p/x (live asset, kept) | save in
rsync, deleted before | p/.x.Xy12Zq (other) -> p/x (reserved, kept) | save in
rsync, a draw of letters | p/.x.abcdef (asset) -> p/x (reserved, kept) | save in
rsync --delay-updates | p/.~tmp~/x (other) -> p/x (reserved, kept) | save in
rsync --delay-updates, collecting | p/.x.Xy12Zq (other) -> p/.~tmp~/x (free, not kept) | untracked
rsync --delay-updates, a draw of letters | p/.x.abcdef (asset) -> p/.~tmp~/x (free, not kept) | move
rsync --delay-updates, of another file | p/.y.abcdef (asset) -> p/.~tmp~/x (free, not kept) | save away
rsync --partial-dir | p/.rsync-partial/x (asset) -> p/x (live asset, kept) | save in
rsync --backup | p/x (asset) -> p/x~ (free, kept) | save away
git commit: index | .git/index.lock (asset) -> .git/index (live asset, kept) | save in
git commit: object | .git/objects/4b/tmp_obj_x7Zq1P (other) -> .git/objects/4b/825d (free, kept) | save in
git branch: new | .git/refs/heads/b.lock (asset) -> .git/refs/heads/b (free, kept) | save in
git branch -D and again | .git/refs/heads/b.lock (asset) -> .git/refs/heads/b (reserved, kept) | save in
git gc: packed refs | .git/packed-refs.new (asset) -> .git/packed-refs (live asset, kept) | save in
git gc: pack | .git/objects/pack/tmp_pack_f0OBar (other) -> .git/objects/pack/pack-1.pack (free, kept) | save in
git gc: index of a pack | .git/objects/pack/tmp_idx_f0OBar (other) -> .git/objects/pack/pack-1.idx (reserved, kept) | save in
patch -b, first | main.c (asset) -> main.c.orig (free, kept) | save away, own version
patch -b, second | main.c.oRt5KzA (asset) -> main.c (reserved, kept) | save in
patch | main.c.oRt5KzA (asset) -> main.c (live asset, kept) | save in
install -b | bin/x (asset) -> bin/x~ (live other, kept) | save away
LibreOffice | lu1880i9p8g.tmp (other) -> letter.odt (live asset, kept) | save in
Office: put away | letter.docx (asset) -> ~wrl0001.tmp (free, not kept) | save away
Office: put in place | ~WRD0000.tmp (other) -> letter.docx (reserved, kept) | save in
JetBrains: put away | Main.java (asset) -> Main.java___jb_old___ (free, not kept) | save away
JetBrains: put in place | Main.java___jb_tmp___ (other) -> Main.java (reserved, kept) | save in
GNOME | .goutputstream-AB12CD (other) -> notes.txt (live asset, kept) | save in
GNOME: to the rubbish | notes.txt (asset) -> .Trash-1000/files/notes.txt (free, not kept) | save away
GNOME: out of the rubbish | .Trash-1000/files/notes.txt (other) -> notes.txt (reserved, kept) | save in
download: done | debian.iso.part (other) -> debian.iso (free, kept) | save in
download: renamed on the way | a.part (other) -> b.part (free, not kept) | untracked
logrotate | app.log (asset) -> app.log.old (live asset, kept) | save away, own version
";

/// `from (source) -> to (target, what policy says of its name) | case`.
const MOVES: &str = "
a (asset) -> b (free, kept) | move
a (asset) -> d/a (free, kept) | move
a (asset) -> b (live other, kept) | move
a (asset) -> b (live asset, kept) | move onto live
b (asset) -> a (reserved, kept) | refused
# Into an excluded directory: the asset is still that asset.
a (asset) -> build/a (free, not kept) | move
# A person brings the copy back: only a live X takes it.
x.bak (asset) -> x (live asset, kept) | move onto live
x.bak (asset) -> x (reserved, kept) | refused
x.bak (asset) -> x (free, kept) | move
.env.sample (asset) -> .env (reserved, kept) | refused
# What was not backed up is an upload, and an upload is always allowed.
a (other) -> b (free, kept) | save in
a (other) -> b (live asset, kept) | save in
a (other) -> b (live other, kept) | save in
a (other) -> b (reserved, kept) | save in
x (other) -> x.bak (free, kept) | save in
a (other) -> b (free, not kept) | untracked
a (other) -> b (live asset, not kept) | untracked
a (other) -> b (reserved, not kept) | untracked
";

fn rows(table: &str) -> impl Iterator<Item = &str> {
    table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
}

/// `x.bak (live asset, kept)` as name and words.
fn end(text: &str) -> (PublicId, &str) {
    let (name, words) = text.split_once(" (").unwrap();
    (id(name), words.strip_suffix(')').unwrap())
}

fn judge(rename: &str) -> RenameCase {
    let (from, to) = rename.split_once(" -> ").unwrap();
    let ((from, source), (to, target)) = (end(from), end(to));
    let (target, kept) = target.split_once(", ").unwrap();
    classify_rename(&RenameFacts {
        from: &from,
        to: &to,
        source: match source {
            "asset" => SourceStanding::Asset,
            "other" => SourceStanding::NotBackedUp,
            word => panic!("{word}"),
        },
        target: match target {
            "free" => TargetStanding::Free,
            "live asset" => TargetStanding::LiveAsset,
            "live other" => TargetStanding::LiveOther,
            "reserved" => TargetStanding::Reserved,
            word => panic!("{word}"),
        },
        target_kept: match kept {
            "kept" => Kept::Yes,
            "not kept" => Kept::No,
            word => panic!("{word}"),
        },
    })
}

fn words(case: RenameCase) -> &'static str {
    match case {
        RenameCase::SaveIn => "save in",
        RenameCase::SaveAway {
            target_gets_version: TargetVersion::Own,
        } => "save away, own version",
        RenameCase::SaveAway {
            target_gets_version: TargetVersion::None,
        } => "save away",
        RenameCase::MoveToFree => "move",
        RenameCase::MoveOntoLive => "move onto live",
        RenameCase::RefusedReserved => "refused",
        RenameCase::Untracked => "untracked",
    }
}

#[test]
fn names_show_what_a_tool_is_doing() {
    for row in rows(RELATIONS) {
        let (names, expected) = row.split_once(" | ").unwrap();
        let (from, to) = names.split_once(" -> ").unwrap();
        let said = match relation(&id(from), &id(to)) {
            NameRelation::ToolSave => "save",
            NameRelation::ToolBackup {
                kept: KeptCopy::OwnVersion,
            } => "own",
            NameRelation::ToolBackup {
                kept: KeptCopy::Never,
            } => "never",
            NameRelation::Unrelated => "none",
        };
        assert_eq!(said, expected, "{row}");
    }
}

#[test]
fn names_need_not_be_text() {
    let name = |bytes: &[u8]| PublicId::new(bytes).unwrap();
    let backup = NameRelation::ToolBackup {
        kept: KeptCopy::Never,
    };
    for (from, to, expected) in [
        (&b"\xff.lock"[..], &b"\xff"[..], NameRelation::ToolSave),
        (b".\xff.Xy12Zq", b"\xff", NameRelation::ToolSave),
        (b"\xff", b"\xff~", backup),
        (b"", b"\xff", NameRelation::Unrelated),
        (b"\xff", b"", NameRelation::Unrelated),
    ] {
        assert_eq!(relation(&name(from), &name(to)), expected, "{from:?}");
    }
}

#[test]
fn saves_of_real_tools_keep_the_history_in_place() {
    for row in rows(SAVES) {
        let (_, rest) = row.split_once(" | ").unwrap();
        let (rename, expected) = rest.split_once(" | ").unwrap();
        assert_eq!(words(judge(rename)), expected, "{row}");
    }
}

#[test]
fn moves_of_people_follow_the_table() {
    for row in rows(MOVES) {
        let (rename, expected) = row.split_once(" | ").unwrap();
        assert_eq!(words(judge(rename)), expected, "{row}");
    }
}

#[test]
fn a_transient_target_never_takes_a_version() {
    for target in ["free", "live asset", "live other", "reserved"] {
        // A caller that says the name is kept does not change what the name is.
        for kept in ["kept", "not kept"] {
            for (source, expected) in [
                ("x (asset)", "save away"),
                ("x.part.tmp (asset)", "save away"),
                ("x (other)", "untracked"),
            ] {
                let rename = format!("{source} -> x.part ({target}, {kept})");
                assert_eq!(words(judge(&rename)), expected, "{rename}");
            }
        }
    }
}

#[test]
fn a_transient_source_is_no_asset_whatever_the_caller_says() {
    let case = judge("x.part (asset) -> y (reserved, kept)");
    assert_eq!(case, RenameCase::SaveIn);
}
