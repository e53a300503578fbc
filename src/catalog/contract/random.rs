//! The same random operations on both implementations; everything that can be
//! seen afterwards must be equal, at every instant of the past too, and again in a
//! catalog that was built from the journal of the one in the file.

use proptest::prelude::*;

use super::published::Published;
use super::*;
use crate::catalog::{CatalogError, Durability, NodeKind, Result, SpaceQuery, SpaceRows};
use crate::model::{ContentId, Hold, Labels, Override, ROOT};

/// Small numbers: the choices must collide often.
type Pick = u8;

#[derive(Debug, Clone)]
enum Step {
    Savepoint(Undo),
    Release,
    Rollback,
    Commit(bool),
    CreateDirectory(Pick, Pick),
    CreateAsset(Pick, Pick, Pick),
    Delete(Pick),
    Revive(Pick),
    Move(Pick, Pick, Pick),
    Swap(Pick, Pick),
    MoveDirectory(Pick, Pick, Pick),
    SwapDirectories(Pick, Pick),
    Forget(Pick),
    ForgetDirectory(Pick),
    Override(Pick, bool),
    File(Pick, Pick),
    Rebase(bool),
    AddVersion(Pick, Pick),
    Locate(Pick, Pick),
    Store(Pick, Pick),
    MoveVersion(Pick, Pick),
    RemoveVersion(Pick),
    SetHold(Pick, bool),
    SetLabels(Pick, bool),
    AddPack(Pick, bool),
    PutChunks(Vec<Pick>, Pick),
    AddContent(Pick, Vec<Pick>),
    AddSmall(Pick, u8, Pick),
    RemoveDead(Pick),
    RemovePack(Pick),
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0u8..16;
    let few = || 0u8..5;
    prop_oneof![
        2 => prop_oneof![Just(Undo::Seldom), Just(Undo::Often)].prop_map(Step::Savepoint),
        1 => Just(Step::Release),
        1 => Just(Step::Rollback),
        1 => any::<bool>().prop_map(Step::Commit),
        6 => (n(), few()).prop_map(|(a, b)| Step::CreateDirectory(a, b)),
        8 => (n(), few(), any::<u8>()).prop_map(|(a, b, c)| Step::CreateAsset(a, b, c)),
        4 => n().prop_map(Step::Delete),
        2 => n().prop_map(Step::Revive),
        4 => (n(), n(), few()).prop_map(|(a, b, c)| Step::Move(a, b, c)),
        2 => (n(), n()).prop_map(|(a, b)| Step::Swap(a, b)),
        4 => (n(), n(), few()).prop_map(|(a, b, c)| Step::MoveDirectory(a, b, c)),
        3 => (n(), n()).prop_map(|(a, b)| Step::SwapDirectories(a, b)),
        2 => n().prop_map(Step::Forget),
        2 => n().prop_map(Step::ForgetDirectory),
        1 => (n(), any::<bool>()).prop_map(|(a, b)| Step::Override(a, b)),
        2 => (n(), few()).prop_map(|(a, b)| Step::File(a, b)),
        1 => any::<bool>().prop_map(Step::Rebase),
        6 => (n(), few()).prop_map(|(a, b)| Step::AddVersion(a, b)),
        2 => (n(), few()).prop_map(|(a, b)| Step::Locate(a, b)),
        6 => (n(), few()).prop_map(|(a, b)| Step::Store(a, b)),
        2 => (n(), n()).prop_map(|(a, b)| Step::MoveVersion(a, b)),
        4 => n().prop_map(Step::RemoveVersion),
        3 => (n(), any::<bool>()).prop_map(|(a, b)| Step::SetHold(a, b)),
        2 => (n(), any::<bool>()).prop_map(|(a, b)| Step::SetLabels(a, b)),
        2 => (few(), any::<bool>()).prop_map(|(a, b)| Step::AddPack(a, b)),
        4 => (prop::collection::vec(0u8..12, 0..5), few()).prop_map(|(a, b)| Step::PutChunks(a, b)),
        4 => (few(), prop::collection::vec(0u8..9, 0..6)).prop_map(|(a, b)| Step::AddContent(a, b)),
        3 => (few(), 0u8..12, few()).prop_map(|(a, b, c)| Step::AddSmall(a, b, c)),
        1 => few().prop_map(Step::RemoveDead),
        1 => few().prop_map(Step::RemovePack),
    ]
}

