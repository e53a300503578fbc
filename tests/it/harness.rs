//! A vault, its mount and its daemon for one test; gone again when the test ends.
//!
//! Two surprises. First, a process that forks holds copies of every open descriptor until
//! it execs, so a `close` in one test thread is not the last one while another thread
//! spawns: write through [`Mount::write`] or [`closing`], which keep the two apart.
//! Second, a daemon that hangs would hang the test for good: a watchdog kills it, and the
//! test then fails with ENOTCONN and the daemon's log.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tempfile::TempDir;

/// No condition in these tests may take longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Written by who spawns, read by who closes. See the file's header.
static SPAWNING: RwLock<()> = RwLock::new(());

/// The program under test.
pub fn keepfs_binary() -> PathBuf {
    std::env::var_os("KEEPFS_TEST_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_keepfs").into(), PathBuf::from)
}

/// True when this run is root's, with kernel passthrough.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The short or the long count of something.
pub fn count(usual: usize, full: usize) -> usize {
    if std::env::var_os("KEEPFS_TEST_FULL").is_some() {
        full
    } else {
        usual
    }
}

/// Says that a test, or a part of it, cannot be run here. `scripts/test` prints it at the end.
pub fn not_run(what: &str, why: &str) {
    let line = format!("not run: {what}: {why}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("KEEPFS_TEST_NOTES") {
        let file = OpenOptions::new().append(true).open(path);
        if let Ok(mut file) = file {
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// Runs `work`, which closes files, while no other thread is between fork and exec.
pub fn closing<T>(work: impl FnOnce() -> T) -> T {
    let _quiet = SPAWNING.read().unwrap_or_else(|e| e.into_inner());
    work()
}

/// Spawns while no other thread of ours is closing files.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let _alone = SPAWNING.write().unwrap_or_else(|e| e.into_inner());
    command.spawn()
}

/// Runs a command to its end, capturing what it prints.
pub fn output(command: &mut Command) -> Output {
    let child = spawn(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    )
    .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    child
        .wait_with_output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

/// Polls until `condition` yields something.
#[track_caller]
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The errno of a failed operation; panics where it succeeded.
#[track_caller]
pub fn errno<T: Debug>(result: io::Result<T>) -> Errno {
    let error = result.expect_err("the operation must fail");
    Errno::from_io_error(&error).unwrap_or_else(|| panic!("no errno in {error:?}"))
}

/// Bytes that do not compress and differ for each seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A small deterministic generator (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// A seed of this run, printed so that it can be repeated.
pub fn seed() -> u64 {
    let seed = std::env::var("KEEPFS_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("KEEPFS_TEST_SEED={seed}");
    seed
}

/// How a vault is made and mounted.
#[derive(Default, Clone)]
pub struct Setup {
    init: Vec<String>,
    mount: Vec<String>,
    env: Vec<(String, String)>,
    config: Vec<(String, String)>,
}

impl Setup {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds arguments for `keepfs init`.
    pub fn init(mut self, args: &[&str]) -> Self {
        self.init.extend(args.iter().map(|a| a.to_string()));
        self
    }

    /// Adds arguments for `keepfs mount`.
    pub fn mount(mut self, args: &[&str]) -> Self {
        self.mount.extend(args.iter().map(|a| a.to_string()));
        self
    }

    /// Sets an environment variable of the daemon.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets a key of `keepfs.toml`, to a value in TOML, before the first mount.
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.into(), value.into()));
        self
    }

    /// Makes the vault and mounts it.
    #[track_caller]
    pub fn start(self) -> Mount {
        let mut mount = self.unmounted();
        mount.remount();
        mount
    }

    /// Makes the vault only.
    #[track_caller]
    pub fn unmounted(self) -> Mount {
        let dir = tempfile::Builder::new()
            .prefix("k")
            .tempdir()
            .expect("a temporary directory");
        let vault = dir.path().join("v");
        let root = dir.path().join("m");
        fs::create_dir(&root).expect("mountpoint");
        let done = output(
            Command::new(keepfs_binary())
                .arg("init")
                .arg(&vault)
                .args(&self.init)
                .envs(self.env.iter().map(|(name, value)| (name, value))),
        );
        assert!(done.status.success(), "keepfs init: {done:?}");
        let config = self.config.clone();
        let mount = Mount {
            log: dir.path().join("log"),
            vault,
            root,
            daemon: None,
            setup: self,
            expect_damage: false,
            expected_panic: None,
            dir: Some(dir),
        };
        for (key, value) in &config {
            mount.set_config(key, value);
        }
        mount
    }
}

/// The settings with one key set: on its own line where `init` wrote it, commented out or
/// not, so that it lands in the right table.
fn with_key(text: &str, key: &str, value: &str) -> String {
    let mut found = false;
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let bare = line.trim_start_matches(['#', ' ']);
        let is_it = bare
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start().starts_with('='));
        if is_it && !found {
            found = true;
            lines.push(format!("{key} = {value}"));
        } else if !is_it || line.starts_with('#') {
            lines.push(line.into());
        }
    }
    assert!(
        found,
        "keepfs.toml as written by init does not name '{key}':\n{text}"
    );
    lines.join("\n") + "\n"
}

