//! Encrypted vaults on a real mount: what their bucket betrays, and what opens them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::buckets::{allow, setup};
use crate::harness::{Mount, Setup, files_below, keepfs_binary, mode, noise, output, text};
use crate::servers::{BucketServer, Kind, SECRET, objects};

const NAME: &str = "wedding-of-zoe.txt";
const CONTENT: &str = "nobody but the two of us may read this\n";

fn private(file: PathBuf, content: &str) -> PathBuf {
    fs::write(&file, content).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// One line on standard error, and the exit code.
#[track_caller]
fn refused(done: &Output, code: i32, problem: &str) {
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{done:?}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.contains(problem), "{said}");
}

fn keepfs(args: &[&str]) -> Output {
    let mut command = Command::new(keepfs_binary());
    for name in [
        "KEEPFS_KEY_FILE",
        "KEEPFS_PASSPHRASE_FILE",
        "KEEPFS_PASSPHRASE",
    ] {
        command.env_remove(name);
    }
    output(command.args(args))
}

/// The files below `top` that hold these bytes.
fn holding(top: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = files_below(top);
    assert!(!found.is_empty());
    found.retain(|file| {
        let bytes = fs::read(file).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    });
    found
}

/// A vault that is opened by a passphrase in a file beside it, with a version in its store.
fn by_passphrase() -> (TempDir, Mount) {
    let outside = tempfile::tempdir().unwrap();
    let passphrase = private(outside.path().join("passphrase"), "correct horse\n");
    let setup = Setup::new().init(&["--encrypt", "--passphrase-file", name(&passphrase)]);
    let m = setup.start();
    m.write(NAME, CONTENT);
    (outside, m)
}

#[test]
fn a_bucket_shows_neither_contents_nor_names_and_history_comes_back_from_it() {
    let server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let outside = tempfile::tempdir().unwrap();
    let key_file = outside.path().join("photos.key");
    let mut m = setup(&server, "p")
        .init(&["--encrypt", "--key-file", name(&key_file)])
        .config("pack_bytes", "\"1MiB\"")
        .start();
    assert_eq!(mode(&key_file) & 0o777, 0o600);
    let large = noise(1, 3_000_000);
    m.write("large", &large);
    m.write(NAME, CONTENT);
    m.write(NAME, format!("{CONTENT}{CONTENT}"));
    m.run("\"$KEEPFS\" wait .");
    m.unmount();
    let keys = objects(&server.bucket());
    assert!(keys.contains(&"p/key.json".into()), "{keys:?}");
    // The names are in there, somewhere.
    assert!(
        keys.iter().any(|key| key.starts_with("p/catalog/")),
        "{keys:?}"
    );
    for needle in [
        CONTENT.as_bytes(),
        NAME.as_bytes(),
        &large[1_000_000..1_000_032],
    ] {
        assert_eq!(holding(&server.bucket(), needle), [] as [PathBuf; 0]);
    }
    m.remount();
    assert_eq!(m.contents("large"), [large]);
    assert_eq!(m.texts(NAME)[0], CONTENT);
    m.run("\"$KEEPFS\" check --read-data .");
}

#[test]
fn a_wrong_passphrase_is_one_line_and_changes_nothing() {
    let (outside, mut m) = by_passphrase();
    m.unmount();
    let document = fs::read(m.vault.join("key.json")).unwrap();
    let wrong = private(outside.path().join("wrong"), "wrong horse\n");
    let vault = name(&m.vault).to_owned();
    let mount = [
        "mount",
        &vault,
        name(&m.root),
        "--passphrase-file",
        name(&wrong),
    ];
    refused(&keepfs(&mount), 4, "this passphrase does not open it");
    refused(
        &keepfs(&["mount", &vault, name(&m.root), "--key-file", name(&wrong)]),
        2,
        "is no key file",
    );
    assert_eq!(fs::read(m.vault.join("key.json")).unwrap(), document);
    m.remount();
    assert_eq!(m.texts(NAME), [CONTENT]);
    let log = fs::read_to_string(m.vault.join("keepfs.log")).unwrap_or_default();
    assert!(!(m.log() + &log).contains("horse"));
}