/// What a step returned.
#[derive(Debug, PartialEq)]
enum Outcome {
    Done,
    Directory(NodeId),
    Asset(NodeId),
    Version(VersionSeq),
    Content(ContentId),
    Count(u64),
}

/// What was ever made, to pick from; some of it is gone again.
struct World {
    directories: Vec<NodeId>,
    assets: Vec<NodeId>,
    versions: Vec<VersionSeq>,
}

impl World {
    fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Directory(node) => self.directories.push(*node),
            Outcome::Asset(node) => self.assets.push(*node),
            Outcome::Version(seq) => self.versions.push(*seq),
            _ => {}
        }
    }
}

/// The newest are picked most; the last pick is something of another kind, or nothing.
fn pick<T: Copy>(from: &[T], pick: Pick, other: T) -> T {
    match pick {
        15 => other,
        _ => from
            .iter()
            .rev()
            .cycle()
            .nth(pick.into())
            .copied()
            .unwrap_or(other),
    }
}

/// One step at instant `now`. Savepoints are the caller's.
fn apply(catalog: &mut dyn Catalog, world: &World, step: &Step, now: i64) -> Result<Outcome> {
    let dir = |p: &Pick| pick(&world.directories, *p, NodeId(3));
    let node = |p: &Pick| pick(&world.assets, *p, NodeId(2));
    let seq = |p: &Pick| pick(&world.versions, *p, VersionSeq(1));
    let named = |pick: &Pick| name(["a", "b", "c", "d", "e"][usize::from(*pick)]);
    let file_of = |id: u8| (id % 2 == 1).then(|| facts(u64::from(id % 8)));
    let at = time(now);
    let content = |catalog: &mut dyn Catalog, pick: &Pick| {
        let size = u64::from(*pick) * 7;
        catalog
            .content_by_hash(&hash(*pick + 50), size)
            .map(|known| (known.unwrap_or(ContentId(999)), hash(*pick + 50), size))
    };
    let done = |done: Result<()>| done.map(|()| Outcome::Done);
    let c = catalog;
    match step {
        Step::Savepoint(_) | Step::Release | Step::Rollback | Step::Commit(_) => Ok(Outcome::Done),
        Step::CreateDirectory(p, n) => c
            .create_directory(dir(p), &named(n), attributes(0o755), at)
            .map(Outcome::Directory),
        Step::CreateAsset(p, n, id) => c
            .create_asset(dir(p), &named(n), asset_id(*id), file_of(*id).as_ref(), at)
            .map(Outcome::Asset),
        Step::Delete(a) => done(c.delete_asset(node(a), at)),
        Step::Revive(a) => done(c.revive_asset(node(a), at)),
        Step::Move(a, p, n) => done(c.move_asset(node(a), dir(p), &named(n), at)),
        Step::Swap(a, b) => done(c.swap_assets(node(a), node(b), at)),
        Step::MoveDirectory(d, p, n) => done(c.move_directory(dir(d), dir(p), &named(n), at)),
        Step::SwapDirectories(a, b) => done(c.swap_directories(dir(a), dir(b), at)),
        Step::Forget(a) => done(c.forget_asset(node(a), at)),
        Step::ForgetDirectory(d) => done(c.forget_directory(dir(d), at)),
        Step::Override(d, on) => done(c.set_directory_override(dir(d), on.then_some(Override::On))),
        Step::File(a, ino) => {
            let file = (*ino > 0).then(|| facts(u64::from(*ino)));
            done(c.set_asset_file(node(a), file.as_ref()))
        }
        Step::Rebase(there) => {
            let (old, new) = if *there { (u64::MAX, 1) } else { (1, u64::MAX) };
            done(c.rebase_device(old, new))
        }
        Step::AddVersion(a, ino) => c
            .add_version(&sealed(node(a), now.cast_unsigned(), u64::from(*ino)))
            .map(Outcome::Version),
        Step::Locate(v, to) => {
            let places = [Location::Live, Location::SpoolLink, Location::SpoolCopy];
            done(c.set_location(seq(v), places[usize::from(*to) % places.len()]))
        }
        Step::Store(v, n) => {
            let (id, blake3, _) = content(c, n)?;
            done(c.set_stored(seq(v), id, blake3))
        }
        Step::MoveVersion(v, a) => {
            done(c.move_version(seq(v), node(a), version_id(now.cast_unsigned())))
        }
        Step::RemoveVersion(v) => done(c.remove_version(seq(v))),
        Step::SetHold(v, on) => {
            let hold = if *on { Hold::On } else { Hold::Off };
            done(c.set_hold(seq(v), hold))
        }
        Step::SetLabels(a, on) => {
            let mut labels = Labels::default();
            if *on {
                labels = noted(&now.to_string());
            }
            done(c.set_labels(node(a), &labels))
        }
        Step::AddPack(p, stored) => {
            let state = if *stored {
                PackState::Stored
            } else {
                PackState::Open
            };
            match c.packs()?.iter().any(|known| known.id == PackId([*p; 16])) {
                true => done(c.set_pack(&pack(*p, state))),
                false => done(c.add_pack(&pack(*p, state))),
            }
        }
        Step::PutChunks(chunks, p) => {
            let chunks: Vec<_> = chunks.iter().map(|number| chunk(*number, *p)).collect();
            done(c.put_chunks(&chunks))
        }
        Step::AddContent(n, chunks) => {
            let (_, blake3, size) = content(c, n)?;
            let chunks: Vec<_> = chunks.iter().map(|number| hash(*number)).collect();
            c.add_content(&blake3, size, &chunks).map(Outcome::Content)
        }
        Step::AddSmall(n, number, p) => {
            let (_, blake3, size) = content(c, n)?;
            let added = c.add_content_with_chunk(&blake3, size, &chunk(*number, *p))?;
            Ok(added.map_or(Outcome::Done, Outcome::Content))
        }
        Step::RemoveDead(p) => c.remove_dead_chunks(PackId([*p; 16])).map(Outcome::Count),
        Step::RemovePack(p) => done(c.remove_pack(PackId([*p; 16]))),
    }
}

