//! The place to mount on: made where it is missing, taken from a dead daemon, refused
//! where something else is.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::error::DaemonError;
use super::mount_table::{MountedOn, mounted_on};

/// What is at a mountpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Missing,
    /// A directory that nothing is mounted on.
    Free,
    /// A mount whose daemon is dead.
    Stale,
    /// A vault.
    Keepfs,
    /// Another filesystem, of this name.
    Other(String),
    /// Not a directory.
    NotADirectory,
}

/// Looks at a mountpoint. The path is absolute.
///
/// # Errors
/// When it cannot be looked at.
pub fn standing(mountpoint: &Path) -> io::Result<Standing> {
    // Attributes may come from the kernel's cache for a while after the daemon died;
    // statfs is always asked for.
    let looked = rustix::fs::statfs(mountpoint).and_then(|_| rustix::fs::stat(mountpoint));
    match looked {
        // A dead daemon (ENOTCONN), or one that the kernel gave up on (ECONNABORTED).
        Err(Errno::NOTCONN | Errno::CONNABORTED) => Ok(Standing::Stale),
        Err(Errno::NOENT) => Ok(Standing::Missing),
        // Another user's mount: there, and not for us to look at.
        Err(Errno::ACCESS) => match mounted_on(&resolved(mountpoint))? {
            Some(mounted) => Ok(mounted.into()),
            None => Err(Errno::ACCESS.into()),
        },
        Err(errno) => Err(errno.into()),
        Ok(stat) if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() => {
            Ok(Standing::NotADirectory)
        }
        Ok(_) => Ok(mounted_on(&resolved(mountpoint))?.map_or(Standing::Free, Standing::from)),
    }
}

impl From<MountedOn> for Standing {
    fn from(mounted: MountedOn) -> Self {
        match mounted {
            MountedOn::Keepfs => Standing::Keepfs,
            MountedOn::Other(filesystem) => Standing::Other(filesystem),
        }
    }
}

/// As the mount table has it. The last name is left as it is where it cannot be looked at.
fn resolved(mountpoint: &Path) -> PathBuf {
    mountpoint.canonicalize().unwrap_or_else(|_| {
        match (mountpoint.parent(), mountpoint.file_name()) {
            (Some(parent), Some(name)) => parent
                .canonicalize()
                .map_or_else(|_| mountpoint.to_owned(), |parent| parent.join(name)),
            _ => mountpoint.to_owned(),
        }
    })
}

/// Refuses a mountpoint that cannot be taken, and changes nothing.
pub(super) fn check(mountpoint: &Path) -> Result<Standing, DaemonError> {
    let refuse = |problem: String| DaemonError::Mountpoint {
        path: mountpoint.into(),
        problem,
    };
    let found = standing(mountpoint).map_err(|error| refuse(error.to_string()))?;
    match found {
        Standing::Missing | Standing::Free | Standing::Stale => Ok(found),
        Standing::Keepfs => Err(refuse(
            "a vault is mounted there already: keepfs umount it, or mount somewhere else".into(),
        )),
        Standing::Other(filesystem) => Err(refuse(format!(
            "{filesystem} is mounted there already: unmount it, or mount somewhere else"
        ))),
        Standing::NotADirectory => Err(refuse("is not a directory: mount on one".into())),
    }
}

/// Makes the mountpoint ready. Returns its resolved path.
pub(super) fn take(mountpoint: &Path) -> Result<PathBuf, DaemonError> {
    let refuse = |problem: String| DaemonError::Mountpoint {
        path: mountpoint.into(),
        problem,
    };
    let mut found = check(mountpoint)?;
    if found == Standing::Stale {
        log::warn!(
            "{}: the daemon of this mount is dead: taking its place",
            mountpoint.display()
        );
        detach_stale(mountpoint).map_err(|error| {
            refuse(format!(
                "a dead daemon's mount is in the way and cannot be removed ({error}): try fusermount3 -uz as its user, or umount -l as root"
            ))
        })?;
        found = check(mountpoint)?;
    }
    match found {
        Standing::Missing => std::fs::create_dir_all(mountpoint)
            .map_err(|error| refuse(format!("cannot make the mountpoint: {error}")))?,
        Standing::Stale => return Err(refuse("a dead daemon's mount is in the way".into())),
        _ => {}
    }
    Ok(resolved(mountpoint))
}

/// Removes a dead daemon's mount.
///
/// # Errors
/// When we may not.
pub fn detach_stale(mountpoint: &Path) -> io::Result<()> {
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    match rustix::mount::unmount(mountpoint, flags) {
        Ok(()) => Ok(()),
        Err(Errno::PERM) => {
            let output = Command::new("fusermount3")
                .arg("-uz")
                .arg("--")
                .arg(mountpoint)
                .output()?;
            match output.status.success() {
                true => Ok(()),
                false => Err(io::Error::other(
                    String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                )),
            }
        }
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mountpoint_is_made_where_it_is_missing_and_refused_where_it_is_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        assert_eq!(
            take(&base.join("new/place")).unwrap(),
            base.join("new/place")
        );
        std::fs::write(base.join("file"), "x").unwrap();
        let error = take(&base.join("file")).unwrap_err().to_string();
        assert!(
            error.ends_with("is not a directory: mount on one"),
            "{error}"
        );
        assert_eq!(standing(&base).unwrap(), Standing::Free);
        assert_eq!(standing(&base.join("none")).unwrap(), Standing::Missing);
    }

    #[test]
    fn a_place_where_something_is_mounted_is_refused_by_the_filesystems_name() {
        let error = take(Path::new("/proc")).unwrap_err().to_string();
        assert_eq!(
            error,
            "/proc: proc is mounted there already: unmount it, or mount somewhere else"
        );
    }
}