#[test]
fn a_passphrase_is_asked_for_on_the_terminal_and_not_shown() {
    let outside = tempfile::tempdir().unwrap();
    let vault = outside.path().join("v");
    // What a person sees and types, in a terminal of its own.
    let program = format!(
        "import os, pty, termios
keepfs, vault, mountpoint = {:?}, {:?}, {:?}
def run(arguments, answers):
    child, terminal = pty.fork()
    if child == 0:
        for name in list(os.environ):
            if name.startswith('KEEPFS_PASS'):
                del os.environ[name]
        os.execv(keepfs, ['keepfs'] + arguments)
    seen = b''
    while True:
        try:
            more = os.read(terminal, 1000)
        except OSError:
            more = b''
        if not more:
            break
        seen += more
        if answers and seen.rstrip().endswith(answers[0][0]):
            while termios.tcgetattr(terminal)[3] & termios.ECHO:
                os.sched_yield()
            os.write(terminal, answers.pop(0)[1] + b'\\n')
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert b'correct horse' not in seen, seen
    return code, seen
new = [(b'New passphrase:', b'correct horse'), (b'The same again:', b'correct horse')]
code, seen = run(['init', vault, '--encrypt'], new)
assert code == 0, seen
code, seen = run(['mount', vault, mountpoint], [(b'Passphrase of the vault v:', b'wrong')])
assert code == 4, seen
code, seen = run(['mount', vault, mountpoint], [(b'Passphrase of the vault v:', b'correct horse')])
assert code == 0, seen
pid = open(vault + '/lock').read().split()[0]
for name in ('cmdline', 'environ'):
    assert b'horse' not in open('/proc/' + pid + '/' + name, 'rb').read()
code, seen = run(['umount', mountpoint], [])
assert code == 0, seen",
        keepfs_binary(),
        vault,
        outside.path().join("m"),
    );
    let done = output(Command::new("python3").args(["-c", &program]));
    assert!(done.status.success(), "{}", text(&done.stderr));
    let refusal = keepfs(&["check", "--vault", name(&vault)]);
    refused(&refusal, 2, "there is no terminal to ask on");
}

#[test]
fn a_recovery_key_mounts_a_vault_whose_key_file_is_lost_and_gets_it_a_new_one() {
    let outside = tempfile::tempdir().unwrap();
    let file = |leaf: &str| outside.path().join(leaf);
    let key = file("key");
    let mut m = Setup::new()
        .init(&["--encrypt", "--key-file", name(&key)])
        .start();
    m.write(NAME, CONTENT);
    let vault = name(&m.vault).to_owned();
    let recovery = file("recovery");
    // Also while it is mounted.
    let done = keepfs(&["key", "export", &vault, "--out", name(&recovery)]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(mode(&recovery) & 0o777, 0o600);
    let printed = keepfs(&["key", "export", &vault]);
    assert_eq!(printed.stdout, fs::read(&recovery).unwrap());
    m.unmount();
    fs::remove_file(&key).unwrap();
    let root = name(&m.root).to_owned();
    refused(&keepfs(&["mount", &vault, &root]), 2, "No such file");
    let done = keepfs(&["mount", &vault, &root, "--recovery-key", name(&recovery)]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(m.texts(NAME), [CONTENT]);
    let change = [
        "key",
        "change",
        &vault,
        "--recovery-key",
        name(&recovery),
        "--new-key-file",
    ];
    let while_mounted = keepfs(&[&change[..], &[name(&file("new"))]].concat());
    refused(&while_mounted, 4, "the vault is in use");
    assert!(keepfs(&["umount", &root]).status.success());
    // Typed off from paper, with a slip.
    let typed = fs::read_to_string(&recovery).unwrap().to_uppercase();
    let slip: String = typed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.replacen(char::is_alphanumeric, "?", 1))
        .collect();
    private(file("slip"), &slip);
    let mount = [
        "mount",
        &vault,
        &root,
        "--recovery-key",
        name(&file("slip")),
    ]
    .map(str::to_owned);
    let mount: Vec<&str> = mount.iter().map(String::as_str).collect();
    refused(&keepfs(&mount), 2, "is no hex digit");
    let done = keepfs(&[&change[..], &[name(&key)]].concat());
    assert!(done.status.success(), "{done:?}");
    m.remount();
    assert_eq!(m.texts(NAME), [CONTENT]);
}

#[test]
fn a_changed_passphrase_opens_the_vault_and_the_old_one_does_not_also_not_in_the_store() {
    let (outside, mut m) = by_passphrase();
    m.unmount();
    let vault = name(&m.vault).to_owned();
    let old = outside.path().join("passphrase");
    let new = private(outside.path().join("new"), "battery staple\n");
    let in_store = m.vault.join("store/key.json");
    let before = fs::read(&in_store).unwrap();
    let done = keepfs(&["key", "change", &vault, "--new-passphrase-file", name(&new)]);
    assert!(done.status.success(), "{done:?}");
    assert!(text(&done.stdout).contains("passphrase_file"), "{done:?}");
    assert_ne!(fs::read(&in_store).unwrap(), before);
    let check = |file: &Path| {
        let mut command = Command::new(keepfs_binary());
        command.args(["check", "--read-data", "--vault", &vault]);
        output(command.env("KEEPFS_PASSPHRASE_FILE", file))
    };
    refused(&check(&old), 4, "this passphrase does not open it");
    assert!(check(&new).status.success());
    fs::rename(&new, &old).unwrap();
    m.remount();
    assert_eq!(m.texts(NAME), [CONTENT]);
}

#[test]
fn what_does_not_fit_an_encrypted_vault_is_one_line_with_the_way_out() {
    let (outside, mut m) = by_passphrase();
    m.unmount();
    let vault = name(&m.vault).to_owned();
    let check = || keepfs(&["check", "--vault", &vault]);
    let passphrase = outside.path().join("passphrase");
    let settings = m.vault.join("keepfs.toml");
    let document = m.vault.join("key.json");
    let whole = fs::read_to_string(&settings).unwrap();
    let own = fs::read_to_string(&document).unwrap();

    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o644)).unwrap();
    refused(&check(), 2, "others may read it: chmod 600");
    private(passphrase.clone(), "correct horse\n");

    let plain = whole
        .replace("[encryption]", "")
        .replace("passphrase_file =", "#");
    fs::write(&settings, plain).unwrap();
    refused(&check(), 4, "keepfs.toml has no [encryption]");
    fs::rename(&document, outside.path().join("key.json")).unwrap();
    refused(&check(), 4, "is encrypted: put [encryption] back");
    fs::write(&settings, &whole).unwrap();
    refused(&check(), 4, "no key.json: copy it from the store");

    fs::write(&document, own.replacen("\"format\": 1", "\"format\": 9", 1)).unwrap();
    refused(&check(), 5, "update keepfs");
    fs::write(&document, own.replacen("\"passes\": 3", "\"passes\": 4", 1)).unwrap();
    refused(&check(), 5, "is not what keepfs wrote");
    fs::write(&document, &own).unwrap();

    let other = outside.path().join("other");
    let done = keepfs(&["init", name(&other)]);
    assert!(done.status.success(), "{done:?}");
    let export = keepfs(&["key", "export", name(&other)]);
    refused(&export, 2, "this vault is not encrypted");
    // A secret never mounts a vault that is not encrypted, and makes none.
    let with_secret = |vault: &Path| {
        let root = outside.path().join("m");
        let given = ["--passphrase-file", name(&passphrase)];
        keepfs(&[&["mount", name(vault), name(&root)], &given[..]].concat())
    };
    refused(&with_secret(&other), 4, "is not encrypted");
    let nowhere = outside.path().join("nowhere");
    refused(&with_secret(&nowhere), 3, "no keepfs.toml");
    assert!(!nowhere.exists());
    assert!(check().status.success());
}