/// Everything that can be seen, as lines.
fn seen(c: &mut dyn Catalog, until: i64) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for number in 1..=40 {
        let node = NodeId(number);
        lines.push(format!("{:?} {:?}", c.directory(node)?, c.asset(node)?));
        lines.push(format!("{:?} {:?}", c.path_of(node)?, c.version_ids(node)?));
        lines.push(format!("{:?} {:?}", c.labels(node)?, c.labelled(node, 2)?));
        lines.push(format!("{:?}", c.sightings(node, b"", 9)?));
        lines.push(format!("{:?}", c.sightings(node, b"c", 1)?));
        lines.push(format!("{:?}", c.live_files(node)?));
        lines.push(format!("{:?}", c.children(node, None, usize::MAX)?));
        let after = (name("b"), NodeKind::Directory);
        lines.push(format!("{:?}", c.children(node, Some(&after), 2)?));
        for at in (0..=until).step_by(3) {
            lines.push(format!("{at}: {:?}", c.children_at(node, time(at))?));
        }
        lines.push(format!("{:?}", c.versions(node)?));
        lines.push(format!("{:?}", c.latest_versions(node, 2)?));
        lines.push(format!("{:?}", c.version(VersionSeq(number))?));
        let held = c.has_hold(VersionSeq(number))?;
        lines.push(format!("{held} {:?}", c.holds(node)?));
        for id in (0..=until).step_by(3) {
            let before = c.version_before(node, version_id(id.cast_unsigned()))?;
            let from = c.version_id_from(version_id(id.cast_unsigned()))?;
            lines.push(format!("before {id}: {before:?}, from it: {from:?}"));
        }
    }
    for ino in 0..5 {
        lines.push(format!("{:?}", c.assets_on_inode(facts(ino).inode)?));
        lines.push(format!("{:?}", c.sealed_on_inode(facts(ino).inode)?));
    }
    lines.push(format!("{:?}", c.sealed_versions(VersionSeq(2), 5)?));
    lines.push(format!("{:?}", c.last_version_id()?));
    let mut without = c.assets_without_versions()?;
    without.sort_unstable();
    lines.push(format!("{without:?}"));
    for content in 1..20 {
        lines.push(format!("{:?}", c.content_chunks(ContentId(content)).ok()));
        lines.push(format!("{:?}", c.content_use(ContentId(content)).ok()));
    }
    for number in 0..12 {
        lines.push(format!("{:?}", c.chunk(&hash(number))?));
        let pack = PackId([number; 16]);
        lines.push(format!("{:?}", c.pack_chunks(pack)?));
        lines.push(format!("{:?}", c.versions_in_pack(pack)?));
        let chunks = [hash(number), hash(number + 1)];
        lines.push(format!("{:?}", c.versions_with_chunks(&chunks)?));
    }
    lines.push(format!("{:?} {:?}", c.packs()?, c.pack_use()?));
    lines.push(format!("{:?}", c.totals()?));
    let assets = SpaceRows::Assets { depth: 2 };
    let directories = SpaceRows::Directories { depth: 1 };
    for rows in [assets, directories, SpaceRows::Heaviest(3)] {
        for number in 1..=8 {
            // Nothing is below a node that is no directory.
            let query = SpaceQuery {
                directory: Some(NodeId(number)),
                asset: None,
                rows,
                age_limits: vec![time(until * 2 / 3), time(until / 3)],
            };
            lines.push(format!("{number}: {:?}", c.space(&query)?));
            if c.asset(NodeId(number))?.is_some() {
                let query = SpaceQuery {
                    directory: None,
                    asset: Some(NodeId(number)),
                    ..query
                };
                lines.push(format!("{number}: {:?}", c.space(&query)?));
            }
        }
    }
    Ok(lines)
}

