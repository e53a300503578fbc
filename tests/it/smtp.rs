//! A real mail server (aiosmtpd) on a loopback port, for one test.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::harness::{PATIENCE, spawn};

const PROGRAM: &str = include_str!("smtp.py");

/// The one who may log in, and the password.
pub const LOGIN: (&str, &str) = ("keepfs", "open sesame");

/// The server; it ends with this value.
pub struct SmtpServer {
    child: Child,
    lines: Receiver<String>,
    pub port: u16,
}

impl SmtpServer {
    /// Takes mail from anybody.
    #[track_caller]
    pub fn plain() -> Self {
        Self::start(&["plain".as_ref()])
    }

    /// Takes mail from [`LOGIN`] only.
    #[track_caller]
    pub fn with_login() -> Self {
        Self::start(&["login".as_ref()])
    }

    /// Takes mail from [`LOGIN`], and only after STARTTLS.
    #[track_caller]
    pub fn with_starttls(certificate: &Path, key: &Path) -> Self {
        Self::start(&["starttls".as_ref(), certificate, key])
    }

    #[track_caller]
    fn start(args: &[&Path]) -> Self {
        let mut command = Command::new(python_with_aiosmtpd());
        command.arg("-c").arg(PROGRAM).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(&mut command).expect("python3");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let first = lines.recv_timeout(PATIENCE);
        let port = first.expect("the mail server's port").parse();
        Self {
            child,
            lines,
            port: port.expect("a port"),
        }
    }

    /// The next mail.
    #[track_caller]
    pub fn mail(&self) -> serde_json::Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("a mail");
        serde_json::from_str(&line).expect("a line of JSON")
    }

    /// Nothing came that was not asked for.
    #[track_caller]
    pub fn assert_no_mail(&self) {
        let got = self.lines.recv_timeout(Duration::ZERO);
        assert_eq!(got, Err(RecvTimeoutError::Timeout));
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The distribution's package belongs to its own python3, which need not be the first.
#[track_caller]
fn python_with_aiosmtpd() -> &'static str {
    let has_it = |python: &&str| {
        let mut command = Command::new(python);
        command
            .args(["-c", "import aiosmtpd"])
            .stderr(Stdio::null());
        let ended = spawn(&mut command).and_then(|mut child| child.wait());
        ended.is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(has_it)
        .expect("no python3 here has aiosmtpd: run scripts/setup, or pip install aiosmtpd")
}
