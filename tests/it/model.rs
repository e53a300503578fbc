//! Random operations on a real mount, beside a small model of what they must do.
//!
//! The model knows names, live contents, versions and reserved names: the rules of design
//! 1.1, 1.3 and 1.4 in a hundred lines. Where the rules leave something open (a move onto a
//! transient name, a save from a source with several versions) the operation is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustix::io::Errno;

use crate::harness::{Mount, count, errno};

/// Names of one directory: usual ones, a save-in name, a save-away name, a transient one.
const NAMES: [&str; 7] = ["a", "b", "c", "a.tmp", "a.bak", ".a.swp", ".b.Xy1Zq9"];
const DIRS: [&str; 3] = ["", "d/", "e/"];

#[derive(Debug, Clone)]
enum Op {
    Write(usize, usize),
    WriteSame(usize, usize),
    Append(usize, usize),
    Touch(usize, usize),
    Remove(usize, usize),
    Rename((usize, usize), (usize, usize)),
    Exchange((usize, usize), (usize, usize)),
    RenameDir(usize, usize),
    Undelete(usize, usize),
    CopyVersion(usize, usize),
    Remount,
}

fn place() -> impl Strategy<Value = (usize, usize)> {
    (0..DIRS.len(), 0..NAMES.len())
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => place().prop_map(|(d, n)| Op::Write(d, n)),
        1 => place().prop_map(|(d, n)| Op::WriteSame(d, n)),
        2 => place().prop_map(|(d, n)| Op::Append(d, n)),
        1 => place().prop_map(|(d, n)| Op::Touch(d, n)),
        4 => place().prop_map(|(d, n)| Op::Remove(d, n)),
        9 => (place(), place()).prop_map(|(a, b)| Op::Rename(a, b)),
        1 => (place(), place()).prop_map(|(a, b)| Op::Exchange(a, b)),
        2 => (1..DIRS.len(), 1..DIRS.len()).prop_map(|(a, b)| Op::RenameDir(a, b)),
        2 => place().prop_map(|(d, n)| Op::Undelete(d, n)),
        1 => place().prop_map(|(d, n)| Op::CopyVersion(d, n)),
        1 => Just(Op::Remount),
    ]
}

fn name_of((dir, name): (usize, usize)) -> String {
    format!("{}{}", DIRS[dir], NAMES[name])
}

fn is_transient(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.ends_with(".swp") || last.ends_with("Xy1Zq9")
}

/// What a rename's two names say.
fn is_save_in(from: &str, to: &str) -> bool {
    from.strip_prefix(to) == Some(".tmp")
}

fn is_save_away(from: &str, to: &str) -> bool {
    to.strip_prefix(from) == Some(".bak")
}

/// What the vault must hold.
#[derive(Default, Debug)]
struct Model {
    /// Live files.
    live: BTreeMap<String, Vec<u8>>,
    /// Versions of each claimed name, live or deleted, oldest first.
    kept: BTreeMap<String, Vec<Vec<u8>>>,
    dirs: BTreeSet<String>,
    counter: usize,
}

impl Model {
    fn fresh(&mut self) -> Vec<u8> {
        self.counter += 1;
        format!("content {}", self.counter).into_bytes()
    }

    fn has_dir(&self, name: &str) -> bool {
        match name.rsplit_once('/') {
            Some((dir, _)) => self.dirs.contains(dir),
            None => true,
        }
    }

    fn is_reserved(&self, name: &str) -> bool {
        self.kept.contains_key(name) && !self.live.contains_key(name)
    }

    fn is_asset(&self, name: &str) -> bool {
        self.kept.contains_key(name) && self.live.contains_key(name)
    }

    fn deleted(&self) -> BTreeSet<String> {
        let names = self.kept.keys().filter(|n| !self.live.contains_key(*n));
        names.cloned().collect()
    }

    fn keep(&mut self, name: &str, content: &[u8]) {
        let versions = self.kept.entry(name.into()).or_default();
        if versions.last().map(Vec::as_slice) != Some(content) {
            versions.push(content.to_vec());
        }
    }

    fn write(&mut self, name: &str, content: Vec<u8>) {
        if !is_transient(name) {
            self.keep(name, &content);
        }
        self.live.insert(name.into(), content);
    }

