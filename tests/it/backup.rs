//! `keepfs backup`: interrupted, it goes on; and it tells how it ended.

use std::fs;
use std::net::TcpListener;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::crash::crash_points;
use crate::harness::{
    Mount, Setup, closing, keepfs_binary, noise, not_run, output, spawn, text, wait_for,
};
use crate::smtp::{LOGIN, SmtpServer};

/// Files that keepfs has not seen yet.
fn existing(m: &Mount, files: u64) {
    existing_of(m, 0..files);
}

fn existing_of(m: &Mount, seeds: Range<u64>) {
    closing(|| {
        for seed in seeds {
            let directory = m.live(format!("d{}", seed % 7));
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(format!("f{seed}")), noise(seed, 3_000)).unwrap();
        }
    });
}

/// Each file has one version, with its bytes.
fn assert_kept(m: &Mount, files: u64) {
    assert_eq!(m.json(&["status"])["versions"], files);
    for seed in 0..files {
        let contents = m.contents(format!("d{}/f{seed}", seed % 7));
        assert_eq!(contents, [noise(seed, 3_000)], "f{seed}");
    }
}

/// Adds `[notify]` for a server on this machine; more lines follow.
fn mail_by(m: &Mount, port: u16, more: &str) {
    let path = m.vault.join("keepfs.toml");
    let settings = fs::read_to_string(&path).unwrap();
    let notify = format!(
        "[notify]\nsmtp_host = \"localhost\"\nsmtp_port = {port}\n\
         from = \"keepfs <keepfs@example.com>\"\nto = [\"you@example.com\", \"me@example.com\"]\n{more}\n"
    );
    fs::write(path, settings + &notify).unwrap();
}

fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

fn assert_mail(mail: &serde_json::Value, result: &str, words: &[&str]) {
    assert_eq!(mail["from"], "keepfs@example.com");
    assert_eq!(
        mail["to"],
        serde_json::json!(["you@example.com", "me@example.com"])
    );
    assert_eq!(mail["submitted"], "auto-generated");
    let subject = mail["subject"].as_str().unwrap();
    assert!(subject.starts_with("keepfs: backup of v on "), "{subject}");
    assert!(subject.ends_with(result), "{subject}");
    for word in words {
        assert!(mail["text"].as_str().unwrap().contains(word), "{mail}");
    }
}

#[test]
fn a_backup_that_kill_9_interrupts_goes_on_where_it_was() {
    if cfg!(not(debug_assertions)) {
        return not_run(
            "a kill in the middle of a backup",
            "a release build has no crash points",
        );
    }
    let mut m = Setup::new()
        .env("KEEPFS_CRASH_AT", "intake.written:4")
        .start();
    existing(&m, 400);
    let told = m.vault.join("told");
    let notify = format!(
        "command:echo $KEEPFS_RESULT >'{told}'; cat >>'{told}'",
        told = told.display()
    );
    let first = m.keepfs(&["backup", "--notify", &notify]);
    assert_eq!(first.status.code(), Some(1), "{first:?}");
    m.crashed();
    let words = fs::read_to_string(&told).unwrap();
    assert!(words.starts_with("failed\n"), "{words}");
    assert!(words.contains("\nerror "), "{words}");
    m.clear_env();
    m.remount();
    let second = m.keepfs(&["backup", "--notify", &notify]);
    assert!(second.status.success(), "{second:?}");
    assert!(fs::read_to_string(&told).unwrap().starts_with("done\n"));
    assert_kept(&m, 400);
    let third = m.json(&["backup"]);
    assert_eq!(
        (&third["files"], &third["versions"]),
        (&400.into(), &0.into())
    );
}

/// True when a process has said that it handles SIGTERM.
fn catches_term(pid: u32) -> Option<()> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    (mask >> 14 & 1 == 1).then_some(())
}

