//! Credentials come from where the clouds' own tools look, and where there are none, that is
//! said.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::buckets::allow;
use crate::harness::{Setup, keepfs_binary, output, text, wait_for};
use crate::servers::{AZURE_ACCOUNT, AZURE_KEY, BucketServer, KEY, Kind, SECRET};

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

/// A test that fails must not ask for the role of a machine either: nobody listens there.
const NOBODY: (&str, &str) = ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1");

/// `keepfs store allow` with nothing in its environment but this.
fn allow_with(url: &str, home: &Path, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(keepfs_binary());
    for name in FOREIGN {
        command.env_remove(name);
    }
    command.args(["store", "allow", url, "--name", "photos"]);
    let environment = [NOBODY].into_iter().chain(environment.iter().copied());
    output(command.env("HOME", home).envs(environment))
}

/// A vault over a bucket, from its marker to a check of what lies there.
#[track_caller]
fn a_vault_works(url: &str, home: &Path, environment: &[(&str, &str)]) {
    let done = allow_with(url, home, environment);
    assert!(done.status.success(), "{environment:?}: {done:?}");
    let mut setup = Setup::new().init(&["--store", url, "--name", "photos"]);
    for (name, value) in [&NOBODY].into_iter().chain(environment) {
        setup = setup.env(name, value);
    }
    let mut m = setup.start();
    m.write("a", "kept");
    m.run("\"$KEEPFS\" wait .; \"$KEEPFS\" check --read-data .");
    m.unmount();
    m.remount();
    assert_eq!(m.texts("a"), ["kept"]);
}

/// Nobody listens there, and nobody beyond this machine is asked.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
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

#[test]
fn a_profile_of_the_aws_tools_opens_a_bucket() {
    let server = BucketServer::start(Kind::S3);
    let home = tempfile::tempdir().unwrap();
    let aws = home.path().join(".aws");
    fs::create_dir(&aws).unwrap();
    let secrets = format!(
        "[default]\naws_access_key_id = nobody\naws_secret_access_key = wrong\n\
         [backup]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    );
    fs::write(aws.join("credentials"), secrets).unwrap();
    let settings = format!(
        "[profile backup]\nregion = us-east-1\nendpoint_url = http://127.0.0.1:{}\n",
        server.port()
    );
    fs::write(aws.join("config"), settings).unwrap();
    let file = |name: &str| aws.join(name).display().to_string();
    let (credentials, config) = (file("credentials"), file("config"));
    // The marker by the files of the home directory, the vault by those that are named.
    let done = allow_with("s3://bucket", home.path(), &[("AWS_PROFILE", "backup")]);
    assert!(done.status.success(), "{done:?}");
    a_vault_works(
        "s3://bucket/p",
        Path::new("/nowhere"),
        &[
            ("AWS_PROFILE", "backup"),
            ("AWS_SHARED_CREDENTIALS_FILE", &credentials),
            ("AWS_CONFIG_FILE", &config),
        ],
    );
    let url = server.url("p");
    let wrong = allow_with(&url, home.path(), &[("AWS_PROFILE", "default")]);
    let said = text(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(6), "{said}");
    assert!(said.contains("take the right key"), "{said}");
    let gone = allow_with(&url, home.path(), &[("AWS_PROFILE", "gone")]);
    let said = text(&gone.stderr);
    assert_eq!(gone.status.code(), Some(2), "{said}");
    assert!(said.contains("AWS_PROFILE is gone"), "{said}");
    for said in [said, text(&wrong.stderr)] {
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(!said.contains(SECRET), "{said}");
    }
}

#[test]
fn without_credentials_it_is_said_where_to_put_them() {
    let home = tempfile::tempdir().unwrap();
    let nobody = closed();
    let endpoint = format!("http://{nobody}");
    let identity = format!("http://{nobody}/metadata/identity/oauth2/token");
    let s3 = format!("s3://bucket/p?endpoint={endpoint}");
    let azure = format!("az://bucket/p?endpoint={endpoint}&account=backups");
    for (url, environment, words) in [
        (
            &*s3,
            &[("AWS_METADATA_ENDPOINT", &*endpoint)][..],
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        ),
        (
            &azure,
            &[("AZURE_MSI_ENDPOINT", &identity)],
            "set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING",
        ),
        (
            "gs://bucket/p",
            &[("GCE_METADATA_HOST", &nobody), ("GCE_METADATA_IP", &nobody)],
            "set GOOGLE_APPLICATION_CREDENTIALS",
        ),
    ] {
        let done = allow_with(url, home.path(), environment);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(6), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(said.contains("no credentials were found"), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_vault_without_its_credentials_is_mounted_and_says_where_to_put_them() {
    let server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let endpoint = format!("http://{}", closed());
    let mut setup = Setup::new()
        .init(&["--store", &server.url("p"), "--name", "photos"])
        .config("pack_age_max", "\"1s\"")
        .env("AWS_METADATA_ENDPOINT", &endpoint);
    for (name, value) in server.environment() {
        setup = setup.env(name, value);
    }
    let mut m = setup.start();
    m.write("a", "kept");
    m.run("\"$KEEPFS\" wait .");
    m.unmount();
    for (name, _) in server.environment() {
        m.forget_env(name);
    }
    m.remount();
    m.wait_for_log("no credentials were found");
    m.write("b", "waits");
    wait_for("the status to say so", || {
        let status = m.keepfs(&["status"]);
        text(&status.stdout)
            .contains("no credentials were found")
            .then_some(())
    });
    assert_eq!(m.texts("b"), ["waits"]);
    m.crash();
    for (name, value) in server.environment() {
        m.set_env(name, value);
    }
    m.remount();
    m.run("\"$KEEPFS\" wait .");
    assert_eq!(
        (m.texts("a"), m.texts("b")),
        (vec!["kept".into()], vec!["waits".into()])
    );
}

#[test]
fn a_key_file_of_google_that_cannot_be_used_is_named() {
    let home = tempfile::tempdir().unwrap();
    let garbled = home.path().join("garbled.json");
    fs::write(&garbled, "{\"private_key\": \"hush\"").unwrap();
    let gone = home.path().join("gone.json");
    for (file, words) in [(&gone, "gone.json"), (&garbled, "service account file")] {
        let file = file.to_str().unwrap();
        let done = allow_with(
            "gs://bucket/p",
            home.path(),
            &[("GOOGLE_APPLICATION_CREDENTIALS", file)],
        );
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("hush"), "{said}");
    }
}
