//! Real servers of buckets, on loopback: started by a test, gone when it ends.
//!
//! `scripts/setup` installs them. Each listens on a port of its own and keeps what it
//! has in a directory of the test's. The surprise: no server here speaks Google's XML API,
//! so `gcs.py` translates it for fake-gcs-server and says what of that is real.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Random, count, files_below, not_run, spawn, wait_for};

pub const KEY: &str = "test-key";
pub const SECRET: &str = "test-secret-that-no-log-may-show";
pub const AZURE_ACCOUNT: &str = "devstoreaccount1";
/// Azurite's own, which its documentation names.
pub const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Garage wants keys that look like its own.
const GARAGE_KEY: &str = "GK31c2f218a2e44f485b94239e";
const GARAGE_SECRET: &str = "b892c0665f0ada8a4755dae98baa3b133590e11dae3bcc1f9d769d67f16c3835";
const GARAGE: &str = "garage/bin/garage";
const GCS: &str = include_str!("gcs.py");

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `rclone serve s3`.
    S3,
    /// `garage`, one node. `scripts/setup --full` builds it.
    Garage,
    /// `azurite-blob`.
    Azure,
    /// `fake-gcs-server` behind `gcs.py`.
    Google,
}

/// A running server with an empty bucket `bucket`.
pub struct BucketServer {
    kind: Kind,
    port: u16,
    child: Option<Child>,
    directory: tempfile::TempDir,
}

fn servers() -> PathBuf {
    std::env::var_os("KEEPFS_TEST_SERVERS")
        .map_or_else(|| "/var/tmp/keepfs-test-servers".into(), PathBuf::from)
}

fn installed(relative: &str) -> PathBuf {
    let program = servers().join(relative);
    assert!(
        program.exists(),
        "{} is not there: run scripts/setup (--full for garage)",
        program.display()
    );
    program
}

