//! Addresses of the control socket.
//!
//! The surprise: a socket address holds 108 bytes, a vault's path can be longer. The
//! address goes through the descriptor of the vault directory instead.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

struct Address {
    path: PathBuf,
    /// Keeps the path valid.
    _directory: OwnedFd,
}

fn address(socket: &Path) -> io::Result<Address> {
    let (Some(parent), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty())?;
    Ok(Address {
        path: Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name),
        _directory: directory,
    })
}

/// Takes the place over from a dead daemon: the caller holds the vault's lock.
pub(super) fn listen(socket: &Path) -> io::Result<UnixListener> {
    let address = address(socket)?;
    match std::fs::remove_file(&address.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&address.path)?;
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&address.path, owner_only)?;
    Ok(listener)
}

/// `None`: no daemon listens there.
pub(super) fn connect(socket: &Path) -> io::Result<Option<UnixStream>> {
    let connected = address(socket).and_then(|address| UnixStream::connect(&address.path));
    match connected {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Removes the socket of a daemon that ends; a name that is gone already is fine.
pub(super) fn remove(socket: &Path) {
    if let Err(error) = std::fs::remove_file(socket)
        && error.kind() != io::ErrorKind::NotFound
    {
        log::warn!("{}: {error}", socket.display());
    }
}
