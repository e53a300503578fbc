//! Objects of the store that are no packs, by their key below it.
//!
//! What is in them is others' business: see `journal`. The surprise: whoever may write to
//! a bucket decides how long they are, so nothing is read without a bound.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;

use super::backend::Backend;
use super::bucket::refused;
use super::error::{Result, StoreError};

impl Backend {
    /// Writes an object, over one that is there; durable and write-protected when it
    /// returns.
    pub(super) fn put_object(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        let path = ObjectPath::from(key);
        self.wait_for(self.objects().put(&path, bytes.into()))
            .map_err(|error| refused(&format!("writing {key}"), error))?;
        let Some(root) = &self.root else {
            return Ok(());
        };
        fs::set_permissions(root.join(key), Permissions::from_mode(0o400))
            .map_err(|error| StoreError::Io(format!("protecting {key}: {error}")))
    }

    /// An object of at most so many bytes. `None`: it is not there.
    pub(super) fn object(&self, key: &str, bytes_max: u64) -> Result<Option<Bytes>> {
        let path = ObjectPath::from(key);
        let got = self.wait_for(async {
            let got = self.objects().get(&path).await?;
            match got.meta.size <= bytes_max {
                true => got.bytes().await.map(Some),
                false => Ok(None),
            }
        });
        match got {
            Ok(Some(bytes)) if bytes.len() as u64 <= bytes_max => Ok(Some(bytes)),
            Ok(_) => Err(StoreError::Foreign {
                key: key.into(),
                problem: format!("it has more than {bytes_max} bytes"),
            }),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(refused(&format!("reading {key}"), error)),
        }
    }

    /// The names directly below a key: of objects, and of what has objects below itself.
    pub(super) fn names_below(&self, key: &str) -> Result<Vec<String>> {
        if let Some(root) = &self.root
            && !root.join(key).exists()
        {
            return Ok(Vec::new());
        }
        let path = ObjectPath::from(key);
        let found = self
            .wait_for(self.objects().list_with_delimiter(Some(&path)))
            .map_err(|error| refused(&format!("listing {key}"), error))?;
        let objects = found.objects.iter().map(|meta| &meta.location);
        Ok(objects
            .chain(&found.common_prefixes)
            .filter_map(|path| path.filename().map(Into::into))
            .collect())
    }

    /// Removes an object. One that is not there is no error.
    pub(super) fn delete_object(&self, key: &str) -> Result<()> {
        let path = ObjectPath::from(key);
        match self.wait_for(self.objects().delete(&path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(refused(&format!("removing {key}"), error)),
        }
    }
}
