//! When a version is made, and when none is (design 1.1).

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, SystemTime};

use crate::harness::{Mount, Setup, closing, count, errno, noise, wait_for};

#[test]
fn each_close_after_writing_makes_a_version() {
    let m = Mount::new();
    for n in 1..=5 {
        m.write("a", format!("content {n}"));
        assert_eq!(m.versions("a").len(), n);
    }
    let expected: Vec<String> = (1..=5).map(|n| format!("content {n}")).collect();
    assert_eq!(m.texts("a"), expected);
    assert_eq!(m.read("a"), b"content 5");
    assert_eq!(fs::read(m.live("a")).unwrap(), b"content 5");
}

#[test]
fn a_version_is_there_as_soon_as_close_has_returned() {
    let m = Mount::new();
    for n in 1..=count(2_000, 10_000) {
        m.write("a", noise(n as u64, 1024));
        let found = m.versions("a").len();
        assert_eq!(found, n, "after {n} closes");
    }
}

#[test]
fn a_shell_that_writes_and_lists_at_once_always_sees_the_version() {
    let m = Mount::new();
    m.run("for i in {1..100}; do echo $i > f; [[ $(ls .versions/f | wc -l) -eq $i ]]; done");
}

#[test]
fn the_same_bytes_again_make_no_version_but_a_new_mtime() {
    let m = Mount::new();
    m.write("a", "same");
    let long_ago = SystemTime::now() - Duration::from_secs(1000);
    closing(|| {
        let file = OpenOptions::new().write(true).open(m.path("a")).unwrap();
        file.set_modified(long_ago).unwrap();
    });
    let before = fs::metadata(m.path("a")).unwrap().mtime();
    m.write("a", "same");
    assert_eq!(m.versions("a").len(), 1);
    assert!(fs::metadata(m.path("a")).unwrap().mtime() > before);
}

#[test]
fn metadata_changes_alone_make_no_version() {
    let m = Mount::new();
    m.write("a", "content");
    m.run(
        "touch a; touch -d @1000000000 a; chmod 600 a; chmod 755 a; setfattr -n user.color -v red a
         setfattr -x user.color a; chgrp $(id -g) a; chown $(id -u) a; setfacl -m u:1234:r a; setfacl -b a",
    );
    assert_eq!(m.texts("a"), ["content"]);
}

#[test]
fn opening_for_writing_without_writing_makes_no_version() {
    let m = Mount::new();
    m.write("a", "content");
    m.run(": >> a; exec 3<>a; exec 3>&-");
    assert_eq!(m.versions("a").len(), 1);
}

#[test]
fn duplicated_descriptors_make_one_version() {
    let m = Mount::new();
    m.run("(echo one; bash -c 'echo two'; (echo three)) > f");
    assert_eq!(m.texts("f"), ["one\ntwo\nthree\n"]);
    m.run("exec 3> f; exec 4>&3; echo a >&3; exec 3>&-; echo b >&4; exec 4>&-");
    assert_eq!(m.texts("f"), ["one\ntwo\nthree\n", "a\nb\n"]);
}

#[test]
fn a_background_child_that_inherits_the_descriptor_delays_the_version_to_its_end() {
    let m = Mount::new();
    m.run("exec 3> f; echo parent >&3; bash -c 'echo child >&3' & exec 3>&-; wait");
    assert_eq!(m.texts("f"), ["parent\nchild\n"]);
}

#[test]
fn truncation_and_fsync_are_not_moments_of_their_own() {
    let m = Mount::new();
    m.write("a", "first");
    closing(|| {
        let mut file = File::create(m.path("a")).unwrap();
        file.sync_all().unwrap();
        file.write_all(b"sec").unwrap();
        file.sync_all().unwrap();
        file.set_len(0).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(b"second").unwrap();
        file.sync_data().unwrap();
    });
    assert_eq!(m.texts("a"), ["first", "second"]);
}