/// Below the ports that the kernel gives to clients: one that waits for the server to
/// listen could otherwise be given that very port, and be connected to itself.
fn free_port() -> u16 {
    let mut random = Random::new(u64::from(std::process::id()) ^ next());
    loop {
        let port = 20_000 + random.below(12_000) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Tells the servers of one run apart.
fn next() -> u64 {
    static STARTED: AtomicU64 = AtomicU64::new(1);
    STARTED.fetch_add(1, Ordering::SeqCst) << 32
}

/// These kinds, and in the full run all others. A garage takes minutes to build, so only
/// the full run has one.
pub fn kinds(usual: &[Kind]) -> Vec<Kind> {
    let mut kinds = usual.to_vec();
    if count(0, 1) == 1 {
        let all = [Kind::S3, Kind::Garage, Kind::Azure, Kind::Google];
        kinds.extend(all.iter().filter(|kind| !usual.contains(kind)));
    } else {
        not_run("buckets on garage", "only with --full");
    }
    kinds
}

impl BucketServer {
    /// Starts one, with the bucket.
    pub fn start(kind: Kind) -> Self {
        let port = free_port();
        let directory = tempfile::tempdir().expect("tempdir");
        let mut server = Self {
            kind,
            port,
            child: None,
            directory,
        };
        match kind {
            Kind::S3 => std::fs::create_dir(server.bucket()).expect("bucket"),
            Kind::Garage => server.configure_garage(),
            Kind::Azure | Kind::Google => {}
        }
        server.run();
        if kind == Kind::Azure {
            server.create_azure_container();
        }
        server
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the bucket's objects are files, with S3.
    pub fn bucket(&self) -> PathBuf {
        self.directory.path().join("bucket")
    }

    /// Starts it again after [`stop`](Self::stop), with what it had.
    pub fn run(&mut self) {
        self.run_with(&[]);
    }

    /// The same with S3, and it takes nothing any more.
    pub fn run_read_only(&mut self) {
        self.run_with(&["--read-only"]);
    }

    /// Stops and runs it: it remembers the directories that a test changed behind its back.
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    fn run_with(&mut self, more: &[&str]) {
        let data = self.directory.path().as_os_str();
        let port = self.port.to_string();
        let address = format!("127.0.0.1:{port}");
        let mut command;
        match self.kind {
            Kind::S3 => {
                command = Command::new(installed("python/bin/rclone"));
                command.args(["serve", "s3", "--config", "/dev/null", "--addr", &address]);
                command.arg("--auth-key").arg(format!("{KEY},{SECRET}"));
                command.args(more).arg(data);
            }
            Kind::Garage => {
                command = Command::new(installed(GARAGE));
                command
                    .arg("-c")
                    .arg(self.directory.path().join("garage.toml"));
                command.args(["server", "--single-node", "--default-bucket"]);
                command.env("GARAGE_DEFAULT_BUCKET", "bucket");
                command.env("GARAGE_DEFAULT_ACCESS_KEY", GARAGE_KEY);
                command.env("GARAGE_DEFAULT_SECRET_KEY", GARAGE_SECRET);
            }
            Kind::Google => {
                command = Command::new(installed("python/bin/python"));
                command.args(["-c", GCS, &port]).arg(data);
            }
            Kind::Azure => {
                command = Command::new("node");
                command.arg(installed("node/node_modules/azurite/dist/src/blob/main.js"));
                command.args(["--blobHost", "127.0.0.1", "--blobPort", &port]);
                command.args([OsStr::new("--silent"), OsStr::new("--location"), data]);
                command.args(["--skipApiVersionCheck", "--disableTelemetry"]);
            }
        }
        command.stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(spawn(&mut command).expect("the server starts"));
        wait_for("the server to listen", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()
        });
    }

    /// Ends it as a power cut would; what it has stays. Azurite has to be asked: it writes
    /// down what it has every few seconds only.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = Pid::from_child(&child);
        let _ = match self.kind {
            Kind::Azure => kill_process(pid, Signal::TERM).map_err(Into::into),
            Kind::S3 | Kind::Garage | Kind::Google => child.kill(),
        };
        let _ = child.wait();
    }

    /// It answers nobody any more, and refuses nobody, until [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// It goes on where it was.
    pub fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let child = self.child.as_ref().expect("running");
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(pid, signal).expect("a signal");
    }

    /// The URL of a prefix.
    pub fn url(&self, prefix: &str) -> String {
        self.url_through(self.port, prefix)
    }

    /// The same by another port, where something stands before the server.
    pub fn url_through(&self, port: u16, prefix: &str) -> String {
        let server = format!("http://127.0.0.1:{port}");
        match self.kind {
            Kind::S3 => format!("s3://bucket/{prefix}?endpoint={server}&region=us-east-1"),
            Kind::Garage => format!("s3://bucket/{prefix}?endpoint={server}&region=garage"),
            Kind::Google => format!("gs://bucket/{prefix}?endpoint={server}"),
            Kind::Azure => format!(
                "az://bucket/{prefix}?endpoint={server}/{AZURE_ACCOUNT}&account={AZURE_ACCOUNT}"
            ),
        }
    }

    /// The environment in which its owner's tools work.
    pub fn environment(&self) -> Vec<(&'static str, &'static str)> {
        match self.kind {
            Kind::S3 => vec![
                ("AWS_ACCESS_KEY_ID", KEY),
                ("AWS_SECRET_ACCESS_KEY", SECRET),
            ],
            Kind::Garage => vec![
                ("AWS_ACCESS_KEY_ID", GARAGE_KEY),
                ("AWS_SECRET_ACCESS_KEY", GARAGE_SECRET),
            ],
            Kind::Azure => vec![("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEY)],
            Kind::Google => vec![],
        }
    }

    fn configure_garage(&self) {
        let top = self.directory.path().display();
        let (port, rpc) = (self.port, free_port());
        let settings = format!(
            "metadata_dir = \"{top}/meta\"\ndata_dir = \"{top}/data\"\n\
             db_engine = \"sqlite\"\nreplication_factor = 1\n\
             rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\n\
             rpc_secret = \"{GARAGE_SECRET}\"\n\
             [s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"127.0.0.1:{port}\"\n"
        );
        let file = self.directory.path().join("garage.toml");
        std::fs::write(file, settings).expect("garage.toml");
    }

    fn create_azure_container(&self) {
        // There is no directory to make: the container is a row of the server's.
        let program = format!(
            "import base64, email.utils, hashlib, hmac, urllib.request
key = base64.b64decode('{AZURE_KEY}')
date = email.utils.formatdate(usegmt=True)
head = f'x-ms-date:{{date}}\\nx-ms-version:2021-08-06\\n/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/bucket\\nrestype:container'
text = 'PUT' + '\\n' * 12 + head
sign = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
request = urllib.request.Request(
    'http://127.0.0.1:{port}/{AZURE_ACCOUNT}/bucket?restype=container', method='PUT',
    headers={{'x-ms-date': date, 'x-ms-version': '2021-08-06',
             'Authorization': 'SharedKey {AZURE_ACCOUNT}:' + sign}})
urllib.request.urlopen(request)",
            port = self.port
        );
        let done = crate::harness::output(Command::new("python3").args(["-c", &program]));
        assert!(done.status.success(), "{done:?}");
    }
}

impl Drop for BucketServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Every object of a bucket that is a directory, by key.
pub fn objects(bucket: &Path) -> Vec<String> {
    let mut keys: Vec<_> = files_below(bucket)
        .into_iter()
        .map(|path| {
            path.strip_prefix(bucket)
                .expect("below")
                .display()
                .to_string()
        })
        .collect();
    keys.sort();
    keys
}
