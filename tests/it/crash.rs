//! kill -9 at named points and at random instants: the vault mounts again, `check
//! --read-data` is clean, and what was promised is there.
//!
//! The promise: once fsync has returned and the file is closed, its bytes are there, live
//! and as a version. [`Journal`] writes down what was promised; names that the operation in
//! flight touched may be before or after it, but no version of theirs may be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::harness::{Mount, Random, Setup, closing, count, noise, not_run, seed, text};

/// What was promised about the files of one directory.
struct Journal {
    dir: String,
    random: Random,
    /// What each live file holds; `None`: it was deleted.
    live: BTreeMap<String, Option<Vec<u8>>>,
    /// The contents that must be versions of each name, oldest first.
    kept: BTreeMap<String, Vec<Vec<u8>>>,
    in_flight: BTreeSet<String>,
    made: usize,
}

impl Journal {
    fn new(dir: &str, seed: u64) -> Self {
        Self {
            dir: dir.into(),
            random: Random::new(seed),
            live: BTreeMap::new(),
            kept: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            made: 0,
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    fn content(&mut self) -> Vec<u8> {
        self.made += 1;
        let len = match self.random.below(8) {
            0 => 1_500_000 + self.random.below(1_000_000),
            1..=3 => 1 + self.random.below(100),
            _ => 1 + self.random.below(60_000),
        };
        noise(self.random.next() ^ self.made as u64, len)
    }

    /// A live name, by preference; any of the usual ones otherwise.
    fn some_live(&mut self) -> Option<String> {
        let live: Vec<&String> = self
            .live
            .iter()
            .filter(|(_, content)| content.is_some())
            .map(|(name, _)| name)
            .collect();
        (!live.is_empty()).then(|| live[self.random.below(live.len())].clone())
    }

    fn wrote(&mut self, name: &str, content: Vec<u8>) {
        self.kept
            .entry(name.into())
            .or_default()
            .push(content.clone());
        self.live.insert(name.into(), Some(content));
    }

    /// Writes, syncs, closes.
    fn write(&mut self, m: &Mount, name: &str) -> io::Result<()> {
        let content = self.content();
        self.in_flight = [name.to_string()].into();
        m.write_synced(self.path(name), &content)?;
        self.wrote(name, content);
        Ok(())
    }

    /// Writes beside, syncs, renames over.
    fn save(&mut self, m: &Mount, name: &str) -> io::Result<()> {
        let content = self.content();
        let beside = format!(".{name}.Xy1Zq9");
        self.in_flight = [name.to_string()].into();
        m.write_synced(self.path(&beside), &content)?;
        m.try_rename(self.path(&beside), self.path(name))?;
        self.wrote(name, content);
        Ok(())
    }

    /// What is promised of names is promised by this.
    fn sync_directory(&self, m: &Mount) -> io::Result<()> {
        let directory = self.path("x");
        let directory = Path::new(&directory).parent().expect("a directory");
        fs::File::open(m.path(directory))?.sync_all()
    }

    /// Moves a live file to a name never used before.
    fn rename(&mut self, m: &Mount, name: &str) -> io::Result<()> {
        self.made += 1;
        let to = format!("moved-{}", self.made);
        self.in_flight = [name.to_string(), to.clone()].into();
        m.try_rename(self.path(name), self.path(&to))?;
        self.sync_directory(m)?;
        let content = self.live.remove(name).flatten();
        self.live.insert(to.clone(), content);
        if let Some(kept) = self.kept.remove(name) {
            self.kept.insert(to, kept);
        }
        Ok(())
    }

    fn remove(&mut self, m: &Mount, name: &str) -> io::Result<()> {
        self.in_flight = [name.to_string()].into();
        fs::remove_file(m.path(self.path(name)))?;
        self.sync_directory(m)?;
        self.live.insert(name.into(), None);
        // One that never held a byte leaves no trace: a kill in the middle of a first
        // write can leave an empty file.
        if let Some(kept) = self.kept.get(name)
            && kept.iter().all(Vec::is_empty)
        {
            self.kept.remove(name);
        }
        Ok(())
    }

    /// One random operation.
    fn step(&mut self, m: &Mount) -> io::Result<()> {
        let usual = format!("f{}", self.random.below(5));
        match (self.random.below(12), self.some_live()) {
            (0..=4, _) | (_, None) => self.write(m, &usual),
            (5..=7, _) => self.save(m, &usual),
            (8..=9, Some(name)) => self.rename(m, &name),
            (10, Some(name)) => self.remove(m, &name),
            (_, Some(_)) => {
                // Load that nothing is promised about.
                let content = self.content();
                let path = m.path(self.path("unsynced"));
                self.in_flight.clear();
                closing(|| fs::write(path, content))
            }
        }?;
        self.in_flight.clear();
        Ok(())
    }

    /// Everything that was promised is there; what was in flight is taken as it is now.
    fn verify(&mut self, m: &Mount) {
        for (name, expected) in &self.live {
            if self.in_flight.contains(name) {
                continue;
            }
            let found = fs::read(m.path(self.path(name))).ok();
            assert!(
                found == *expected,
                "{} holds {:?} bytes, not the {:?} that were synced",
                self.path(name),
                found.map(|b| b.len()),
                expected.as_ref().map(Vec::len)
            );
        }
        let mut around: Vec<Vec<u8>> = Vec::new();
        for name in &self.in_flight {
            around.extend(m.contents(self.path(name)));
        }
        for (name, expected) in &self.kept {
            let found = match self.in_flight.contains(name) {
                true => around.clone(),
                false => m.contents(self.path(name)),
            };
            for (n, content) in expected.iter().enumerate() {
                assert!(
                    found.contains(content),
                    "{}: version {n} of {} ({} bytes) is lost; found sizes {:?}; in flight {:?}",
                    self.path(name),
                    expected.len(),
                    content.len(),
                    found.iter().map(Vec::len).collect::<Vec<_>>(),
                    self.in_flight
                );
            }
        }
        for (name, content) in &self.live {
            let had_versions = self.kept.get(name).is_some_and(|kept| !kept.is_empty());
            if content.is_none() && had_versions && !self.in_flight.contains(name) {
                assert!(
                    m.path(".deleted").join(self.path(name)).exists(),
                    "{} was deleted and is not in .deleted; it has {} of {} versions; {:?} are deleted",
                    self.path(name),
                    m.versions(self.path(name)).len(),
                    self.kept[name].len(),
                    m.deleted()
                );
            }
        }
        for name in std::mem::take(&mut self.in_flight) {
            let path = self.path(&name);
            self.kept.insert(name.clone(), m.contents(&path));
            self.live.insert(name, fs::read(m.path(path)).ok());
        }
    }
}

/// Mounts again and waits until the recovery scan is through.
fn recover(m: &mut Mount) {
    m.forget_env("KEEPFS_CRASH_AT");
    m.remount();
    let done = m.keepfs(&["scan"]);
    assert!(
        done.status.success(),
        "keepfs scan: {}\n{}",
        text(&done.stderr),
        m.log()
    );
}

/// The names of all crash points, from the sources.
pub fn crash_points() -> Vec<String> {
    if let Ok(names) = std::env::var("KEEPFS_CRASH_POINTS") {
        return names.split_whitespace().map(str::to_string).collect();
    }
    let mut names = BTreeSet::new();
    let mut todo = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).expect("the sources") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            let source = fs::read_to_string(&path).unwrap_or_default();
            for call in source.split("reach(").skip(1) {
                let mut quoted = call.trim_start().split('"');
                if let (Some(""), Some(name)) = (quoted.next(), quoted.next()) {
                    names.insert(name.to_string());
                }
            }
        }
    }
    names.into_iter().collect()
}

