//! What a PATH on the command line stands for: a vault, and a public_id in it.
//!
//! A PATH lies inside a mount, where the mount table says which; its history names
//! `.versions` and `.deleted` are understood, too. With `--vault` it is a public_id.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::output::{Stop, stop};
use crate::config::FILE_NAME;
use crate::daemon::keepfs_mount_of;
use crate::model::{HistoryName, PublicId};
use crate::server::ErrorCode;

/// Where the vault of a PATH is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// It is mounted here.
    Mount(PathBuf),
    /// The vault directory.
    Vault(PathBuf),
}

/// A PATH, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose path it is.
    pub home: Home,
    /// The live path, also where PATH named its history.
    pub id: PublicId,
    /// The version that PATH named: a file below `.versions`.
    pub version: Option<String>,
}

/// Understands a PATH. With a vault given it is a public_id.
pub fn place(path: &Path, vault: Option<&Path>) -> Result<Place, Stop> {
    match vault {
        Some(vault) => in_vault(path, vault),
        None => in_mount(path),
    }
}

fn in_vault(path: &Path, vault: &Path) -> Result<Place, Stop> {
    let bytes = path.as_os_str().as_bytes();
    let bytes = match bytes {
        b"." => b"",
        _ => bytes.strip_suffix(b"/").unwrap_or(bytes),
    };
    Ok(Place {
        home: Home::Vault(vault.into()),
        id: public_id(bytes)?,
        version: None,
    })
}

fn in_mount(path: &Path) -> Result<Place, Stop> {
    let mount_of = |path: &Path| {
        keepfs_mount_of(path)
            .map_err(|error| stop(ErrorCode::Failed, format!("the mount table: {error}")))
    };
    // A symlink inside the mount is itself the thing; one that leads into it is followed.
    let named = absolute(path, LastName::AsItIs)?;
    if let Some(mountpoint) = mount_of(&named)? {
        return below_root(&mountpoint, &named);
    }
    let followed = absolute(path, LastName::Followed)?;
    if let Some(mountpoint) = mount_of(&followed)? {
        return below_root(&mountpoint, &followed);
    }
    if path.join(FILE_NAME).is_file() {
        return in_vault(Path::new(""), &followed);
    }
    if matches!(rustix::fs::stat(path), Err(rustix::io::Errno::NOTCONN)) {
        return Err(stop(
            ErrorCode::Failed,
            format!(
                "{}: the daemon of this mount is dead: keepfs umount the mountpoint, then mount it again",
                path.display()
            ),
        ));
    }
    Err(stop(
        ErrorCode::NotFound,
        format!(
            "{}: not inside a mounted vault; name a path in one, or give --vault DIR and a public_id",
            path.display()
        ),
    ))
}

fn below_root(mountpoint: &Path, path: &Path) -> Result<Place, Stop> {
    let below = path.strip_prefix(mountpoint).unwrap_or(Path::new(""));
    let id = public_id(below.as_os_str().as_bytes())?;
    let mut place = Place {
        home: Home::Mount(mountpoint.into()),
        id: id.clone(),
        version: None,
    };
    let mut components = id.components();
    let history = components.next().and_then(HistoryName::from_root_name);
    let rest = components.collect::<Vec<_>>().join(&b'/');
    match history {
        None => {}
        Some(HistoryName::Deleted) => place.id = public_id(&rest)?,
        Some(HistoryName::Versions) => {
            place.id = public_id(&rest)?;
            // Directories are assets or what holds them; only versions are files.
            if fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
                && let Some((asset, name)) = place.id.split()
            {
                let own = super::through_mount::version_id(path);
                place.version = own.or_else(|| Some(name.to_string()));
                place.id = asset;
            }
        }
        Some(HistoryName::At) => {
            return Err(stop(
                ErrorCode::BadInput,
                format!("{}: .at shows nothing yet; use .versions", path.display()),
            ));
        }
    }
    Ok(place)
}

