//! The tools that people use, on a real mount, by name.

use std::fs;

use crate::harness::{Mount, is_root, noise};

/// No temporary file of a tool may be left in history or among the deleted.
#[track_caller]
fn assert_no_traces(m: &Mount, allowed: &[&str]) {
    let deleted: Vec<String> = m.deleted().into_iter().collect();
    assert_eq!(deleted, allowed, "in .deleted");
}

#[test]
fn cp_makes_versions_and_restores_them() {
    let m = Mount::new();
    m.run("echo 1 > a; cp a b; cp -a a c; echo 2 > a; cp a b");
    assert_eq!(m.texts("b"), ["1\n", "2\n"]);
    assert_eq!(m.texts("c"), ["1\n"]);
    m.run("cp .versions/b/$(ls .versions/b | head -1) b");
    assert_eq!(m.texts("b"), ["1\n", "2\n", "1\n"]);
    m.run("cp --remove-destination a b; cp -f a c; cp -r .versions/b \"$HOME/all\"");
    assert_eq!(m.run("ls \"$HOME/all\" | wc -l").trim(), "4");
    assert_no_traces(&m, &[]);
}

#[test]
fn mv_moves_inside_into_and_out_of_the_mount() {
    let m = Mount::new();
    m.run("echo 1 > a; mkdir d; mv a d/b; mv d e; echo in > \"$HOME/in\"; mv \"$HOME/in\" in");
    assert_eq!(m.texts("e/b"), ["1\n"]);
    assert_eq!(m.texts("in"), ["in\n"]);
    m.run("mv in \"$HOME/out\"; [[ $(cat \"$HOME/out\") == in ]]");
    assert_eq!(m.read_deleted("in"), "in\n");
}

#[test]
fn mv_with_a_backup_is_a_move_onto_a_reserved_name() {
    let m = Mount::new();
    m.run("echo 1 > b; echo 2 > x; ! mv --backup=simple x b; [[ $(cat x) == 2 ]]; [[ $(cat b~) == 1 ]]");
    // The way out, and nothing was lost on it.
    m.run("cp x b; rm x");
    assert_eq!(m.texts("b"), ["1\n", "2\n"]);
    assert!(m.versions("b~").is_empty());
}

#[test]
fn install_replaces_a_file_with_its_next_version() {
    let m = Mount::new();
    m.run("echo 1 > src; install -m 755 src bin; echo 2 > src; install -m 755 src bin; echo 3 > src; install -b -S .orig -m 755 src bin");
    assert_eq!(m.texts("bin"), ["1\n", "2\n", "3\n"]);
    assert_eq!(m.read("bin.orig"), b"2\n");
    assert_no_traces(&m, &[]);
}

#[test]
fn tar_unpacks_over_live_and_deleted_files() {
    let m = Mount::new();
    m.run(
        "mkdir -p \"$HOME/s/t\"; for i in 1 2 3; do echo $i > \"$HOME/s/t/$i\"; done
         ln -s 1 \"$HOME/s/t/link\"
         tar cf \"$HOME/t.tar\" -C \"$HOME/s\" t
         tar xf \"$HOME/t.tar\"; rm t/1; echo changed > t/3; tar xf \"$HOME/t.tar\"
         diff -r \"$HOME/s/t\" t",
    );
    assert_eq!(m.texts("t/3"), ["3\n", "changed\n", "3\n"]);
    assert!(!m.deleted().contains("t/1"));
    m.run("rm -r t; tar xf \"$HOME/t.tar\"; diff -r \"$HOME/s/t\" t; tar cf - . | tar tf - | sort > \"$HOME/list\"; ! grep -q versions \"$HOME/list\"");
    assert_eq!(m.texts("t/3").last().unwrap(), "3\n");
    // A hard link in the archive: tar removes the old name and links it anew, and link(2)
    // onto a reserved name is refused (design 1.3). The first time it is no trouble.
    m.run("mkdir \"$HOME/l\"; echo x > \"$HOME/l/a\"; ln \"$HOME/l/a\" \"$HOME/l/b\"; tar cf - -C \"$HOME\" l | tar xf -; [[ l/a -ef l/b ]]");
}