    /// A rename of a file: `None` where the rules leave it open, else whether it succeeds.
    fn rename(&mut self, from: &str, to: &str) -> Option<Result<(), Errno>> {
        if !self.has_dir(from) || !self.live.contains_key(from) || !self.has_dir(to) {
            return Some(Err(Errno::NOENT));
        }
        if from == to {
            return Some(Ok(()));
        }
        let content = self.live[from].clone();
        let from_asset = self.is_asset(from);
        if is_transient(to) {
            // Between transient names nothing is kept; the rest is left open.
            if from_asset || self.kept.contains_key(from) {
                return None;
            }
            self.live.remove(from);
            self.live.insert(to.into(), content);
            return Some(Ok(()));
        }
        if !from_asset || is_save_in(from, to) {
            if from_asset && self.kept[from].len() > 1 {
                return None;
            }
            self.live.remove(from);
            if from_asset {
                self.kept.remove(from);
            }
            self.keep(to, &content);
            self.live.insert(to.into(), content);
            return Some(Ok(()));
        }
        if is_save_away(from, to) {
            if self.is_reserved(to) {
                return None;
            }
            self.live.remove(from);
            self.keep(to, &content);
            self.live.insert(to.into(), content);
            return Some(Ok(()));
        }
        if self.is_reserved(to) {
            return Some(Err(Errno::EXIST));
        }
        self.live.remove(from);
        let mut versions = self.kept.remove(from).unwrap_or_default();
        if self.is_asset(to) {
            let latest = versions.pop().unwrap_or_default();
            self.keep(to, &latest);
            if !versions.is_empty() {
                self.kept.insert(from.into(), versions);
            }
        } else {
            self.kept.insert(to.into(), versions);
        }
        self.live.insert(to.into(), content);
        Some(Ok(()))
    }

    /// A rename of a directory; `None` where the rules leave it open.
    fn rename_dir(&mut self, from: &str, to: &str) -> Option<Result<(), Errno>> {
        if from == to {
            return Some(Ok(()));
        }
        let below = |dir: &str, name: &str| name.starts_with(&format!("{dir}/"));
        let moved = |name: &str| format!("{to}{}", &name[from.len()..]);
        if self.live.keys().any(|n| below(to, n)) {
            // Both ENOTEMPTY and, where a name is reserved as well, EEXIST would do.
            return None;
        }
        let claimed: Vec<String> = self
            .kept
            .keys()
            .filter(|n| below(from, n))
            .cloned()
            .collect();
        for name in &claimed {
            if self.is_reserved(&moved(name)) {
                if !self.live.contains_key(name) {
                    return None;
                }
                return Some(Err(Errno::EXIST));
            }
        }
        for name in claimed {
            let versions = self.kept.remove(&name).unwrap_or_default();
            self.kept.insert(moved(&name), versions);
        }
        let live: Vec<String> = self
            .live
            .keys()
            .filter(|n| below(from, n))
            .cloned()
            .collect();
        for name in live {
            let content = self.live.remove(&name).unwrap_or_default();
            self.live.insert(moved(&name), content);
        }
        Some(Ok(()))
    }
}

/// One case: a directory of its own in the mount, and the model of it.
struct Case<'a> {
    m: &'a mut Mount,
    top: String,
    model: Model,
}

