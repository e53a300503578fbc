//! What only a file can do: outlive its process, be damaged, be full.

use std::path::Path;

use rusqlite::Connection;

use super::SqliteCatalog;
use super::live_files::LIVE_FILES;
use super::space::{LISTS_IN, LISTS_OF, VERSIONS_IN, VERSIONS_OF};
use super::versions::{BEFORE, WITH_CONTENT};
use crate::catalog::{Catalog, CatalogError, Durability, Undo};
use crate::model::{AssetId, Name, NodeId, ROOT, Timestamp};

fn set(catalog: &mut SqliteCatalog, key: &str) {
    catalog.set_setting(key, Some("set")).unwrap();
}

fn is_set(catalog: &mut SqliteCatalog, key: &str) -> bool {
    catalog.setting(key).unwrap().is_some()
}

fn fill(catalog: &mut SqliteCatalog, from: u32, count: u32) -> Result<(), CatalogError> {
    for number in from..from + count {
        let name = Name::new(format!("a rather long name of file {number:08}").as_bytes()).unwrap();
        let id = AssetId(u128::from(number).to_be_bytes());
        catalog.create_asset(ROOT, &name, id, None, Timestamp::from_nanos(1))?;
    }
    Ok(())
}

/// What a kill leaves behind: the files as the kernel has them.
fn copy_of(path: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let name = |base: &Path| format!("{}{suffix}", base.display());
        std::fs::copy(name(path), name(to)).unwrap();
    }
}

#[test]
fn a_kill_loses_exactly_what_was_not_committed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("catalog.db"), dir.path().join("copy.db"));
    let mut catalog = SqliteCatalog::open(&path).unwrap();
    set(&mut catalog, "committed");
    fill(&mut catalog, 0, 100).unwrap();
    catalog.commit(Durability::Process).unwrap();
    set(&mut catalog, "uncommitted");
    copy_of(&path, &copy);
    std::mem::forget(catalog);

    let mut catalog = SqliteCatalog::open(&copy).unwrap();
    assert!(is_set(&mut catalog, "committed"));
    assert!(!is_set(&mut catalog, "uncommitted"));
    assert_eq!(catalog.totals().unwrap().assets_live, 100);
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_closed_catalog_reopens_with_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let mut catalog = SqliteCatalog::open(&path).unwrap();
    set(&mut catalog, "committed");
    catalog.commit(Durability::Power).unwrap();
    set(&mut catalog, "uncommitted");
    drop(catalog);
    let mut catalog = SqliteCatalog::open(&path).unwrap();
    assert!(is_set(&mut catalog, "committed"));
    assert!(!is_set(&mut catalog, "uncommitted"));
}

#[test]
fn nodes_and_time_go_on_where_they_were_after_a_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let mut catalog = SqliteCatalog::open(&path).unwrap();
    let name = Name::new(b"a").unwrap();
    let time = Timestamp::from_nanos;
    let first = catalog
        .create_asset(ROOT, &name, AssetId([1; 16]), None, time(100))
        .unwrap();
    catalog.forget_asset(first, time(200)).unwrap();
    catalog.commit(Durability::Process).unwrap();
    drop(catalog);
    let mut catalog = SqliteCatalog::open(&path).unwrap();
    let second = catalog
        .create_asset(ROOT, &name, AssetId([1; 16]), None, time(50))
        .unwrap();
    assert_eq!(second, NodeId(first.0 + 1));
    assert_eq!(catalog.asset(second).unwrap().unwrap().since, time(200));
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    drop(SqliteCatalog::open(&path).unwrap());
    let file = Connection::open(&path).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    for opened in [
        SqliteCatalog::open(&path),
        SqliteCatalog::open_read_only(&path),
    ] {
        assert!(matches!(
            opened.unwrap_err(),
            CatalogError::NewerFormat { found: 99, .. }
        ));
    }
}

#[test]
fn a_catalog_of_the_first_format_is_brought_up_to_date_with_all_that_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let file = Connection::open(&path).unwrap();
    file.execute_batch(include_str!("migrations/0001_first.sql"))
        .unwrap();
    file.execute_batch(
        "INSERT INTO setting VALUES ('k', 'v');
         PRAGMA application_id = 0x6b706673; PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(file);
    assert!(
        SqliteCatalog::open_read_only(&path).is_err(),
        "not by a reader"
    );
    let mut catalog = SqliteCatalog::open(&path).unwrap();
    assert!(is_set(&mut catalog, "k"));
    assert_eq!(catalog.holds(ROOT).unwrap(), []);
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
    drop(catalog);
    SqliteCatalog::open_read_only(&path).unwrap();
}