/// rsync in one mode: first transfer, update, and onto deleted files.
fn rsync(flags: &str) {
    let m = Mount::new();
    m.run(&format!(
        "mkdir -p \"$HOME/s/d\"; echo one > \"$HOME/s/a\"; seq 20000 > \"$HOME/s/d/b\"
         rsync -a {flags} \"$HOME/s/\" ./
         touch -d '1 hour ago' a d/b
         echo two > \"$HOME/s/a\"; seq 20001 > \"$HOME/s/d/b\"
         rsync -a {flags} \"$HOME/s/\" ./
         diff -r \"$HOME/s\" ."
    ));
    assert_eq!(m.texts("a"), ["one\n", "two\n"]);
    assert_eq!(m.versions("d/b").len(), 2);
    assert_no_traces(&m, &[]);
    m.run(&format!(
        "rm a; rm -r d; rsync -a {flags} \"$HOME/s/\" ./; diff -r \"$HOME/s\" ."
    ));
    assert_no_traces(&m, &[]);
    assert_eq!(m.texts("a").last().unwrap(), "two\n");
    m.run(&format!(
        "rm \"$HOME/s/a\"; rsync -a --delete {flags} \"$HOME/s/\" ./; [[ ! -e a ]]"
    ));
    assert_no_traces(&m, &["a"]);
    assert_eq!(m.list(".versions"), ["a", "d"]);
}

#[test]
fn rsync_plain_keeps_one_history_each() {
    rsync("");
}

#[test]
fn rsync_inplace_keeps_one_history_each() {
    rsync("--inplace");
}

#[test]
fn rsync_delay_updates_keeps_one_history_each() {
    rsync("--delay-updates");
}

/// One draw of mkstemp(3) in 185 spells a word, and is taken for a person's file at first.
#[test]
fn rsync_delay_updates_leaves_nothing_when_a_temporary_name_spells_a_word() {
    let m = Mount::new();
    for text in ["one", "two"] {
        m.run(&format!(
            "mkdir .~tmp~; echo {text} > .a.sample; mv .a.sample .~tmp~/a; mv .~tmp~/a a; rmdir .~tmp~"
        ));
    }
    m.run("rm a; mkdir .~tmp~; echo three > .a.sample; mv .a.sample .~tmp~/a; mv .~tmp~/a a; rmdir .~tmp~");
    assert_eq!(m.texts("a"), ["one\n", "two\n", "three\n"]);
    assert_no_traces(&m, &[]);
    assert_eq!(m.list(".versions"), ["a"]);
}

#[test]
fn rsync_backup_keeps_the_history_with_the_name() {
    let m = Mount::new();
    m.run(
        "mkdir \"$HOME/s\"; echo one > \"$HOME/s/a\"; rsync -ab \"$HOME/s/\" ./
         touch -d '1 hour ago' a; echo two > \"$HOME/s/a\"; rsync -ab \"$HOME/s/\" ./
         [[ $(cat a~) == one ]]",
    );
    assert_eq!(m.texts("a"), ["one\n", "two\n"]);
    assert_no_traces(&m, &[]);
}

/// vim with one setting of backupcopy; two saves.
fn vim(backupcopy: &str) {
    let m = Mount::new();
    m.write("f.txt", "one\n");
    for word in ["two", "three"] {
        m.run(&format!(
            "vim -N -u NONE -i NONE -T dumb -es -c 'set backup writebackup backupskip= backupcopy={backupcopy} swapfile directory=.' \
             -c 'normal! Go{word}' -c 'wq' f.txt"
        ));
    }
    assert_eq!(
        m.texts("f.txt"),
        ["one\n", "one\ntwo\n", "one\ntwo\nthree\n"],
        "{backupcopy}"
    );
    assert_eq!(m.read("f.txt~"), b"one\ntwo\n");
    assert_no_traces(&m, &[]);
    let names = m.list(".versions");
    assert!(
        !names.iter().any(|n| n.contains("sw") || n == "4913"),
        "{names:?}"
    );
    m.run("vim -N -u NONE -i NONE -T dumb -es -c 'set nobackup writebackup backupskip= swapfile directory=.' -c 'normal! Gofour' -c 'wq' f.txt");
    assert_eq!(m.versions("f.txt").len(), 4);
    assert_no_traces(&m, &[]);
}

