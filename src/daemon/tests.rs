//! What the daemon refuses and does before there is a mount.

use std::fs;
use std::path::Path;

use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use super::{Created, DaemonError, Opened, create, prepare};
use crate::config::InitOptions;
use crate::model::{PublicId, WriteClaim};
use crate::server::{Client, ErrorCode, Reply, Request, Server, WirePath};

fn refusal(result: Result<impl std::fmt::Debug, DaemonError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_vault_is_made_where_there_is_nothing_and_found_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, mountpoint) = (dir.path().join("v"), dir.path().join("m"));
    let (config, created) = prepare(&vault, &mountpoint).unwrap();
    assert_eq!(created, Created::New);
    assert!(config.live_dir.is_dir());
    assert!(config.catalog_path.is_file());
    let (again, created) = prepare(&vault, &mountpoint).unwrap();
    assert_eq!((again, created), (config, Created::Found));
}

#[test]
fn a_directory_with_other_things_in_it_does_not_become_a_vault() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "x").unwrap();
    let error = refusal(prepare(dir.path(), Path::new("/nowhere")));
    assert!(
        error.contains("is not empty and holds no keepfs.toml"),
        "{error}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_refused_vault_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    fs::create_dir_all(live.join(".versions")).unwrap();
    let vault = dir.path().join("v");
    let options = InitOptions {
        live: Some(live.clone()),
        ..InitOptions::default()
    };
    let error = refusal(create(&vault, &options, None));
    assert!(error.contains(".versions"), "{error}");
    assert!(!vault.exists());
    let inside = dir.path().join("live2/v");
    let options = InitOptions {
        live: Some(dir.path().join("live2")),
        ..InitOptions::default()
    };
    let error = refusal(create(&inside, &options, None));
    assert!(error.contains("is inside its live tree"), "{error}");
}

#[test]
fn a_vault_is_one_processs_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join("v");
    create(&vault, &InitOptions::default(), None).unwrap();
    let first = Opened::for_command(&vault, WriteClaim::Keep, &mut |_| {}).unwrap();
    let error = refusal(Opened::for_command(&vault, WriteClaim::Keep, &mut |_| {}));
    assert!(
        error.contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    drop(first);
    Opened::for_command(&vault, WriteClaim::Keep, &mut |_| {}).unwrap();
}

#[test]
fn a_lost_catalog_is_not_replaced_by_an_empty_one_while_there_are_packs() {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join("v");
    let config = create(&vault, &InitOptions::default(), None).unwrap();
    fs::remove_file(&config.catalog_path).unwrap();
    fs::create_dir_all(config.store.directory().unwrap().join("ab")).unwrap();
    fs::write(config.store.directory().unwrap().join("ab/pack"), "x").unwrap();
    let error = refusal(Opened::for_command(&vault, WriteClaim::Keep, &mut |_| {}));
    assert!(error.contains("catalog.db is missing"), "{error}");
}

#[test]
fn a_vault_in_a_directory_that_was_there_is_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join("v");
    fs::create_dir(&vault).unwrap();
    fs::set_permissions(&vault, fs::Permissions::from_mode(0o755)).unwrap();
    create(&vault, &InitOptions::default(), None).unwrap();
    assert_eq!(
        fs::metadata(&vault).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn the_socket_answers_and_its_clients_read_the_end_when_the_daemon_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    // Longer than a socket's address.
    let vault = dir.path().join("v".repeat(120));
    let config = create(&vault, &InitOptions::default(), None).unwrap();
    assert!(Client::connect(&config.socket_path).unwrap().is_none());
    let opened = Opened::for_command(&vault, WriteClaim::Keep, &mut |_| {}).unwrap();
    let server = Server::start(&config.socket_path, opened.vault().clone(), |_| {}).unwrap();
    let mode = fs::metadata(&config.socket_path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let mut client = Client::connect(&config.socket_path).unwrap().unwrap();
    let mut ask = |request: &Request| client.request(request, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(ask(&Request::Status), Ok(Reply::Status(_))));
    let path = WirePath(PublicId::new(b"none").unwrap());
    let failure = ask(&Request::Versions { path }).unwrap_err();
    assert_eq!(failure.code, ErrorCode::NotFound);

    let lingering = server.stop();
    assert!(!config.socket_path.exists());
    let waits = std::thread::spawn(move || client.wait_for_end());
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!waits.is_finished());
    drop(lingering);
    waits.join().unwrap();
}

#[test]
fn a_line_that_is_no_request_gets_an_answer_and_the_next_one_too() {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join("v");
    let config = create(&vault, &InitOptions::default(), None).unwrap();
    let opened = Opened::for_command(&vault, WriteClaim::Keep, &mut |_| {}).unwrap();
    let _server = Server::start(&config.socket_path, opened.vault().clone(), |_| {}).unwrap();
    let mut stream = UnixStream::connect(&config.socket_path).unwrap();
    stream
        .write_all(b"{\"command\":\"dance\"}\n{\"command\":\"drain\"}\n")
        .unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().starts_with(r#"{"error":{"code":"bad_input""#));
    assert_eq!(next(), r#"{"ok":"done"}"#);
}