/// A running daemon and its watchdog.
struct Daemon {
    child: Arc<Mutex<Child>>,
    pid: u32,
    // Dropped: the watchdog ends.
    _watched: mpsc::Sender<()>,
}

/// One vault and, most of the time, its mount.
pub struct Mount {
    pub vault: PathBuf,
    pub root: PathBuf,
    log: PathBuf,
    daemon: Option<Daemon>,
    setup: Setup,
    expect_damage: bool,
    expected_panic: Option<(&'static str, &'static str)>,
    dir: Option<TempDir>,
}

impl Mount {
    /// A mounted vault with the defaults.
    #[track_caller]
    pub fn new() -> Self {
        Setup::new().start()
    }

    /// Sets a key of `keepfs.toml`, to a value in TOML, for the next mount.
    #[track_caller]
    pub fn set_config(&self, key: &str, value: &str) {
        let path = self.vault.join("keepfs.toml");
        let text = fs::read_to_string(&path).expect("keepfs.toml");
        fs::write(&path, with_key(&text, key, value)).expect("keepfs.toml");
    }

    /// Sets the rules of retention; their table is the last one of the settings.
    #[track_caller]
    pub fn set_retention(&self, rules: &str) {
        let path = self.vault.join("keepfs.toml");
        let settings = fs::read_to_string(&path).expect("keepfs.toml");
        let (before, _) = settings.split_once("\n[retention]\n").expect("the table");
        fs::write(&path, format!("{before}\n[retention]\n{rules}\n")).expect("keepfs.toml");
    }

    /// The final `keepfs check` is left out: this test damages the vault.
    pub fn expect_damage(&mut self) {
        self.expect_damage = true;
    }

    /// This thread may panic at this place, and no other anywhere.
    pub fn expect_panic(&mut self, thread: &'static str, place: &'static str) {
        self.expected_panic = Some((thread, place));
    }

    // --- the daemon -----------------------------------------------------------

    /// Starts the daemon and waits until the mount answers.
    #[track_caller]
    pub fn remount(&mut self) {
        if let Err(log) = self.try_remount() {
            panic!("keepfs mount -f ended before the mount answered:\n{log}");
        }
    }