#[test]
fn vim_that_renames_to_the_backup_keeps_one_history() {
    vim("no");
}

#[test]
fn vim_that_copies_to_the_backup_keeps_one_history() {
    vim("yes");
}

#[test]
fn vim_with_its_own_choice_keeps_one_history() {
    vim("auto");
}

#[test]
fn sed_in_place_is_a_save() {
    let m = Mount::new();
    m.run("echo one > f; sed -i s/one/two/ f; sed -i s/two/three/ f");
    assert_eq!(m.texts("f"), ["one\n", "two\n", "three\n"]);
    assert_eq!(m.list(".versions"), ["f"]);
    assert_no_traces(&m, &[]);
}

#[test]
fn sed_in_place_with_a_backup_keeps_the_history_with_the_name() {
    let m = Mount::new();
    m.run("echo one > f; sed -i.bak s/one/two/ f; sed -i.bak s/two/three/ f");
    assert_eq!(m.texts("f"), ["one\n", "two\n", "three\n"]);
    assert_eq!(m.texts("f.bak"), ["one\n", "two\n"]);
    assert_eq!(m.list(".versions"), ["f", "f.bak"]);
    assert_no_traces(&m, &[]);
}

#[test]
fn perl_in_place_keeps_one_history() {
    let m = Mount::new();
    m.run("echo one > f; perl -pi -e s/one/two/ f; perl -pi.bak -e s/two/three/ f");
    assert_eq!(m.texts("f").first().unwrap(), "one\n");
    assert_eq!(m.texts("f").last().unwrap(), "three\n");
    assert_eq!(m.read("f.bak"), b"two\n");
}

#[test]
fn patch_is_a_save_with_and_without_a_backup() {
    let m = Mount::new();
    m.run(
        "seq 100 > f; sed s/50/fifty/ f > \"$HOME/n\"; diff -u f \"$HOME/n\" > \"$HOME/p\" || true
         patch -s f < \"$HOME/p\"; cmp f \"$HOME/n\"; patch -s -R f < \"$HOME/p\"
         patch -s -b f < \"$HOME/p\"; [[ -e f.orig ]]",
    );
    assert_eq!(m.versions("f").len(), 4);
    let texts = m.texts("f");
    assert_eq!(texts[0], texts[2]);
    assert_eq!(texts[1], texts[3]);
    assert_no_traces(&m, &[]);
    m.run(
        "rm -f f.orig; printf -- '--- /dev/null\\n+++ b/new\\n@@ -0,0 +1 @@\\n+made\\n' > \"$HOME/q\"
         patch -s -p1 < \"$HOME/q\"; rm new; patch -s -p1 < \"$HOME/q\"; [[ $(cat new) == made ]]",
    );
}