#[test]
fn what_is_no_catalog_is_corrupt_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = dir.path().join("garbage.db");
    std::fs::write(&garbage, b"no database at all, ".repeat(1000)).unwrap();
    let foreign = dir.path().join("foreign.db");
    let file = Connection::open(&foreign).unwrap();
    file.execute_batch("CREATE TABLE theirs (a)").unwrap();
    drop(file);
    let cut = dir.path().join("cut.db");
    drop(SqliteCatalog::open(&cut).unwrap());
    let whole = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &whole[..4096]).unwrap();
    for path in [&garbage, &foreign, &cut] {
        let before = std::fs::read(path).unwrap();
        for opened in [
            SqliteCatalog::open(path),
            SqliteCatalog::open_read_only(path),
        ] {
            let error = opened.unwrap_err();
            assert!(matches!(error, CatalogError::Corrupt { .. }), "{error:?}");
        }
        assert_eq!(std::fs::read(path).unwrap(), before);
    }
}

#[test]
fn a_reader_sees_what_is_committed_and_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    assert!(SqliteCatalog::open_read_only(&path).is_err());
    assert!(!path.exists());
    let mut catalog = SqliteCatalog::open(&path).unwrap();
    let mut reader = SqliteCatalog::open_read_only(&path).unwrap();
    fill(&mut catalog, 0, 3).unwrap();
    assert_eq!(reader.totals().unwrap().assets_live, 0);
    catalog.commit(Durability::Process).unwrap();
    assert_eq!(reader.totals().unwrap().assets_live, 3);
    assert_eq!(reader.children(ROOT, None, 9).unwrap().len(), 3);
    assert_eq!(reader.check().unwrap(), Vec::<String>::new());
    assert!(reader.set_setting("a", Some("b")).is_err());
}

#[test]
fn a_second_writer_is_told_that_the_catalog_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let mut first = SqliteCatalog::open(&path).unwrap();
    let mut second = SqliteCatalog::open(&path).unwrap();
    set(&mut first, "a");
    second
        .connection
        .busy_timeout(std::time::Duration::ZERO)
        .unwrap();
    let refused = second.set_setting("b", Some("c")).unwrap_err();
    assert!(matches!(refused, CatalogError::Locked { .. }));
}

#[test]
fn a_full_disk_loses_nothing_that_was_written_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let mut catalog = SqliteCatalog::open(&path).unwrap();
    fill(&mut catalog, 0, 100).unwrap();
    catalog.commit(Durability::Process).unwrap();
    catalog.savepoint(Undo::Often).unwrap();
    fill(&mut catalog, 100, 100).unwrap();
    catalog.release().unwrap();

    // Not a full disk, but SQLite gives up the transaction in the same way.
    let pages: i64 = catalog
        .connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    let limit = |catalog: &SqliteCatalog, pages: i64| {
        catalog
            .connection
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .unwrap();
    };
    limit(&catalog, pages + 5);
    catalog.savepoint(Undo::Often).unwrap();
    let full = fill(&mut catalog, 1000, 10_000).unwrap_err();
    assert!(matches!(full, CatalogError::Full), "{full:?}");
    catalog.rollback().unwrap();
    assert_eq!(catalog.totals().unwrap().assets_live, 200);
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());

    limit(&catalog, 1_000_000);
    fill(&mut catalog, 1000, 1000).unwrap();
    catalog.commit(Durability::Power).unwrap();
    drop(catalog);
    let mut catalog = SqliteCatalog::open(&path).unwrap();
    assert_eq!(catalog.totals().unwrap().assets_live, 1200);
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_transaction_given_up_under_open_savepoints_is_done_again_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut catalog = SqliteCatalog::open(&dir.path().join("catalog.db")).unwrap();
    set(&mut catalog, "before");
    catalog.savepoint(Undo::Often).unwrap();
    set(&mut catalog, "outer");
    catalog.savepoint(Undo::Often).unwrap();
    set(&mut catalog, "inner");
    catalog.connection.execute_batch("ROLLBACK").unwrap();

    set(&mut catalog, "after");
    for key in ["before", "outer", "inner", "after"] {
        assert!(is_set(&mut catalog, key), "{key}");
    }
    catalog.rollback().unwrap();
    assert!(!is_set(&mut catalog, "inner") && is_set(&mut catalog, "outer"));
    catalog.rollback().unwrap();
    catalog.commit(Durability::Process).unwrap();
    assert!(!is_set(&mut catalog, "outer") && is_set(&mut catalog, "before"));
}