    /// As [`remount`](Self::remount); the log where the daemon ended instead.
    pub fn try_remount(&mut self) -> Result<(), String> {
        assert!(self.daemon.is_none(), "already mounted");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("log");
        let child = spawn(
            Command::new(keepfs_binary())
                .args(["mount", "-f"])
                .args(&self.setup.mount)
                .arg(&self.vault)
                .arg(&self.root)
                .envs(self.setup.env.iter().cloned())
                .env("RUST_BACKTRACE", "1")
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("log"))
                .stderr(log),
        )
        .expect("keepfs mount");
        let pid = child.id();
        let child = Arc::new(Mutex::new(child));
        let answered = wait_for("the mount to answer", || {
            if let Some(status) = child.lock().unwrap().try_wait().expect("wait") {
                return Some(Err(status));
            }
            (is_mounted(&self.root) && fs::metadata(self.root.join(".versions")).is_ok())
                .then_some(Ok(()))
        });
        match answered {
            Ok(()) => {
                let (watched, end) = mpsc::channel::<()>();
                let watchdog = Arc::clone(&child);
                thread::spawn(move || {
                    if end.recv_timeout(PATIENCE * 10) == Err(mpsc::RecvTimeoutError::Timeout) {
                        eprintln!("watchdog: the daemon is taken to hang, killing {pid}");
                        let _ = watchdog.lock().unwrap().kill();
                    }
                });
                self.daemon = Some(Daemon {
                    child,
                    pid,
                    _watched: watched,
                });
                Ok(())
            }
            Err(status) => {
                lazy_unmount(&self.root);
                Err(format!("{status}\n{}", self.log()))
            }
        }
    }

    /// The next daemon runs without the environment that [`Setup::env`] gave.
    pub fn clear_env(&mut self) {
        self.setup.env.clear();
    }

    /// The next daemon runs with it.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.setup.env.push((name.into(), value.into()));
    }

    /// The next daemon runs without it.
    pub fn forget_env(&mut self, name: &str) {
        self.setup.env.retain(|(known, _)| known != name);
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("mounted").pid
    }

    /// True while the daemon runs.
    pub fn is_running(&self) -> bool {
        self.daemon
            .as_ref()
            .is_some_and(|d| d.child.lock().unwrap().try_wait().unwrap().is_none())
    }

    /// Gives a daemon that was killed the moment until it is gone: its requests fail before
    /// the process has ended.
    pub fn ends_soon(&self) -> bool {
        let end = Instant::now() + Duration::from_secs(5);
        while self.is_running() && Instant::now() < end {
            thread::sleep(Duration::from_millis(2));
        }
        !self.is_running()
    }

    /// `kill -9` of the daemon.
    pub fn kill(&mut self) {
        let daemon = self.daemon.take().expect("mounted");
        let mut child = daemon.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// `kill -9` of the daemon, and its dead mount is taken away.
    pub fn crash(&mut self) {
        self.kill();
        lazy_unmount(&self.root);
    }

    /// `kill -9`, from beside threads that are at work in the mount.
    pub fn kill_only(&self) {
        let daemon = self.daemon.as_ref().expect("mounted");
        let _ = daemon.child.lock().unwrap().kill();
    }

    /// Takes the mount away whose daemon was killed, or killed itself.
    #[track_caller]
    pub fn crashed(&mut self) -> ExitStatus {
        let status = self.wait_for_exit();
        lazy_unmount(&self.root);
        status
    }

    /// Waits until the daemon has ended.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let daemon = self.daemon.take().expect("mounted");
        wait_for("the daemon to end", || {
            daemon.child.lock().unwrap().try_wait().expect("wait")
        })
    }

    /// `keepfs umount`, and the daemon ends with 0.
    #[track_caller]
    pub fn unmount(&mut self) {
        let done = self.keepfs(&["umount", self.root.to_str().unwrap()]);
        assert!(done.status.success(), "keepfs umount: {done:?}");
        assert!(!is_mounted(&self.root), "still mounted after umount");
        let status = self.wait_for_exit();
        assert!(status.success(), "daemon: {status}\n{}", self.log());
    }

    /// What the daemon wrote so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |_| String::new(),
            |b| String::from_utf8_lossy(&b).into_owned(),
        )
    }

    /// Waits until the daemon has said something.
    #[track_caller]
    pub fn wait_for_log(&self, words: &str) {
        let what = format!("{words:?} in the log");
        wait_for(&what, || self.log().contains(words).then_some(()));
    }

    /// Unmounts where needed and checks the vault: every byte against its hash.
    #[track_caller]
    fn close(&mut self) {
        if self.daemon.is_some() {
            self.unmount();
        }
        let log = self.log();
        let mut panics = log.lines().filter(|line| line.contains("panicked at"));
        let is_expected = |line: &str| {
            self.expected_panic
                .is_some_and(|(thread, place)| line.contains(thread) && line.contains(place))
        };
        assert!(panics.all(is_expected), "the daemon panicked:\n{log}");
        if !self.expect_damage {
            self.check();
        }
    }

    /// `keepfs check --read-data` on the unmounted vault, which must be clean.
    #[track_caller]
    pub fn check(&self) {
        let done = self.on_vault(&["check", "--read-data"]);
        assert!(
            done.status.success(),
            "keepfs check: {}\n{}\n{}",
            done.status,
            text(&done.stdout),
            text(&done.stderr)
        );
    }

    // --- names ------------------------------------------------------------------

    /// A path in the mount.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// The same file in the live directory below.
    pub fn live(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.vault.join("live").join(relative)
    }

    // --- files ------------------------------------------------------------------

    /// Writes and closes a file.
    #[track_caller]
    pub fn write(&self, relative: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.path(relative);
        closing(|| fs::write(&path, bytes)).unwrap_or_else(|e| panic!("write {path:?}: {e}"));
    }

    /// Appends to a file and closes it.
    #[track_caller]
    pub fn append(&self, relative: impl AsRef<Path>, bytes: &[u8]) {
        let path = self.path(relative);
        closing(|| {
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(&path)?
                .write_all(bytes)
        })
        .unwrap_or_else(|e| panic!("append {path:?}: {e}"));
    }

    /// Writes, syncs and closes a file.
    pub fn write_synced(&self, relative: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(relative);
        closing(|| {
            let mut file = File::create(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        })
    }

    /// Appends to a file; the error where the daemon is gone.
    pub fn append_if_there(&self, relative: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(relative);
        closing(|| {
            OpenOptions::new()
                .append(true)
                .open(&path)?
                .write_all(bytes)
        })
    }

    /// Truncates a file; the error where the daemon is gone.
    pub fn truncate_if_there(&self, relative: impl AsRef<Path>, len: u64) -> io::Result<()> {
        let path = self.path(relative);
        closing(|| OpenOptions::new().write(true).open(&path)?.set_len(len))
    }

    /// A live file's bytes.
    #[track_caller]
    pub fn read(&self, relative: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(relative);
        fs::read(&path).unwrap_or_else(|e| panic!("read {path:?}: {e}"))
    }

    #[track_caller]
    pub fn mkdir(&self, relative: impl AsRef<Path>) {
        let path = self.path(relative);
        fs::create_dir_all(&path).unwrap_or_else(|e| panic!("mkdir {path:?}: {e}"));
    }

    #[track_caller]
    pub fn remove(&self, relative: impl AsRef<Path>) {
        let path = self.path(relative);
        fs::remove_file(&path).unwrap_or_else(|e| panic!("unlink {path:?}: {e}"));
    }

    pub fn try_rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    #[track_caller]
    pub fn rename(&self, from: impl AsRef<Path> + Debug, to: impl AsRef<Path> + Debug) {
        self.try_rename(&from, &to)
            .unwrap_or_else(|e| panic!("rename {from:?} to {to:?}: {e}\n{}", self.log()));
    }

    pub fn exists(&self, relative: impl AsRef<Path>) -> bool {
        fs::symlink_metadata(self.path(relative)).is_ok()
    }

    /// Names in the mount's root, or in a directory below it.
    #[track_caller]
    pub fn list(&self, relative: impl AsRef<Path>) -> Vec<String> {
        let path = self.path(relative);
        let mut names: Vec<String> = fs::read_dir(&path)
            .unwrap_or_else(|e| panic!("readdir {path:?}: {e}"))
            .map(|entry| text(entry.expect("entry").file_name().as_bytes()))
            .collect();
        names.sort();
        names
    }

    // --- history ----------------------------------------------------------------

    /// The version ids of a path, oldest first; none where it has no history.
    #[track_caller]
    pub fn versions(&self, relative: impl AsRef<Path>) -> Vec<String> {
        let path = self.path(".versions").join(&relative);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(e) => panic!("readdir {path:?}: {e}"),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.expect("entry");
            if entry.file_type().expect("type").is_file() {
                let id = text(entry.file_name().as_bytes());
                assert!(is_id(&id), "{path:?} lists '{id}', which is no version id");
                ids.push(id);
            }
        }
        ids.sort();
        ids
    }

    /// The version ids of a path; the error where the daemon is gone.
    pub fn try_versions(&self, relative: impl AsRef<Path>) -> io::Result<Vec<String>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(self.path(".versions").join(&relative))? {
            ids.push(text(entry?.file_name().as_bytes()));
        }
        ids.sort();
        Ok(ids)
    }

    /// Where a version is.
    pub fn version_path(&self, relative: impl AsRef<Path>, id: &str) -> PathBuf {
        self.path(".versions").join(relative).join(id)
    }

    /// The bytes of every version of a path, oldest first.
    #[track_caller]
    pub fn contents(&self, relative: impl AsRef<Path>) -> Vec<Vec<u8>> {
        self.versions(&relative)
            .iter()
            .map(|id| {
                let path = self.version_path(&relative, id);
                fs::read(&path).unwrap_or_else(|e| panic!("read {path:?}: {e}\n{}", self.log()))
            })
            .collect()
    }

    /// [`contents`](Self::contents) as text, to compare with literals.
    #[track_caller]
    pub fn texts(&self, relative: impl AsRef<Path>) -> Vec<String> {
        self.contents(relative).iter().map(|b| text(b)).collect()
    }

    /// The paths of all files in `.deleted`.
    #[track_caller]
    pub fn deleted(&self) -> BTreeSet<String> {
        self.deleted_below("")
    }

    /// The paths of the files in `.deleted` below one directory, from the root.
    #[track_caller]
    pub fn deleted_below(&self, dir: &str) -> BTreeSet<String> {
        let top = self.path(".deleted");
        let start = top.join(dir);
        if !start.exists() {
            return BTreeSet::new();
        }
        files_below(&start)
            .into_iter()
            .map(|path| text(path.strip_prefix(&top).unwrap().as_os_str().as_bytes()))
            .collect()
    }

    /// What `.deleted` shows of a path.
    #[track_caller]
    pub fn read_deleted(&self, relative: impl AsRef<Path>) -> String {
        let path = self.path(".deleted").join(relative);
        text(&fs::read(&path).unwrap_or_else(|e| panic!("read {path:?}: {e}")))
    }

    // --- commands ---------------------------------------------------------------

    /// A command whose directory is the mount's root, with an environment that does not
    /// depend on whose machine this is.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env("LC_ALL", "C.UTF-8")
            .envs(self.setup.env.iter().map(|(name, value)| (name, value)))
            .env("HOME", self.dir.as_ref().expect("dir").path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("KEEPFS", keepfs_binary())
            .env("V", &self.vault);
        command
    }

    /// Runs a bash script in the mount's root; it must succeed. Returns what it printed.
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        let done = self.try_run(script);
        assert!(
            done.status.success(),
            "{script}\n{}\nstdout: {}\nstderr: {}\nlog: {}",
            done.status,
            text(&done.stdout),
            text(&done.stderr),
            self.log()
        );
        text(&done.stdout)
    }

    /// Runs a bash script in the mount's root.
    pub fn try_run(&self, script: &str) -> Output {
        output(
            self.command("bash")
                .args(["-euo", "pipefail", "-c", script]),
        )
    }

    /// Runs a Python program in the mount's root; it must succeed.
    #[track_caller]
    pub fn python(&self, program: &str) -> String {
        let done = output(self.command("python3").args(["-c", program]));
        assert!(
            done.status.success(),
            "{program}\n{}\nlog: {}",
            text(&done.stderr),
            self.log()
        );
        text(&done.stdout)
    }

    /// Runs `keepfs ARGS` in the mount's root.
    pub fn keepfs(&self, args: &[&str]) -> Output {
        let mut command = self.command(keepfs_binary());
        if !is_mounted(&self.root) || args.first() == Some(&"umount") {
            command.current_dir("/");
        }
        output(command.args(args))
    }

    /// Runs `keepfs ARGS --vault VAULT`.
    pub fn on_vault(&self, args: &[&str]) -> Output {
        let mut command = self.command(keepfs_binary());
        command.current_dir("/").args(args).arg("--vault");
        output(command.arg(&self.vault))
    }

    /// Runs `keepfs ARGS --json` in the mount's root; it must succeed and print JSON.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let mut all = args.to_vec();
        all.push("--json");
        let done = self.keepfs(&all);
        assert!(done.status.success(), "keepfs {all:?}: {done:?}");
        serde_json::from_slice(&done.stdout).unwrap_or_else(|e| {
            panic!(
                "keepfs {all:?} printed no JSON ({e}): {}",
                text(&done.stdout)
            )
        })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if !thread::panicking() {
            // A panic here is the test's failure; the tidying below then happens unwinding.
            let guard = Tidy(self);
            guard.0.close();
            return;
        }
        Tidy(self);
    }
}