#[test]
fn a_backup_that_a_signal_ends_says_so_and_ends_by_the_signal() {
    let m = Mount::new();
    let told = m.vault.with_file_name("told");
    let notify = format!(
        "command:echo $KEEPFS_RESULT >'{told}'; cat >>'{told}'",
        told = told.display()
    );
    let signal = |name: &str, pid: u32| {
        let done = output(Command::new("kill").args([name, &pid.to_string()]));
        assert!(done.status.success(), "{done:?}");
    };
    // So that the backup does not come to its end by itself.
    signal("-STOP", m.pid());
    let mut command = m.command(keepfs_binary());
    command
        .current_dir("/")
        .args(["backup", "--notify", &notify]);
    let mut child = spawn(command.arg("--vault").arg(&m.vault).arg(".")).unwrap();
    wait_for("the signal to be caught", || catches_term(child.id()));
    signal("-TERM", child.id());
    let status = wait_for("it to end", || child.try_wait().unwrap());
    signal("-CONT", m.pid());
    assert_eq!(status.signal(), Some(15), "{status:?}");
    let words = fs::read_to_string(&told).unwrap();
    assert!(words.starts_with("failed\n"), "{words}");
    assert!(words.contains("\nresult     interrupted\n"), "{words}");
    assert!(words.contains("it goes on where it was"), "{words}");
}

#[test]
fn a_backup_without_a_daemon_goes_on_after_kill_9_too() {
    if cfg!(not(debug_assertions)) {
        return not_run(
            "a kill in the middle of a backup without a daemon",
            "a release build has no crash points",
        );
    }
    let mut m = Setup::new().unmounted();
    fs::create_dir_all(m.live("d0")).unwrap();
    fs::write(m.live("d0/large"), noise(1, 2_000_000)).unwrap();
    let mut points = crash_points();
    points.retain(|point| point.starts_with("intake."));
    assert!(points.len() >= 3, "{points:?}");
    points.extend(["intake.written:3", "store.after-append:2"].map(Into::into));
    // First: once a slow kill let it be committed, the large file is not sealed again.
    points.insert(0, "seal.after-row".into());
    let mut files = 0;
    for point in points {
        // A slow kill may have let all of them be committed: each needs some of its own.
        existing_of(&m, files..files + 200);
        files += 200;
        let mut command = m.command(crate::harness::keepfs_binary());
        command.args(["backup", "--vault"]).arg(&m.vault);
        let killed = output(command.env("KEEPFS_CRASH_AT", &point));
        assert_eq!(killed.status.code(), None, "{point}: {killed:?}");
    }
    let done = m.on_vault(&["backup"]);
    assert!(done.status.success(), "{done:?}");
    m.check();
    m.remount();
    assert_eq!(m.contents("d0/large"), [noise(1, 2_000_000)]);
    fs::remove_file(m.path("d0/large")).unwrap();
    m.run("\"$KEEPFS\" purge --yes d0/large");
    assert_kept(&m, files);
}

/// What a terminal shows of a backup of so many files.
fn shown_of_backup(files: u64) -> String {
    let m = Setup::new().start();
    closing(|| {
        for seed in 0..files {
            let directory = m.live(format!("d{}", seed % 50));
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(format!("f{seed}")), noise(seed, 20_000)).unwrap();
        }
    });
    let mut command = m.command("script");
    let go = "stty cols 100; exec \"$KEEPFS\" backup \"$ROOT\"";
    command.current_dir("/").args(["-qec", go, "/dev/null"]);
    let done = output(command.env("TERM", "xterm").env("ROOT", &m.root));
    let shown = text(&done.stdout);
    assert!(done.status.success(), "{shown}");
    shown
}