#[test]
fn mapped_writes_after_the_close_are_in_the_version() {
    let m = Mount::new();
    m.write("f", vec![b'.'; 8192]);
    m.python(
        "import mmap, os
fd = os.open('f', os.O_RDWR)
view = mmap.mmap(fd, 8192)
os.close(fd)
view[0:5] = b'first'
view[8000:8004] = b'last'
view.flush()
view.close()",
    );
    let contents = m.contents("f");
    assert_eq!(contents.len(), 2);
    assert_eq!(&contents[1][..5], b"first");
    assert_eq!(&contents[1][8000..8004], b"last");
    assert_eq!(contents[1], m.read("f"));
}

#[test]
fn mapped_writes_without_msync_are_in_the_version() {
    let m = Mount::new();
    m.write("f", vec![b'.'; 65536]);
    m.python(
        "import mmap, os
fd = os.open('f', os.O_RDWR)
view = mmap.mmap(fd, 65536)
os.close(fd)
for i in range(0, 65536, 4096): view[i] = 65
os._exit(0)",
    );
    let contents = m.contents("f");
    assert_eq!(contents.len(), 2);
    assert!(contents[1].iter().step_by(4096).all(|b| *b == b'A'));
}

#[test]
fn several_writers_at_once_make_one_version_when_the_last_is_done() {
    let m = Mount::new();
    m.write("a", "0000");
    let open = || OpenOptions::new().write(true).open(m.path("a")).unwrap();
    let (first, second) = (open(), open());
    first.write_all_at(b"1", 0).unwrap();
    second.write_all_at(b"2", 1).unwrap();
    closing(|| drop(first));
    assert_eq!(m.versions("a").len(), 1, "one writer is still at it");
    second.write_all_at(b"3", 2).unwrap();
    closing(|| drop(second));
    assert_eq!(m.texts("a"), ["0000", "1230"]);
}

#[test]
fn an_open_reader_does_not_delay_the_version() {
    let m = Mount::new();
    m.write("a", "one");
    let mut reader = File::open(m.path("a")).unwrap();
    m.write("a", "two");
    assert_eq!(m.versions("a").len(), 2);
    let mut seen = String::new();
    reader.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "two");
}

#[test]
fn appending_makes_versions_that_grow() {
    let m = Mount::new();
    let mut expected = Vec::new();
    let mut whole = Vec::new();
    for n in 0..50u8 {
        whole.extend_from_slice(&[b'a' + n % 26; 100]);
        m.append("log", &[b'a' + n % 26; 100]);
        expected.push(whole.clone());
    }
    assert_eq!(m.contents("log"), expected);
}

#[test]
fn truncating_an_open_file_makes_a_version_at_its_close() {
    let m = Mount::new();
    m.write("a", "0123456789");
    m.run("truncate -s 4 a");
    m.run("truncate -s 6 a");
    assert_eq!(m.texts("a"), ["0123456789", "0123", "0123\0\0"]);
}

#[test]
fn truncating_by_path_leaves_the_old_version_whole() {
    let m = Mount::new();
    let old = noise(1, 3_000_000);
    m.write("a", &old);
    m.python("import os; os.truncate('a', 10)");
    assert_eq!(m.read("a"), old[..10]);
    assert_eq!(m.contents("a")[0], old);
    m.append("a", b"more");
    let contents = m.contents("a");
    assert_eq!(contents.first(), Some(&old));
    assert_eq!(contents.last(), Some(&m.read("a")));
}

#[test]
fn rewrites_during_the_ingest_lose_no_version() {
    let m = Mount::new();
    let blocks: Vec<Vec<u8>> = (0..12).map(|n| noise(n, 6 << 20)).collect();
    for block in &blocks {
        m.write("big", block);
    }
    assert!(m.contents("big") == blocks, "a version differs");
}