/// What the load prunes: nothing that is promised.
const PRUNED: &str = "[[retention.path]]\npattern = \"moved*/**\"\nkeep_last = 1";

/// A load that comes past every point: each kind of change, then an orderly stop.
fn broad_load(m: &mut Mount, journal: &mut Journal) -> io::Result<()> {
    for round in 0..3 {
        for name in ["f0", "f1", "f2"] {
            journal.write(m, name)?;
            fs::read_dir(m.path(".versions").join(journal.path(name)))?.count();
            journal.save(m, name)?;
            journal.write(m, name)?;
        }
        journal.rename(m, "f0")?;
        journal.remove(m, "f1")?;
        journal.save(m, "f1")?;
        journal.in_flight.clear();
        // Nothing is promised about these but that they do no harm.
        let dir = format!("other{round}");
        fs::create_dir(m.path(&dir))?;
        let put = |name: &str, content: &str| {
            let path = m.path(format!("{dir}/{name}"));
            closing(|| fs::write(path, content))
        };
        let go =
            |from: &str, to: &str| m.try_rename(format!("{dir}/{from}"), format!("{dir}/{to}"));
        put("a", "1")?;
        put("a", "2")?;
        put("b", "3")?;
        put("b", "4")?;
        go("b", "a")?;
        go("a", "a.bak")?;
        put("a", "5")?;
        put("log", "line\n")?;
        m.append_if_there(format!("{dir}/log"), b"more\n")?;
        m.truncate_if_there(format!("{dir}/log"), 3)?;
        fs::hard_link(m.path(format!("{dir}/a")), m.path(format!("{dir}/linked")))?;
        fs::remove_file(m.path(format!("{dir}/a")))?;
        fs::rename(
            m.path(format!(".deleted/{dir}/a")),
            m.path(format!("{dir}/a")),
        )?;
        rustix::fs::renameat_with(
            rustix::fs::CWD,
            m.path(format!("{dir}/a")),
            rustix::fs::CWD,
            m.path(format!("{dir}/log")),
            rustix::fs::RenameFlags::EXCHANGE,
        )?;
        fs::rename(m.path(&dir), m.path(format!("moved{round}")))?;
        // Commands come past points of their own; they fail when the daemon is gone.
        let dir = format!("moved{round}");
        let ids = m.try_versions(format!("{dir}/log"))?;
        for args in [
            vec!["restore", "log.old", "--to", "restored"],
            vec!["backup"],
            vec!["scan"],
            vec![
                "delete-version",
                "log",
                ids.first().map_or("none", |id| id),
                "--yes",
            ],
            vec!["purge", "a.bak", "--yes"],
            vec!["prune"],
        ] {
            let mut command = m.command(crate::harness::keepfs_binary());
            command.current_dir("/").arg(args[0]);
            for (n, arg) in args[1..].iter().enumerate() {
                if n == 0 {
                    command.arg(m.path(format!("{dir}/{arg}")));
                } else {
                    command.arg(arg);
                }
            }
            if args.len() == 1 {
                command.arg(&m.root);
            }
            crate::harness::output(&mut command);
            if !m.is_running() {
                return Err(rustix::io::Errno::NOTCONN.into());
            }
        }
        let mut command = m.command(crate::harness::keepfs_binary());
        command.current_dir("/").args(["store", "migrate"]);
        command.arg(m.vault.with_file_name(format!("store{round}")));
        crate::harness::output(command.arg(&m.root));
        if !m.is_running() {
            return Err(rustix::io::Errno::NOTCONN.into());
        }
    }
    Ok(())
}