#[test]
fn a_terminal_shows_how_far_a_first_backup_is_and_how_long_it_takes() {
    // Nothing is shown of one that takes a second: how many files that are is the machine's.
    let mut files = 3_000;
    let shown = loop {
        let shown = shown_of_backup(files);
        let total = format!(
            "MiB/{:.2} MiB",
            files as f64 * 20_000.0 / f64::from(1 << 20)
        );
        let is_under_way = |bar: &str| {
            let has_begun = bar.contains("backing up [=") && bar.contains("=>");
            has_begun && bar.contains(&total) && bar.trim_end().ends_with("left")
        };
        if shown.split('\r').any(is_under_way) {
            break shown;
        }
        assert!(files < 50_000, "{total}: {shown}");
        files *= 3;
    };
    // The bar is gone before it is said what was done.
    let said = shown.rsplit("\u{1b}[2K").next().unwrap_or_default();
    assert!(said.starts_with(&format!("{files} files seen")), "{said}");
}

#[test]
fn a_mail_says_what_a_backup_came_to_with_and_without_a_daemon() {
    let server = SmtpServer::plain();
    let mut m = Mount::new();
    mail_by(&m, server.port, "smtp_security = \"off\"");
    existing(&m, 3);
    let done = m.keepfs(&["backup", "--notify", "mail"]);
    assert!(done.status.success(), "{done:?}");
    assert!(said(&done).contains("3 files seen"), "{done:?}");
    let vault = m.vault.display().to_string();
    let words = [
        "result     done\n",
        &vault[..],
        "files      3 files seen\n",
        "bytes      9000 (8.8 KiB)\n",
        "versions   3 new\n",
        "duration   ",
        "begun      20",
    ];
    assert_mail(&server.mail(), "done", &words);
    m.unmount();
    let done = m.on_vault(&["backup", "d1", "--notify", "mail", "--json"]);
    assert!(done.status.success(), "{done:?}");
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(summary["files"], 1);
    assert_mail(
        &server.mail(),
        "done",
        &["path       d1\n", "versions   0 new\n"],
    );
    // What is not there cannot be backed up, and that is told, too.
    let failed = m.on_vault(&["backup", "gone", "--notify", "mail"]);
    assert_eq!(failed.status.code(), Some(3), "{failed:?}");
    assert_mail(
        &server.mail(),
        "failed",
        &["result     failed\n", "error      gone: "],
    );
    server.assert_no_mail();
}

#[test]
fn a_login_takes_the_password_from_a_file_or_the_environment_and_never_shows_it() {
    let server = SmtpServer::with_login();
    let m = Mount::new();
    let (user, password) = LOGIN;
    mail_by(
        &m,
        server.port,
        &format!("smtp_security = \"off\"\nusername = \"{user}\"\npassword_file = \"secret\""),
    );
    existing(&m, 1);
    let secret = m.vault.join("secret");
    fs::write(&secret, format!("{password}\n")).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let backup = |environment: Option<&str>| {
        let mut command = m.command(crate::harness::keepfs_binary());
        command.args(["backup", "--notify", "mail"]);
        command.env("KEEPFS_LOG", "trace");
        if let Some(password) = environment {
            command.env("KEEPFS_SMTP_PASSWORD", password);
        }
        output(&mut command)
    };
    let done = backup(None);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(server.mail()["login"], true);
    fs::write(&secret, "a wrong secret\n").unwrap();
    let done = backup(Some(password));
    assert!(done.status.success(), "{done:?}");
    assert!(!said(&done).contains(password), "{done:?}");
    server.mail();
    let refused = backup(None);
    assert_eq!(refused.status.code(), Some(7), "{refused:?}");
    assert!(said(&refused).contains("1 file seen"), "{refused:?}");
    let line = format!("the mail was not sent: localhost:{}: ", server.port);
    assert!(text(&refused.stderr).contains(&line), "{refused:?}");
    assert!(!said(&refused).contains("a wrong secret"), "{refused:?}");
    assert!(!m.log().contains(password) && !m.log().contains("a wrong secret"));
    server.assert_no_mail();
}