#[test]
fn changes_in_place_during_the_ingest_lose_no_version() {
    let m = Mount::new();
    let mut content = noise(7, 8 << 20);
    let mut expected = vec![content.clone()];
    m.write("big", &content);
    for n in 0..10usize {
        let at = n * 800_000;
        content[at..at + 4096].fill(n as u8);
        closing(|| {
            let file = OpenOptions::new().write(true).open(m.path("big")).unwrap();
            file.write_all_at(&content[at..at + 4096], at as u64)
                .unwrap();
        });
        expected.push(content.clone());
    }
    assert!(m.contents("big") == expected, "a version differs");
}

#[test]
fn removing_and_replacing_during_the_ingest_loses_no_version() {
    let m = Mount::new();
    let content = |n| noise(n, 5 << 20);
    m.write("a", content(1));
    m.remove("a");
    m.write("a", content(2));
    m.write(".a.Xy1Zq9", content(3));
    m.rename(".a.Xy1Zq9", "a");
    let expected: Vec<_> = (1..=3).map(content).collect();
    assert!(m.contents("a") == expected, "a version differs");
}

#[test]
fn sparse_files_keep_size_and_bytes() {
    let m = Mount::new();
    m.run(
        "truncate -s 64M sparse; printf tail | dd of=sparse bs=1 seek=50M conv=notrunc status=none",
    );
    let path = m.version_path("sparse", m.versions("sparse").last().unwrap());
    assert_eq!(fs::metadata(&path).unwrap().len(), 64 << 20);
    m.run("cmp sparse .versions/sparse/latest");
    m.run("cp .versions/sparse/latest copy; cmp copy sparse");
}

#[test]
fn copies_inside_the_mount_make_versions() {
    let m = Mount::new();
    let bytes = noise(3, 2_500_000);
    m.write("a", &bytes);
    // copy_file_range, sendfile and plain writes, as the tools come.
    m.run(
        "cp --reflink=auto a b; cp --sparse=always a c; cat a > d; dd if=a of=e bs=1M status=none",
    );
    for name in ["b", "c", "d", "e"] {
        assert!(m.contents(name) == [bytes.clone()], "{name}");
    }
}

#[test]
fn direct_io_makes_a_version() {
    let m = Mount::new();
    m.run("dd if=/dev/zero bs=4096 count=3 of=f oflag=direct conv=notrunc status=none");
    assert_eq!(m.contents("f"), [vec![0u8; 12288]]);
}

#[test]
fn preallocation_and_holes_are_content() {
    let m = Mount::new();
    m.write("f", vec![b'x'; 16384]);
    m.run("fallocate -p -o 4096 -l 4096 f");
    let contents = m.contents("f");
    assert_eq!(contents.len(), 2);
    assert_eq!(contents[1][4096..8192], [0u8; 4096]);
}

#[test]
fn a_nameless_file_that_gets_a_name_becomes_an_asset() {
    let m = Mount::new();
    let answer = m.python(
        "import os
try:
    fd = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o644)
except OSError as e:
    print(os.strerror(e.errno)); raise SystemExit
os.write(fd, b'nameless')
os.link(f'/proc/self/fd/{fd}', 'named', follow_symlinks=True)
os.close(fd)
print('linked')",
    );
    match answer.trim() {
        "linked" => assert_eq!(m.texts("named"), ["nameless"]),
        "Operation not supported" => {
            crate::harness::not_run("O_TMPFILE", "the kernel or the mount has none");
        }
        other => panic!("O_TMPFILE: {other}"),
    }
}

#[test]
fn writing_through_one_hard_link_is_seen_through_the_other() {
    let m = Mount::new();
    m.write("a", "one");
    m.run("ln a b");
    assert_eq!(fs::metadata(m.path("a")).unwrap().nlink(), 2);
    m.write("b", "two, longer");
    assert_eq!(m.read("a"), b"two, longer");
    assert_eq!(fs::metadata(m.path("a")).unwrap().len(), 11);
    let history = [m.texts("a"), m.texts("b")].concat();
    assert!(history.contains(&"one".to_string()), "{history:?}");
    assert!(history.contains(&"two, longer".to_string()), "{history:?}");
    m.remove("a");
    assert_eq!(fs::metadata(m.path("b")).unwrap().nlink(), 1);
    assert_eq!(m.read("b"), b"two, longer");
}