#[test]
fn git_works_as_on_any_disk() {
    let m = Mount::new();
    m.run(
        "git config --global user.name t; git config --global user.email t@example.org
         git config --global init.defaultBranch main; git config --global gc.auto 0
         git init -q r; cd r
         for i in {1..20}; do echo $i > f$((i % 5)); git add .; git commit -qm \"c $i\"; done
         git branch topic; git branch -D topic; git branch topic; git branch -D topic; git branch topic HEAD~3
         git checkout -q topic; echo t > t; git add t; git commit -qm t
         git checkout -q main; git merge -q -m merged topic
         git tag v1; git tag -d v1; git tag v1
         git stash list; echo dirty >> f1; git stash -q; git stash pop -q; git checkout -q f1
         git mv f1 g1; git commit -qm moved; git mv g1 f1; git commit -qm back
         git gc -q --prune=now; git fsck --strict --full 2>&1; git repack -adq; git pack-refs --all
         git branch -D topic; git branch topic; git fsck --full 2>&1
         git reset -q --hard HEAD~2; git status --porcelain
         git clone -q . ../clone; cd ../clone; git fsck 2>&1; git log --oneline | wc -l",
    );
    assert!(m.versions("r/f1").len() >= 4);
    let deleted = m.deleted();
    let temporary: Vec<_> = deleted
        .iter()
        .filter(|p| p.contains("tmp_") || p.ends_with(".lock"))
        .collect();
    assert!(temporary.is_empty(), "{temporary:?}");
}

#[test]
fn sqlite_in_wal_mode_keeps_its_integrity() {
    let mut m = Mount::new();
    m.run(
        "sqlite3 app.db 'pragma journal_mode=wal; create table t(a integer primary key, b blob);' > /dev/null
         for i in {1..20}; do sqlite3 app.db 'insert into t(b) select randomblob(500) from (values (1),(2),(3),(4),(5));'; done
         [[ $(sqlite3 app.db 'pragma integrity_check') == ok ]]
         [[ $(sqlite3 app.db 'select count(*) from t') == 100 ]]",
    );
    assert!(m.versions("app.db").len() >= 2);
    m.run("cp .versions/app.db/latest \"$HOME/copy.db\"; chmod u+w \"$HOME/copy.db\"; [[ $(sqlite3 \"$HOME/copy.db\" 'pragma integrity_check') == ok ]]");
    assert_no_traces(&m, &[]);
    assert_eq!(m.list(".versions"), ["app.db"]);
    m.unmount();
    m.remount();
    m.run(
        "[[ $(sqlite3 app.db 'pragma integrity_check; select count(*) from t') == $'ok\\n100' ]]",
    );
}

