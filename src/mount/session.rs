//! Start and end of a mount, and what its owner can do with it meanwhile.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fuser::{Config, MountOption, Notifier, Session, SessionACL};
use rustix::fs::{Mode, OFlags, open};
use rustix::mount::UnmountFlags;

use super::barrier::Barrier;
use super::checkpoint::Checkpointer;
use super::errno::Error;
use super::handles::Handles;
use super::history::Past;
use super::invalidate::Invalidator;
use super::live::Live;
use super::options::{Audience, MountOptions, Permit, Writing};
use super::remote_commits::RemoteCommits;
use super::shell::Shell;
use super::tree::Tree;
use crate::config::CommitMode;
use crate::vault::Vault;

/// Why a vault could not be mounted or unmounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The live directory cannot be used.
    #[error("{path}: cannot open the live directory: {error}")]
    LiveDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The kernel or fusermount refused.
    #[error("{path}: cannot mount: {error} (is /dev/fuse there, and fuse3 installed?)")]
    Refused {
        /// The mount point.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The session ended with an error.
    #[error("{path}: the mount ended: {error}")]
    Ended {
        /// The mount point.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Somebody uses the mount, or has no right to unmount it.
    #[error("{path}: cannot unmount: {error}")]
    Unmount {
        /// The mount point.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

/// A running mount.
#[derive(Debug)]
pub struct Mounted {
    tree: Arc<Tree>,
    session: JoinHandle<io::Result<()>>,
    notifier: Notifier,
    mountpoint: PathBuf,
}

/// Ends a mount from anywhere.
#[derive(Debug, Clone)]
pub struct Unmounter {
    mountpoint: PathBuf,
}

/// How to unmount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Refuse while somebody uses it.
    WhenIdle,
    /// Take the name away now; the rest ends with its last user.
    Now,
}

/// One mount at a time learns its worker threads by their names.
static STARTING: Mutex<()> = Mutex::new(());

/// Mounts the live directory of a vault, with its history.
///
/// # Errors
/// [`MountError`] when the live directory cannot be opened or the kernel refuses.
pub fn mount(
    vault: Arc<Vault>,
    live_dir: &Path,
    mountpoint: &Path,
    options: &MountOptions,
) -> Result<Mounted, MountError> {
    let unusable = |error| MountError::LiveDirectory {
        path: live_dir.into(),
        error,
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(live_dir, flags, Mode::empty()).map_err(|errno| unusable(errno.into()))?;
    // Modes of new files come from their callers alone.
    rustix::process::umask(Mode::empty());
    let handles = Arc::new(Handles::default());
    let barrier = Arc::new(Barrier::default());
    let live = Live::new(
        vault.clone(),
        root,
        handles.clone(),
        barrier.clone(),
        options.clone(),
    )
    .map_err(|error: Error| unusable(error.errno().into()))?;
    let remote = match vault.config().commit {
        CommitMode::Local => None,
        CommitMode::Remote => Some(RemoteCommits::start(vault.clone()).map_err(unusable)?),
    };
    let past = Past {
        vault,
        handles: handles.clone(),
        barrier: barrier.clone(),
    };
    let tree = Arc::new(Tree {
        live,
        past,
        barrier,
        handles,
        remote,
    });

    let refused = |error| MountError::Refused {
        path: mountpoint.into(),
        error,
    };
    let session =
        Session::new(Shell(tree.clone()), mountpoint, &config(options)).map_err(refused)?;
    let notifier = session.notifier();
    let _ = tree.live.notifier.set(notifier.clone());
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = workers();
    let session = std::thread::Builder::new()
        .name("keepfs-session".into())
        .spawn(move || session.run())
        .map_err(refused)?;
    tree.barrier.expect(&new_workers(&before, options.threads));
    Ok(Mounted {
        tree,
        session,
        notifier,
        mountpoint: mountpoint.into(),
    })
}

impl Mounted {
    /// Blocks until the filesystem is unmounted, by whomever.
    ///
    /// # Errors
    /// When the session broke down.
    pub fn wait(self) -> Result<(), MountError> {
        let ended = self
            .session
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("a worker panicked")));
        // An unmount drops the closes that no worker had taken from the queue yet.
        self.tree.close_all();
        ended.map_err(|error| MountError::Ended {
            path: self.mountpoint,
            error,
        })
    }

    /// Something that can end this mount from another thread.
    pub fn unmounter(&self) -> Unmounter {
        Unmounter {
            mountpoint: self.mountpoint.clone(),
        }
    }

    /// True when the kernel reads and writes live files itself.
    pub fn passthrough(&self) -> bool {
        self.tree.live.passthrough.get().is_some()
    }

    /// Files and directories that the kernel knows now.
    pub fn known_files(&self) -> usize {
        self.tree.live.nodes.len()
    }

    /// What makes versions of files that stay open.
    pub fn checkpointer(&self) -> Checkpointer {
        Checkpointer::new(&self.tree)
    }

    /// A way to tell the kernel of changes that the daemon makes.
    pub fn invalidator(&self) -> Invalidator {
        Invalidator::new(&self.tree, self.notifier.clone())
    }

    /// A way to ask whether any file is open for writing. A close counts as one until what
    /// it meant is done.
    pub fn writers(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let handles = self.tree.handles.clone();
        move || handles.any_writer()
    }
}

impl Unmounter {
    /// Unmounts.
    ///
    /// # Errors
    /// [`MountError::Unmount`] when it is in use or the right is missing.
    pub fn unmount(&self, urgency: Urgency) -> Result<(), MountError> {
        let failed = |error| MountError::Unmount {
            path: self.mountpoint.clone(),
            error,
        };
        let flags = match urgency {
            Urgency::WhenIdle => UnmountFlags::NOFOLLOW,
            Urgency::Now => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
        };
        match rustix::mount::unmount(&self.mountpoint, flags) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::PERM) => self.by_helper(urgency).map_err(failed),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// An ordinary user's mount is unmounted by the set-uid helper that mounted it.
    fn by_helper(&self, urgency: Urgency) -> io::Result<()> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for program in ["fusermount3", "fusermount"] {
            let mut command = Command::new(program);
            command.arg("-u");
            if urgency == Urgency::Now {
                command.arg("-z");
            }
            match command.arg("--").arg(&self.mountpoint).output() {
                Ok(output) if output.status.success() => return Ok(()),
                Ok(output) => {
                    let text = String::from_utf8_lossy(&output.stderr);
                    return Err(io::Error::other(text.trim().to_owned()));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn config(options: &MountOptions) -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(options.source.clone()),
        // As an option of the kernel's own: `Subtype` reaches only fusermount3, and the
        // mount table would say `fuse`.
        MountOption::CUSTOM("subtype=keepfs".into()),
        MountOption::DefaultPermissions,
        choose(options.devices, MountOption::Dev, MountOption::NoDev),
        choose(options.set_ids, MountOption::Suid, MountOption::NoSuid),
        choose(options.execution, MountOption::Exec, MountOption::NoExec),
    ];
    if !rustix::process::geteuid().is_root() {
        // The helper allows an ordinary user neither devices nor set-id bits.
        config
            .mount_options
            .retain(|option| !matches!(option, MountOption::Dev | MountOption::Suid));
    }
    config.mount_options.push(match options.writing {
        Writing::ReadWrite => MountOption::RW,
        Writing::ReadOnly => MountOption::RO,
    });
    if options.access_times == Permit::No {
        config.mount_options.push(MountOption::NoAtime);
    }
    config.acl = match options.audience {
        Audience::Owner => SessionACL::Owner,
        Audience::OwnerAndRoot => SessionACL::RootAndOwner,
        Audience::Everybody => SessionACL::All,
    };
    config.n_threads = Some(options.threads);
    config.clone_fd = true;
    config
}

fn choose(permit: Permit, yes: MountOption, no: MountOption) -> MountOption {
    match permit {
        Permit::Yes => yes,
        Permit::No => no,
    }
}

/// The threads of this process that fuser calls its workers.
fn workers() -> HashSet<i32> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return HashSet::new();
    };
    threads
        .flatten()
        .filter(|thread| {
            let name = fs::read(thread.path().join("comm")).unwrap_or_default();
            name.strip_prefix(b"fuser-").is_some()
        })
        .filter_map(|thread| thread.file_name().to_str()?.parse().ok())
        .collect()
}

/// Waits for the workers that were just started. The barrier must know every one
/// of them before the first file is closed.
fn new_workers(before: &HashSet<i32>, count: usize) -> Vec<i32> {
    let until = Instant::now() + Duration::from_secs(2);
    loop {
        let new: Vec<i32> = workers().difference(before).copied().collect();
        if new.len() >= count || Instant::now() > until {
            return new;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