fn run(steps: &[Step]) -> std::result::Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let mut memory = MemoryCatalog::new();
    let mut file = SqliteCatalog::open(&path).unwrap();
    let (mut depth, mut now) = (0, 0);
    let mut published = Published::default();
    let mut world = World {
        directories: vec![ROOT],
        assets: Vec::new(),
        versions: Vec::new(),
    };
    // Something to build contents of from the beginning.
    let start = [
        Step::AddPack(0, true),
        Step::PutChunks((0..8).collect(), 0),
        Step::AddContent(0, vec![0, 1, 0]),
    ];
    for step in start.iter().chain(steps) {
        now += 1;
        for catalog in [&mut memory as &mut dyn Catalog, &mut file] {
            match step {
                Step::Savepoint(undo) => catalog.savepoint(*undo),
                Step::Release if depth > 0 => catalog.release(),
                Step::Rollback if depth > 0 => catalog.rollback(),
                Step::Commit(power) if depth == 0 => catalog.commit(if *power {
                    Durability::Power
                } else {
                    Durability::Process
                }),
                _ => Ok(()),
            }
            .unwrap();
        }
        match step {
            Step::Commit(true) if depth == 0 => published.publish(&mut file),
            Step::Savepoint(_) => depth += 1,
            Step::Release | Step::Rollback if depth > 0 => depth -= 1,
            _ => {}
        }
        let [in_memory, in_file] = [&mut memory as &mut dyn Catalog, &mut file].map(|catalog| {
            crate::catalog::atomically(catalog, |catalog| apply(catalog, &world, step, now))
        });
        match (in_memory, in_file) {
            (Ok(a), Ok(b)) => {
                prop_assert_eq!(&a, &b, "{:?}", step);
                world.note(&a);
            }
            (Err(CatalogError::Invariant(_)), Err(CatalogError::Invariant(_))) => {}
            (a, b) => prop_assert!(false, "{step:?}: memory {a:?}, file {b:?}"),
        }
    }
    prop_assert_eq!(
        seen(&mut memory, now).unwrap(),
        seen(&mut file, now).unwrap()
    );
    prop_assert_eq!(file.check().unwrap(), Vec::<String>::new());
    for _ in 0..depth {
        memory.release().unwrap();
        file.release().unwrap();
    }
    file.commit(Durability::Process).unwrap();
    published.publish(&mut file);
    drop(file);
    for mut file in [
        SqliteCatalog::open(&path).unwrap(),
        published.build(&dir.path().join("built.db")),
    ] {
        prop_assert_eq!(
            seen(&mut memory, now).unwrap(),
            seen(&mut file, now).unwrap()
        );
        prop_assert!(catalog_is_rooted(&mut file));
    }
    Ok(())
}

fn catalog_is_rooted(catalog: &mut dyn Catalog) -> bool {
    matches!(catalog.directory(ROOT), Ok(Some(record)) if record.place.is_none())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn both_implementations_agree_on_everything(steps in prop::collection::vec(step(), 1..120)) {
        run(&steps)?;
    }
}