/// Takes away what a failed test left.
struct Tidy<'a>(&'a mut Mount);

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        let mount = &mut *self.0;
        if mount.daemon.is_some() {
            mount.crash();
        }
        lazy_unmount(&mount.root);
        let Some(dir) = mount.dir.take() else { return };
        // Further mounts that the test made.
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for place in table.lines().filter_map(|line| line.split(' ').nth(4)) {
            if Path::new(place).starts_with(dir.path()) {
                lazy_unmount(Path::new(place));
            }
        }
        if thread::panicking() {
            let log = mount.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- the daemon's last words ---");
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
            if std::env::var_os("KEEPFS_TEST_KEEP").is_some() {
                eprintln!("kept: {}", dir.keep().display());
                return;
            }
        }
        if is_mounted(&mount.root) {
            eprintln!("still mounted, not removed: {}", dir.keep().display());
        }
    }
}

/// True when something is mounted exactly there.
pub fn is_mounted(path: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let wanted = path.to_str().expect("temporary paths are text");
    table
        .lines()
        .any(|line| line.split(' ').nth(4) == Some(wanted))
}

fn lazy_unmount(path: &Path) {
    while is_mounted(path) {
        let mut command = if is_root() {
            Command::new("umount")
        } else {
            Command::new("fusermount3")
        };
        if is_root() {
            command.arg("-l");
        } else {
            command.arg("-uz");
        }
        if !output(command.arg(path)).status.success() {
            return;
        }
    }
}