#[test]
fn starttls_sends_to_a_server_that_is_trusted_and_nothing_to_another() {
    let m = Mount::new();
    let (certificate, key) = (m.vault.join("mail.crt"), m.vault.join("mail.key"));
    make_certificate(&certificate, &key);
    let server = SmtpServer::with_starttls(&certificate, &key);
    let (user, password) = LOGIN;
    mail_by(
        &m,
        server.port,
        &format!("smtp_security = \"starttls\"\nusername = \"{user}\""),
    );
    existing(&m, 1);
    let backup = |trusted: Option<&Path>| {
        let mut command = m.command(crate::harness::keepfs_binary());
        command.args(["backup", "--notify", "mail"]);
        command.env("KEEPFS_SMTP_PASSWORD", password);
        if let Some(trusted) = trusted {
            command.env("SSL_CERT_FILE", trusted);
        }
        output(&mut command)
    };
    let done = backup(Some(&certificate));
    assert!(done.status.success(), "{done:?}");
    let mail = server.mail();
    assert_eq!((&mail["tls"], &mail["login"]), (&true.into(), &true.into()));
    let refused = backup(None);
    assert_eq!(refused.status.code(), Some(7), "{refused:?}");
    assert!(said(&refused).contains("certificate"), "{refused:?}");
    server.assert_no_mail();
}

fn make_certificate(certificate: &Path, key: &Path) {
    let mut command = Command::new("openssl");
    command.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(' '));
    command.args(["-subj", "/CN=localhost", "-days", "2"]);
    command.args(["-addext", "subjectAltName=DNS:localhost"]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    command.arg("-out").arg(certificate).arg("-keyout").arg(key);
    let made = output(&mut command);
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn a_server_that_is_not_there_does_not_hide_what_the_backup_came_to() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let m = Mount::new();
    mail_by(&m, port, "smtp_security = \"off\"");
    existing(&m, 2);
    let done = m.keepfs(&["backup", "--notify", "mail"]);
    assert_eq!(done.status.code(), Some(7), "{done:?}");
    assert!(text(&done.stdout).contains("2 new versions"), "{done:?}");
    assert_eq!(text(&done.stderr).lines().count(), 1, "{done:?}");
    let failed = m.keepfs(&["backup", "gone", "--notify", "mail"]);
    assert_eq!(failed.status.code(), Some(3), "{failed:?}");
    assert_eq!(text(&failed.stderr).lines().count(), 2, "{failed:?}");
}

#[test]
fn a_command_gets_the_text_and_its_failure_is_told_without_touching_the_summary() {
    let m = Mount::new();
    existing(&m, 2);
    let told = m.vault.join("told");
    let line = format!(
        "command:echo chatter; echo \"$KEEPFS_SUBJECT\" >'{0}'; cat >>'{0}'",
        told.display()
    );
    let summary = m.json(&["backup", "--notify", &line]);
    assert_eq!(summary["versions"], 2);
    let words = wait_for("the command's file", || fs::read_to_string(&told).ok());
    assert!(words.starts_with("keepfs: backup of v on "), "{words}");
    assert!(words.contains("versions   2 new\n"), "{words}");
    let failed = m.keepfs(&["backup", "--notify", "command:exit 3"]);
    assert_eq!(failed.status.code(), Some(7), "{failed:?}");
    assert!(said(&failed).contains("exit status: 3"), "{failed:?}");
}

#[test]
fn settings_that_cannot_work_are_refused_before_anything_is_backed_up() {
    let m = Mount::new();
    existing(&m, 1);
    for (ways, problem) in [
        (&["--notify", "mail"][..], "has no [notify]"),
        (&["--notify", "post"], "write mail, or command:"),
    ] {
        let refused = m.keepfs(&[&["backup"], ways].concat());
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(said(&refused).contains(problem), "{refused:?}");
    }
    assert_eq!(m.json(&["status"])["versions"], 0);
}