fn public_id(bytes: &[u8]) -> Result<PublicId, Stop> {
    PublicId::new(bytes).map_err(|error| stop(ErrorCode::BadInput, error.to_string()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastName {
    AsItIs,
    Followed,
}

/// Absolute, with the existing directories on the way resolved; what does not exist
/// (a deleted file, and the directory it was in) stays as it was written.
fn absolute(path: &Path, last: LastName) -> Result<PathBuf, Stop> {
    let failed = |error: io::Error| stop(ErrorCode::Failed, format!("{}: {error}", path.display()));
    let absolute = std::path::absolute(path).map_err(failed)?;
    let components: Vec<Component<'_>> = absolute.components().collect();
    let mut resolved = PathBuf::new();
    let mut exists = true;
    for (index, component) in components.iter().enumerate() {
        let is_last = index + 1 == components.len();
        match component {
            Component::ParentDir if !exists => {
                return Err(stop(
                    ErrorCode::BadInput,
                    format!(
                        "{}: '..' below a directory that is not there",
                        path.display()
                    ),
                ));
            }
            Component::ParentDir => drop(resolved.pop()),
            component => resolved.push(component),
        }
        if exists && (!is_last || last == LastName::Followed) {
            match fs::canonicalize(&resolved) {
                Ok(real) => resolved = real,
                Err(_) => exists = false,
            }
        }
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(result: Result<impl std::fmt::Debug, Stop>) -> String {
        match result.unwrap_err() {
            Stop::Failure(failure) => failure.message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn with_a_vault_a_path_is_a_public_id_and_dots_are_refused() {
        let vault = Path::new("/srv/v");
        let found = place(Path::new("a/b/"), Some(vault)).unwrap();
        assert_eq!(found.home, Home::Vault(vault.into()));
        assert_eq!(found.id.as_bytes(), b"a/b");
        assert!(place(Path::new("."), Some(vault)).unwrap().id.is_root());
        let error = failure(place(Path::new("a/../b"), Some(vault)));
        assert!(
            error.contains("'..' are not allowed in a public_id"),
            "{error}"
        );
    }

    #[test]
    fn below_a_mount_history_names_lead_to_the_live_path() {
        let root = Path::new("/nowhere/m");
        for (path, id) in [
            ("/nowhere/m", ""),
            ("/nowhere/m/a/b", "a/b"),
            ("/nowhere/m/.deleted/a/b", "a/b"),
            ("/nowhere/m/.versions/a", "a"),
            ("/nowhere/m/.versions", ""),
            ("/nowhere/m/a/.versions", "a/.versions"),
        ] {
            let place = below_root(root, Path::new(path)).unwrap();
            assert_eq!(place.id.as_bytes(), id.as_bytes(), "{path}");
        }
        assert!(failure(below_root(root, Path::new("/nowhere/m/.at/x"))).contains(".at"));
    }

    #[test]
    fn what_does_not_exist_keeps_its_name_and_what_does_is_resolved() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        fs::create_dir(base.join("real")).unwrap();
        std::os::unix::fs::symlink("real", base.join("link")).unwrap();
        let gone = absolute(&base.join("link/gone/file"), LastName::AsItIs).unwrap();
        assert_eq!(gone, base.join("real/gone/file"));
        assert_eq!(
            absolute(&base.join("link"), LastName::AsItIs).unwrap(),
            base.join("link")
        );
        assert_eq!(
            absolute(&base.join("link"), LastName::Followed).unwrap(),
            base.join("real")
        );
        let error = failure(absolute(&base.join("gone/../x"), LastName::AsItIs));
        assert!(error.contains("'..'"), "{error}");
    }

    #[test]
    fn a_path_outside_every_mount_says_what_to_give_instead() {
        let dir = tempfile::tempdir().unwrap();
        let error = failure(place(dir.path(), None));
        assert!(error.contains("--vault DIR"), "{error}");
        fs::write(dir.path().join(FILE_NAME), "").unwrap();
        let found = place(dir.path(), None).unwrap();
        assert_eq!(found.home, Home::Vault(dir.path().canonicalize().unwrap()));
    }
}