/// All regular files below a directory, sorted.
#[track_caller]
pub fn files_below(top: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo = vec![top.to_path_buf()];
    while let Some(dir) = todo.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            // What is looked at may be in use: a server removes what became empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound && dir != top => continue,
            Err(error) => panic!("readdir {dir:?}: {error}"),
        };
        for entry in entries {
            let entry = entry.expect("entry");
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                todo.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

/// True for 32 lower-case hex digits.
pub fn is_id(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Bytes as text, whatever they are.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The permission bits of a path.
#[track_caller]
pub fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .unwrap_or_else(|e| panic!("stat {path:?}: {e}"))
        .mode()
        & 0o7777
}

/// An extended attribute as text; `None` where it is not set.
#[track_caller]
pub fn xattr(path: &Path, name: &str) -> Option<String> {
    let mut buffer = vec![0u8; 1 << 16];
    match rustix::fs::getxattr(path, name, buffer.as_mut_slice()) {
        Ok(len) => Some(text(&buffer[..len])),
        Err(Errno::NODATA) => None,
        Err(e) => panic!("getxattr {name} of {path:?}: {e}"),
    }
}

/// Sets an extended attribute.
pub fn set_xattr(path: &Path, name: &str, value: &str) -> io::Result<()> {
    rustix::fs::setxattr(
        path,
        name,
        value.as_bytes(),
        rustix::fs::XattrFlags::empty(),
    )
    .map_err(Into::into)
}

/// Asserts that an operation in a history tree was refused for being one: EROFS, or, for an
/// ordinary user, the EACCES of the missing write bit, which the kernel looks at first.
#[track_caller]
pub fn assert_read_only<T: Debug>(what: &str, result: io::Result<T>) {
    let errno = errno(result);
    let fits = errno == Errno::ROFS || (!is_root() && errno == Errno::ACCESS);
    assert!(fits, "{what}: {errno:?}, not EROFS");
}

/// Takes a disk away at the end of a test.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts a disk of a size at a new directory. `None`: that cannot be done here, and it
    /// was said that `what` is not run.
    pub fn mount(what: &str, place: &Path, size: &str) -> Option<Self> {
        if !is_root() {
            not_run(what, "needs root to mount a disk");
            return None;
        }
        fs::create_dir(place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]);
        let done = output(mount.arg(place));
        if !done.status.success() {
            not_run(what, "no tmpfs can be mounted here");
            return None;
        }
        Some(Self(place.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        output(Command::new("umount").arg("-l").arg(&self.0));
    }
}