#[test]
fn while_changes_wait_to_be_done_again_nothing_is_read_without_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut catalog = SqliteCatalog::open(&dir.path().join("catalog.db")).unwrap();
    set(&mut catalog, "before");
    catalog.savepoint(Undo::Seldom).unwrap();
    set(&mut catalog, "undone");
    catalog.connection.execute_batch("ROLLBACK").unwrap();
    let refused = catalog.setting("before").unwrap_err();
    assert!(
        refused.to_string().contains("gave up 2 changes"),
        "{refused}"
    );

    catalog.rollback().unwrap();
    assert!(is_set(&mut catalog, "before") && !is_set(&mut catalog, "undone"));
    catalog.commit(Durability::Process).unwrap();
    assert!(is_set(&mut catalog, "before") && !is_set(&mut catalog, "undone"));
}

#[test]
fn a_count_that_was_tampered_with_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let mut catalog = SqliteCatalog::open(&path).unwrap();
    fill(&mut catalog, 0, 3).unwrap();
    catalog.commit(Durability::Process).unwrap();
    drop(catalog);
    let file = Connection::open(&path).unwrap();
    file.execute_batch("UPDATE directory SET assets = 7; DELETE FROM asset WHERE node = 2")
        .unwrap();
    drop(file);
    let found = SqliteCatalog::open(&path).unwrap().check().unwrap();
    assert_eq!(
        found,
        [
            "entry without its asset: 2",
            "directory with wrong counts: 1"
        ]
    );
}

#[test]
fn the_log_starts_over_under_steady_writing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let mut catalog = SqliteCatalog::open(&path).unwrap();
    for round in 0..400 {
        fill(&mut catalog, round * 500, 500).unwrap();
        catalog.commit(Durability::Process).unwrap();
    }
    let log = std::fs::metadata(dir.path().join("catalog.db-wal")).unwrap();
    assert!(log.len() < 128 << 20, "{} bytes", log.len());
}

#[test]
fn no_question_walks_through_what_it_is_not_about() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = SqliteCatalog::open(&dir.path().join("catalog.db")).unwrap();
    let user = "SELECT seq FROM version WHERE content = ?1";
    for (sql, index) in [
        (BEFORE, "v USING INDEX version_of_asset (asset=? AND id<?)"),
        (
            WITH_CONTENT,
            "version USING COVERING INDEX version_of_content (content=? AND asset=? AND id<?)",
        ),
        (
            user,
            "version USING COVERING INDEX version_of_content (content=?)",
        ),
        (VERSIONS_IN, "entry USING INDEX entry_now (parent=?)"),
        (VERSIONS_OF, "entry USING INDEX entry_of_node (node=?)"),
        (LISTS_IN, "entry USING INDEX entry_now (parent=?)"),
        (LISTS_OF, "entry USING INDEX entry_of_node (node=?)"),
        (LIVE_FILES, "entry USING INDEX entry_now (parent=?)"),
    ] {
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let mut statement = catalog.connection.prepare(&explain).unwrap();
        for at in 1..=statement.parameter_count() {
            statement.raw_bind_parameter(at, 1).unwrap();
        }
        let mut rows = statement.raw_query();
        let mut plan = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            plan.push(row.get::<_, String>(3).unwrap());
        }
        assert_eq!(plan[0], format!("SEARCH {index}"));
        let is_slow = |step: &String| step.contains("B-TREE") || step.starts_with("SCAN");
        assert!(!plan.iter().any(is_slow), "{plan:?}");
    }
}

#[test]
fn a_query_is_planned_once_whatever_is_asked() {
    use rusqlite::StatementStatus;
    let dir = tempfile::tempdir().unwrap();
    let catalog = SqliteCatalog::open(&dir.path().join("catalog.db")).unwrap();
    for sql in [WITH_CONTENT, BEFORE] {
        let mut statement = catalog.connection.prepare(sql).unwrap();
        for value in 1..=3 {
            for parameter in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(parameter, value).unwrap();
            }
            assert!(statement.raw_query().next().unwrap().is_none());
        }
        let again = statement.get_status(StatementStatus::RePrepare);
        assert_eq!(again, 0, "{sql}");
    }
}