#[test]
fn an_unlinked_open_file_goes_on_working_and_leaves_nothing_behind() {
    let m = Mount::new();
    m.write("a", "kept");
    m.python(
        "import os, mmap
f = open('a', 'r+b')
os.unlink('a')
assert os.fstat(f.fileno()).st_nlink == 0
f.write(b'after the end'); f.flush(); os.fsync(f.fileno())
f.truncate(5000)
view = mmap.mmap(f.fileno(), 5000); view[4999] = 1; view.flush(); view.close()
f.seek(0); assert f.read(9) == b'after the'
f.close()
assert os.listdir('.') == [], os.listdir('.')",
    );
    assert_eq!(m.read_deleted("a"), "kept");
    assert_eq!(m.texts("a"), ["kept"]);
}

#[test]
fn many_threads_and_files_miss_no_version() {
    let m = Mount::new();
    m.mkdir("d");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let m = &m;
            scope.spawn(move || {
                for n in 0..25 {
                    for round in 0..3 {
                        m.write(format!("d/{thread}-{n}"), format!("{thread} {n} {round}"));
                    }
                    assert_eq!(m.versions(format!("d/{thread}-{n}")).len(), 3);
                }
            });
        }
    });
    for thread in 0..4 {
        for n in 0..25 {
            let expected: Vec<_> = (0..3).map(|r| format!("{thread} {n} {r}")).collect();
            assert_eq!(m.texts(format!("d/{thread}-{n}")), expected);
        }
    }
}

#[test]
fn a_reader_never_misses_a_name_that_is_replaced_atomically() {
    let m = Mount::new();
    m.write("a", "start");
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..300 {
                m.write(".a.Xy1Zq9", format!("content {n}"));
                m.rename(".a.Xy1Zq9", "a");
            }
        });
        while !writer.is_finished() {
            let bytes = m.read("a");
            let seen = crate::harness::text(&bytes);
            assert!(seen == "start" || seen.starts_with("content "), "{seen:?}");
        }
    });
    assert_eq!(m.versions("a").len(), 301);
}

#[test]
fn versions_survive_an_orderly_remount() {
    let mut m = Mount::new();
    m.mkdir("d/e");
    m.write("d/e/a", "one");
    m.write("d/e/a", "two");
    m.unmount();
    m.remount();
    assert_eq!(m.texts("d/e/a"), ["one", "two"]);
    m.write("d/e/a", "three");
    let ids = m.versions("d/e/a");
    assert_eq!(ids.len(), 3);
    assert_eq!(m.texts("d/e/a"), ["one", "two", "three"]);
}

#[test]
fn symlinks_fifos_and_directories_have_no_history() {
    let m = Mount::new();
    m.write("a", "x");
    m.run("ln -s a s; mkfifo p; mkdir d; ln -s nowhere dangling; rm s p dangling; rmdir d");
    assert_eq!(m.list(".versions"), ["a"]);
    assert!(m.deleted().is_empty());
    assert_eq!(
        errno(fs::metadata(m.path(".versions/s"))),
        rustix::io::Errno::NOENT
    );
}

#[test]
fn a_file_that_stays_open_has_a_version_each_interval() {
    let m = Setup::new().config("checkpoint_interval", "\"1s\"").start();
    let mut file = fs::File::create(m.path("log")).unwrap();
    for line in ["one\n", "two\n"] {
        file.write_all(line.as_bytes()).unwrap();
        let kept = m.versions("log").len();
        wait_for("a checkpoint", || {
            (m.versions("log").len() > kept).then_some(())
        });
    }
    let path = m.path(".versions/log/latest");
    assert_eq!(
        crate::harness::xattr(&path, "user.keepfs.origin").as_deref(),
        Some("checkpoint")
    );
    drop(file);
    assert_eq!(m.texts("log"), ["one\n", "one\ntwo\n"]);
}
