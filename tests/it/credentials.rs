//! Credentials come from where the clouds' own tools look.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::{Setup, keepfs_binary, output, text};
use crate::servers::{AZURE_ACCOUNT, AZURE_KEY, BucketServer, Kind};

/// Variables of the machine that runs the tests, which would answer in their place.
const FOREIGN: [&str; 8] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_PROFILE",
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "GOOGLE_APPLICATION_CREDENTIALS",
];

/// `keepfs store allow` with nothing in its environment but this.
fn allow_with(url: &str, home: &Path, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(keepfs_binary());
    for name in FOREIGN {
        command.env_remove(name);
    }
    command.args(["store", "allow", url, "--name", "photos"]);
    let environment = environment.iter().copied();
    output(command.env("HOME", home).envs(environment))
}

/// A vault over a bucket, from its marker to a check of what lies there.
#[track_caller]
fn a_vault_works(url: &str, home: &Path, environment: &[(&str, &str)]) {
    let done = allow_with(url, home, environment);
    assert!(done.status.success(), "{environment:?}: {done:?}");
    let mut setup = Setup::new().init(&["--store", url, "--name", "photos"]);
    for (name, value) in environment {
        setup = setup.env(name, value);
    }
    let mut m = setup.start();
    m.write("a", "kept");
    m.run("\"$KEEPFS\" wait .; \"$KEEPFS\" check --read-data .");
    m.unmount();
    m.remount();
    assert_eq!(m.texts("a"), ["kept"]);
}

#[test]
fn the_names_that_az_reads_open_an_azure_container() {
    let server = BucketServer::start(Kind::Azure);
    let home = tempfile::tempdir().unwrap();
    let blobs = format!("http://127.0.0.1:{}/{AZURE_ACCOUNT}", server.port());
    a_vault_works(
        &format!("az://bucket/key?endpoint={blobs}"),
        home.path(),
        &[
            ("AZURE_STORAGE_ACCOUNT", AZURE_ACCOUNT),
            ("AZURE_STORAGE_KEY", AZURE_KEY),
        ],
    );
    let connection = format!(
        "DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};\
         BlobEndpoint={blobs};"
    );
    a_vault_works(
        "az://bucket/connection",
        home.path(),
        &[("AZURE_STORAGE_CONNECTION_STRING", &connection)],
    );
}

#[test]
fn a_connection_string_that_cannot_be_used_is_one_line_without_the_secret() {
    let home = tempfile::tempdir().unwrap();
    let done = allow_with(
        "az://bucket/p",
        home.path(),
        &[("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=hush")],
    );
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.contains("AZURE_STORAGE_CONNECTION_STRING has no AccountName"));
    assert!(!said.contains("hush"), "{said}");
}

/// Answers one request; returns its head.
fn one_answer(listener: TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    stream.write_all(answer.as_bytes()).unwrap();
    text(&head)
}

#[test]
fn what_az_login_left_is_used_where_the_environment_says_login() {
    let home = tempfile::tempdir().unwrap();
    let az = home.path().join("az");
    let token = r#"{"accessToken": "of-az", "expires_on": 4102444800, "tokenType": "Bearer",
                    "expiresOn": "2099-12-31 00:00:00.000000", "subscription": "s", "tenant": "t"}"#;
    fs::write(&az, format!("#!/bin/sh\ncat <<END\n{token}\nEND\n")).unwrap();
    fs::set_permissions(&az, fs::Permissions::from_mode(0o755)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "az://bucket/p?endpoint=http://{}&account=backups",
        listener.local_addr().unwrap()
    );
    let answer = "HTTP/1.1 201 Created\r\nETag: \"1\"\r\nLast-Modified: Sun, 29 Nov 2026 \
                  11:00:00 GMT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let asked = std::thread::spawn(|| one_answer(listener, answer));
    let path = format!("{}:/usr/bin:/bin", home.path().display());
    let done = allow_with(
        &url,
        home.path(),
        &[("AZURE_STORAGE_AUTH_MODE", "login"), ("PATH", &path)],
    );
    assert!(done.status.success(), "{done:?}");
    let head = asked.join().unwrap().to_lowercase();
    assert!(head.contains("authorization: bearer of-az"), "{head}");
}