impl Case<'_> {
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.top)
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Write(d, n) => {
                let name = name_of((d, n));
                let content = self.model.fresh();
                self.m.write(self.path(&name), &content);
                self.model.write(&name, content);
            }
            Op::WriteSame(d, n) => {
                let name = name_of((d, n));
                if let Some(content) = self.model.live.get(&name).cloned()
                    && (self.model.is_asset(&name) || is_transient(&name))
                {
                    self.m.write(self.path(&name), &content);
                }
            }
            Op::Append(d, n) => {
                let name = name_of((d, n));
                if self.model.is_asset(&name) {
                    let mut content = self.model.live[&name].clone();
                    let more = self.model.fresh();
                    self.m.append(self.path(&name), &more);
                    content.extend(more);
                    self.model.write(&name, content);
                }
            }
            Op::Touch(d, n) => {
                let name = name_of((d, n));
                if self.model.live.contains_key(&name) {
                    let path = self.m.path(self.path(&name));
                    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                    fs::set_permissions(path, mode).unwrap();
                }
            }
            Op::Remove(d, n) => {
                let name = name_of((d, n));
                if self.model.live.remove(&name).is_some() {
                    self.m.remove(self.path(&name));
                }
            }
            Op::Rename(from, to) => self.rename(&name_of(from), &name_of(to)),
            Op::Exchange(from, to) => {
                let (from, to) = (name_of(from), name_of(to));
                if from != to && self.model.is_asset(&from) && self.model.is_asset(&to) {
                    rustix::fs::renameat_with(
                        rustix::fs::CWD,
                        self.m.path(self.path(&from)),
                        rustix::fs::CWD,
                        self.m.path(self.path(&to)),
                        rustix::fs::RenameFlags::EXCHANGE,
                    )
                    .unwrap();
                    swap(&mut self.model.live, &from, &to);
                    swap(&mut self.model.kept, &from, &to);
                }
            }
            Op::RenameDir(from, to) => self.rename_dir(from, to),
            Op::Undelete(d, n) => {
                let name = name_of((d, n));
                if self.model.is_reserved(&name) {
                    let latest = self.model.kept[&name].last().unwrap().clone();
                    let place = format!(".deleted/{}", self.path(&name));
                    self.m.rename(&place, self.path(&name));
                    // A restore is a version, also of the same bytes.
                    self.model
                        .kept
                        .entry(name.clone())
                        .or_default()
                        .push(latest.clone());
                    self.model.live.insert(name, latest);
                }
            }
            Op::CopyVersion(d, n) => {
                let name = name_of((d, n));
                let Some(versions) = self.model.kept.get(&name) else {
                    return;
                };
                // Never the latest again: whether a deleted asset gets an equal version anew
                // when it comes back is left open.
                if versions.len() < 2 || versions.first() == versions.last() {
                    return;
                }
                let content = versions[0].clone();
                let path = self.path(&name);
                let first = self.m.versions(&path)[0].clone();
                let bytes = fs::read(self.m.version_path(&path, &first)).unwrap();
                assert_eq!(bytes, content);
                self.m.write(&path, &bytes);
                self.model.write(&name, content);
            }
            Op::Remount => {
                self.m.unmount();
                self.m.remount();
            }
        }
    }

    fn rename(&mut self, from: &str, to: &str) {
        let may_be_open = self.model.rename(from, to);
        let Some(expected) = may_be_open else { return };
        let (from, to) = (self.path(from), self.path(to));
        let found = self.m.try_rename(&from, &to);
        match expected {
            Ok(()) => {
                found.unwrap_or_else(|e| panic!("rename {from} to {to}: {e}\n{}", self.m.log()))
            }
            Err(e) => assert_eq!(errno(found), e, "rename {from} to {to}"),
        }
    }

    fn rename_dir(&mut self, from: usize, to: usize) {
        let (from, to) = (
            DIRS[from].trim_end_matches('/'),
            DIRS[to].trim_end_matches('/'),
        );
        let Some(expected) = self.model.rename_dir(from, to) else {
            return;
        };
        let found = self.m.try_rename(self.path(from), self.path(to));
        match expected {
            Ok(()) => {
                found.unwrap_or_else(|e| panic!("rename {from}/ to {to}/: {e}\n{}", self.m.log()));
                self.m.mkdir(self.path(from));
            }
            Err(e) => assert_eq!(errno(found), e, "rename {from}/ to {to}/"),
        }
    }

    /// The mount shows what the model holds.
    fn compare(&self, after: &str) {
        for dir in DIRS {
            for name in NAMES {
                let name = format!("{dir}{name}");
                let live = fs::read(self.m.path(self.path(&name))).ok();
                assert_eq!(
                    live.as_ref(),
                    self.model.live.get(&name),
                    "live {name} after {after}"
                );
                let none = Vec::new();
                let expected = self.model.kept.get(&name).unwrap_or(&none);
                let found = self.m.contents(self.path(&name));
                assert_eq!(&found, expected, "versions of {name} after {after}");
            }
        }
        let prefix = format!("{}/", self.top);
        let deleted: BTreeSet<String> = self
            .m
            .deleted_below(&self.top)
            .into_iter()
            .filter_map(|p| p.strip_prefix(&prefix).map(str::to_string))
            .collect();
        assert_eq!(deleted, self.model.deleted(), ".deleted after {after}");
    }
}

fn swap<T: Clone>(map: &mut BTreeMap<String, T>, a: &str, b: &str) {
    let (old_a, old_b) = (map[a].clone(), map[b].clone());
    map.insert(a.into(), old_b);
    map.insert(b.into(), old_a);
}

#[test]
fn random_operations_do_what_the_model_says() {
    let cases = count(24, 300) as u32;
    let mut runner = TestRunner::new(Config {
        cases,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..Config::default()
    });
    let m = std::cell::RefCell::new(Mount::new());
    let number = std::cell::Cell::new(0);
    let outcome = runner.run(&proptest::collection::vec(op(), 1..60), |ops| {
        number.set(number.get() + 1);
        let mut m = m.borrow_mut();
        let top = format!("case{}", number.get());
        m.mkdir(format!("{top}/d"));
        m.mkdir(format!("{top}/e"));
        let mut case = Case {
            m: &mut m,
            top,
            model: Model {
                dirs: ["d".to_string(), "e".to_string()].into(),
                ..Model::default()
            },
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (n, op) in ops.iter().enumerate() {
                case.apply(op);
                if n % 6 == 5 {
                    case.compare(&format!("operation {n}, {op:?}"));
                }
            }
            case.compare("the last operation");
        }));
        result.map_err(|panic| {
            let said = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
            TestCaseError::fail(said.unwrap_or_else(|| "a panic without words".into()))
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
