//! A bucket in memory at the end of a line that fails as it is told to.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A request that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Put,
    Delete,
}

/// Whether a request gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    Well,
    /// As by a key that may not do that.
    Forbidden,
}

type Judge = Box<dyn FnMut(Asked, &str) -> Answered + Send>;

/// What becomes of requests, from one moment to the next.
#[derive(Default, Clone)]
pub(crate) struct Faults(Arc<Mutex<Option<Judge>>>);

impl Faults {
    /// From now on `judge` hears of each request before it is carried out.
    pub(crate) fn judge_by(&self, judge: impl FnMut(Asked, &str) -> Answered + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(judge));
    }

    /// From now on no pack can be removed.
    pub(crate) fn keep_packs(&self) {
        self.judge_by(
            |asked, key| match asked == Asked::Delete && key.starts_with("packs/") {
                true => Answered::Forbidden,
                false => Answered::Well,
            },
        );
    }

    /// All gets through again.
    pub(crate) fn heal(&self) {
        *self.0.lock().unwrap() = None;
    }

    fn meet(&self, asked: Asked, path: &Path) -> Result<()> {
        let mut judge = self.0.lock().unwrap();
        let answered = judge
            .as_mut()
            .map_or(Answered::Well, |judge| judge(asked, path.as_ref()));
        match answered {
            Answered::Well => Ok(()),
            Answered::Forbidden => Err(Error::PermissionDenied {
                path: path.to_string(),
                source: "forbidden".into(),
            }),
        }
    }
}

/// The bucket behind its line.
pub(super) struct Line {
    pub(super) objects: Arc<InMemory>,
    pub(super) faults: Faults,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line")
    }
}

#[async_trait]
impl ObjectStore for Line {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.faults.meet(Asked::Put, location)?;
        self.objects.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.faults.meet(Asked::Put, location)?;
        self.objects.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.objects.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let faults = self.faults.clone();
        let allowed = locations.map(move |location| {
            let location = location?;
            faults.meet(Asked::Delete, &location)?;
            Ok(location)
        });
        self.objects.delete_stream(allowed.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
