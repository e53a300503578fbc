//! How fast it is, on request: `KEEPFS_SPEED_SOURCE=DIR cargo test --release --lib
//! store::tests::speed -- --ignored --nocapture`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::catalog::Durability;
use crate::catalog::sqlite::SqliteCatalog;
use crate::model::SystemClock;
use crate::store::testing::noise;
use crate::store::{Store, StoreConfig, file_url};

fn files_below(top: PathBuf) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![top];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => directories.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

#[test]
#[ignore = "measures"]
fn ingest_and_cold_read() {
    let directory = tempfile::tempdir_in(".").unwrap();
    let catalog = SqliteCatalog::open(&directory.path().join("catalog.db")).unwrap();
    let catalog: crate::catalog::SharedCatalog = Arc::new(Mutex::new(Box::new(catalog)));
    let level = std::env::var("KEEPFS_SPEED_LEVEL").map_or(1, |level| level.parse().unwrap());
    let config = StoreConfig {
        url: file_url(&std::path::absolute(directory.path().join("store")).unwrap()),
        spool_dir: directory.path().join("spool"),
        pack_bytes: 16 << 20,
        cache_bytes_max: 64 << 20,
        zstd_level: level,
        threads: 2,
    };
    let open = || Store::open(&config, catalog.clone(), Arc::new(SystemClock)).unwrap();
    let store = open();
    let report = |what: &str, bytes: u64, since: Instant| {
        let seconds = since.elapsed().as_secs_f64();
        println!(
            "{what}: {:.0} MB/s ({seconds:.2} s)",
            bytes as f64 / seconds / 1e6
        );
    };

    if let Some(source) = std::env::var_os("KEEPFS_SPEED_SOURCE") {
        let files = Mutex::new(files_below(source.into()).into_iter());
        let bytes = Mutex::new(0);
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let file = files.lock().unwrap().next();
                        let Some(file) = file else { break };
                        let mut file = std::fs::File::open(file).unwrap();
                        *bytes.lock().unwrap() += store.write(&mut file).unwrap().size;
                    }
                });
            }
        });
        store.flush().unwrap();
        catalog.lock().unwrap().commit(Durability::Power).unwrap();
        report("ingest of files", *bytes.lock().unwrap(), began);
        let stored: u64 = catalog
            .lock()
            .unwrap()
            .packs()
            .unwrap()
            .iter()
            .map(|p| p.bytes)
            .sum();
        println!("packs: {} MB", stored / 1_000_000);
    }

    if std::env::var_os("KEEPFS_SPEED_FILES_ONLY").is_some() {
        return;
    }
    let source = noise(1 << 30, 1);
    let began = Instant::now();
    let written = store.write(&mut &source[..]).unwrap();
    store.flush().unwrap();
    report("ingest of one long content", written.size, began);
    let began = Instant::now();
    store.write(&mut &source[..]).unwrap();
    report("the same again", written.size, began);
    drop(store);

    let store = open();
    let mut buffer = vec![0; 128 << 10];
    for what in ["first read", "second read"] {
        let reader = store.reader(written.content).unwrap();
        let began = Instant::now();
        for offset in (0..written.size).step_by(buffer.len()) {
            let read = reader.read_at(offset, &mut buffer).unwrap();
            assert_eq!(buffer[..read], source[offset as usize..][..read]);
        }
        report(what, written.size, began);
    }
}