#[test]
fn a_kill_at_each_named_point_loses_nothing_that_was_promised() {
    if cfg!(not(debug_assertions)) {
        return not_run("named crash points", "a release build has none");
    }
    let mut points = crash_points();
    // Those of a rebuild are no daemon's: see `rebuild`.
    // Those of uploads are in api.rs: the load here comes through the mount.
    // Those of a first backup are in `backup`.
    let elsewhere = ["rebuild.", "upload.", "intake."];
    points.retain(|point| !elsewhere.iter().any(|start| point.starts_with(start)));
    assert!(!points.is_empty(), "the sources name no crash point");
    kill_at_each(&points, &[1, 4], |_| {}, Setup::new);
}

/// Kills the daemon at each point, in a vault as `setup` says, and looks what is left;
/// `settled` sees the vault after that.
pub fn kill_at_each(
    points: &[String],
    times: &[usize],
    settled: impl Fn(&Mount),
    mut setup: impl FnMut() -> Setup,
) {
    let seed = seed();
    let mut missed = Vec::new();
    for point in points {
        let mut reached = 0;
        for nth in times {
            eprintln!("crash point {point}, time {nth}");
            let mut m = setup()
                .env("KEEPFS_CRASH_AT", &format!("{point}:{nth}"))
                .unmounted();
            m.set_retention(PRUNED);
            if m.try_remount().is_ok() {
                let mut journal = Journal::new("t", seed);
                if fs::create_dir(m.path("t")).is_ok() {
                    let outcome = broad_load(&mut m, &mut journal);
                    if let (Err(error), false) = (&outcome, m.ends_soon()) {
                        panic!(
                            "the load failed although the daemon runs: {error}\n{}",
                            m.log()
                        );
                    }
                }
                if m.is_running() {
                    // Perhaps it lies in the orderly stop.
                    m.keepfs(&["umount", m.root.to_str().unwrap()]);
                }
                let status = m.crashed();
                reached += usize::from(!status.success());
                recover(&mut m);
                journal.verify(&m);
                m.write("afterwards", "works");
                assert_eq!(m.texts("afterwards"), ["works"], "after {point}:{nth}");
            } else {
                reached += 1;
                recover(&mut m);
            }
            settled(&m);
        }
        if reached == 0 {
            missed.push(point);
        }
    }
    assert!(missed.is_empty(), "the load never came past {missed:?}");
}