#[test]
fn no_log_and_no_setting_shows_a_secret_however_much_is_logged() {
    let server = BucketServer::start(Kind::S3);
    let outside = tempfile::tempdir().unwrap();
    let passphrase = "correct horse battery";
    let file = private(outside.path().join("passphrase"), passphrase);
    let mut shown = String::new();
    let mut run = |command: &mut Command| {
        command.env("KEEPFS_LOG", "trace");
        let done = output(command);
        shown += &(text(&done.stdout) + &text(&done.stderr));
    };
    let mut allow = Command::new(keepfs_binary());
    allow.args(["store", "allow", &server.url("p"), "--name", "photos"]);
    run(allow.envs(server.environment()));
    let mut m = setup(&server, "p")
        .init(&["--encrypt", "--passphrase-file", name(&file)])
        .env("KEEPFS_LOG", "trace")
        .start();
    m.write(NAME, CONTENT);
    let root = m.root.display().to_string();
    for args in [
        &["wait"][..],
        &["check", "--read-data"],
        &["status"],
        &["store", "migrate", &server.url("moved")],
        &["prune"],
    ] {
        run(m.command(keepfs_binary()).args(args).arg(&root));
    }
    // A bucket that refuses is told of in its own words.
    let mut wrong = m.command(keepfs_binary());
    wrong.env("AWS_SECRET_ACCESS_KEY", "a-wrong-secret-of-mine");
    run(wrong.args(["store", "allow", &server.url("q"), "--name", "photos"]));
    m.unmount();
    m.remount();
    m.unmount();
    shown += &m.log();
    assert!(
        shown.contains("TRACE") || shown.contains("DEBUG"),
        "{shown}"
    );
    for file in ["keepfs.toml", "keepfs.log", "audit.log"] {
        shown += &fs::read_to_string(m.vault.join(file)).unwrap_or_default();
    }
    for secret in [SECRET, passphrase, "a-wrong-secret-of-mine"] {
        assert!(!shown.contains(secret), "{secret}");
    }
}