#[test]
fn sqlite_with_a_rollback_journal_and_two_processes_keeps_its_integrity() {
    let m = Mount::new();
    m.run(
        "sqlite3 app.db 'pragma journal_mode=delete; create table t(a);' > /dev/null
         work() { for i in {1..25}; do sqlite3 -cmd '.timeout 20000' app.db \"insert into t values($i);\"; done; }
         work & first=$!; work; wait $first
         [[ $(sqlite3 app.db 'pragma integrity_check; select count(*) from t') == $'ok\\n50' ]]",
    );
    assert_no_traces(&m, &[]);
}

#[test]
fn a_program_that_maps_memory_and_writes_after_close_is_kept_whole() {
    let m = Mount::new();
    let bytes = noise(9, 1 << 20);
    m.write("image", &bytes);
    m.python(
        "import mmap, os
fd = os.open('image', os.O_RDWR)
a = mmap.mmap(fd, 1 << 20)
b = mmap.mmap(fd, 1 << 20)
os.close(fd)
a[10:14] = b'left'; assert b[10:14] == b'left'
b[-5:] = b'right'
a.close(); b[20:26] = b'middle'; b.close()",
    );
    let mut expected = bytes.clone();
    expected[10..14].copy_from_slice(b"left");
    expected[20..26].copy_from_slice(b"middle");
    let end = expected.len();
    expected[end - 5..].copy_from_slice(b"right");
    let contents = m.contents("image");
    assert!(contents == [bytes, expected.clone()]);
    assert!(m.read("image") == expected);
}

#[test]
fn libreoffice_and_office_sequences_keep_one_history() {
    let m = Mount::new();
    // LibreOffice: lock file, temporary beside, rename over.
    m.run(
        "echo v1 > r.odt; echo lock > .~lock.r.odt#; echo v2 > lu4711ab.tmp; mv lu4711ab.tmp r.odt; rm .~lock.r.odt#",
    );
    assert_eq!(m.texts("r.odt"), ["v1\n", "v2\n"]);
    // Word: owner file, new content under a temporary name, the old one aside, swap, clean up.
    m.run(
        "echo v1 > r.docx; echo owner > '~$r.docx'; echo v2 > '~wrd0001.tmp'
         mv r.docx '~wrl0002.tmp'; mv '~wrd0001.tmp' r.docx; rm '~wrl0002.tmp' '~$r.docx'",
    );
    assert_eq!(m.texts("r.docx").last().unwrap(), "v2\n");
    assert_eq!(m.read("r.docx"), b"v2\n");
    // GNOME: write beside, sync, rename over.
    m.run("echo v3 > .goutputstream-AB12CD; mv .goutputstream-AB12CD r.odt");
    assert_eq!(m.texts("r.odt"), ["v1\n", "v2\n", "v3\n"]);
    assert_no_traces(&m, &[]);
}

#[test]
fn emacs_sequences_keep_one_history() {
    let m = Mount::new();
    m.run(
        "echo 1 > f; ln -s me@host.1:2 .#f; echo auto > '#f#'; mv f f~; echo 2 > f; rm .#f '#f#'
         ln -s me@host.1:2 .#f; echo 3 > f; rm .#f",
    );
    assert_eq!(m.texts("f"), ["1\n", "2\n", "3\n"]);
    assert_no_traces(&m, &[]);
}

#[test]
fn shell_idioms_leave_one_history() {
    let m = Mount::new();
    m.run("echo b > f; echo a >> f; sort f -o f; sort f | tee g > /dev/null; split -n 2 g part-; cat part-a* > whole");
    assert_eq!(m.texts("f"), ["b\n", "b\na\n", "a\nb\n"]);
    assert_eq!(m.read("whole"), b"a\nb\n");
    m.run("gzip -k f; gunzip -c f.gz | cmp - f; zip() { :; }; f2=$(mktemp -p . XXXXXX.txt); mv $f2 named");
}

#[test]
fn locks_acls_and_attributes_work_as_below() {
    let m = Mount::new();
    m.run(
        "echo x > f; setfattr -n user.a -v b f; [[ $(getfattr --only-values -n user.a f) == b ]]
         setfacl -m u:1234:rw f; getfacl -c f | grep -q user:1234:rw
         mkdir d; setfacl -d -m g:2345:r d; echo y > d/g; getfacl -c d/g | grep -q group:2345
         flock f true; flock -n f bash -c '! flock -n f true'
         cp -a f copy; [[ $(getfattr --only-values -n user.a copy) == b ]]",
    );
    m.python(
        "import fcntl, os
a = open('f', 'r+'); fcntl.lockf(a, fcntl.LOCK_EX)
pid = os.fork()
if pid == 0:
    b = open('f', 'r+')
    try: fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError: os._exit(0)
    os._exit(1)
assert os.waitpid(pid, 0)[1] == 0",
    );
}

#[test]
fn files_made_by_another_user_belong_to_that_user() {
    if !is_root() {
        return crate::harness::not_run("creation as another user", "needs root");
    }
    use std::os::unix::fs::MetadataExt;
    let m = crate::harness::Setup::new()
        .mount(&["-o", "allow_other"])
        .start();
    m.run(
        "mkdir -m 1777 shared; mkdir -m 2777 team; chgrp 4321 team; chmod 2777 team; chmod 755 .
         setpriv --reuid=65534 --regid=65534 --clear-groups bash -c 'umask 027; echo x > shared/f; echo y > team/g; mkdir team/d'",
    );
    let stat = |p: &str| fs::metadata(m.path(p)).unwrap();
    assert_eq!(
        (stat("shared/f").uid(), stat("shared/f").gid()),
        (65534, 65534)
    );
    assert_eq!(stat("shared/f").mode() & 0o777, 0o640);
    assert_eq!((stat("team/g").uid(), stat("team/g").gid()), (65534, 4321));
    assert_eq!(stat("team/d").mode() & 0o2000, 0o2000);
    assert_eq!(m.texts("shared/f"), ["x\n"]);
}