#[test]
fn a_kill_at_a_random_instant_under_load_loses_nothing_that_was_promised() {
    let seed = seed();
    let mut random = Random::new(seed);
    let mut m = Mount::new();
    m.mkdir("t0");
    m.mkdir("t1");
    let mut journals = [Journal::new("t0", seed), Journal::new("t1", seed + 1)];
    for round in 0..count(20, 100) {
        let instant = Duration::from_micros(random.next() % 400_000);
        thread::scope(|scope| {
            for journal in &mut journals {
                let m = &m;
                scope.spawn(move || while journal.step(m).is_ok() {});
            }
            // A random instant is what is wanted here: this waits for no condition.
            thread::sleep(instant);
            m.kill_only();
        });
        m.crashed();
        recover(&mut m);
        for journal in &mut journals {
            journal.verify(&m);
        }
        eprintln!("round {round}: killed after {instant:?}");
        if round % 10 == 9 {
            m.unmount();
            m.check();
            m.remount();
        }
    }
}

#[test]
fn a_kill_during_the_recovery_is_recovered_from() {
    let seed = seed();
    let mut random = Random::new(seed);
    let mut m = Mount::new();
    m.mkdir("t");
    let mut journal = Journal::new("t", seed);
    for _ in 0..60 {
        journal.step(&m).expect("a step");
    }
    m.crash();
    for _ in 0..5 {
        m.remount();
        thread::sleep(Duration::from_micros(random.next() % 50_000));
        m.crash();
    }
    recover(&mut m);
    journal.verify(&m);
}

#[test]
fn half_a_file_is_never_a_version_of_its_own_in_an_orderly_run() {
    let mut m = Mount::new();
    m.write("a", "whole");
    let file = closing(|| fs::File::create(m.path("a")).unwrap());
    std::os::unix::fs::FileExt::write_all_at(&file, b"ha", 0).unwrap();
    assert_eq!(m.texts("a"), ["whole"]);
    m.kill();
    drop(file);
    m.remount();
    let done = m.keepfs(&["scan"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(m.texts("a").first().unwrap(), "whole");
}

#[test]
fn a_kill_in_the_middle_of_a_restore_leaves_nothing_in_the_folder() {
    if cfg!(not(debug_assertions)) {
        return not_run("a kill in a restore", "a release build has no crash points");
    }
    let mut m = Setup::new()
        .env("KEEPFS_CRASH_AT", "restore.written")
        .start();
    m.mkdir("d");
    m.write("d/a", "a");
    m.remove("d/a");
    let killed = m.keepfs(&["restore", "d/a"]);
    assert!(!killed.status.success(), "{killed:?}");
    m.crashed();
    let names = || {
        let entries = fs::read_dir(m.live("d")).expect("the folder");
        entries
            .map(|entry| entry.expect("an entry").file_name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names().len(), 1, "the kill left its file: {:?}", names());
    recover(&mut m);
    let entries = fs::read_dir(m.live("d")).expect("the folder");
    assert_eq!(entries.count(), 0, "and the start took it away");
    let notes = fs::read_dir(m.vault.join("spool")).expect("the spool");
    let notes = notes.filter_map(Result::ok).map(|entry| entry.path());
    assert!(
        notes
            .into_iter()
            .all(|path| path.extension().is_none_or(|end| end != "note"))
    );
}
