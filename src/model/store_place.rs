//! Where a store is, as people write it: a directory or a bucket.
//!
//! Only the words: nothing here connects to anything. The surprise: a directory's
//! name is bytes, so its URL is percent-encoded without asking whether it is UTF-8.

use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::percent;

/// Where packs lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A prefix in somebody's bucket.
    Bucket(BucketPlace),
}

/// A prefix in a bucket. Holds no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPlace {
    /// Whose.
    pub cloud: Cloud,
    /// The bucket; with Azure the container.
    pub bucket: String,
    /// What the keys of the vault begin with, without slashes at its ends. Empty: not said.
    pub prefix: String,
    /// The server. `None`: the cloud's own.
    pub endpoint: Option<String>,
    /// S3's region. `None`: as the environment says.
    pub region: Option<String>,
    /// Azure's account. `None`: as the environment says.
    pub account: Option<String>,
}

/// A kind of bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// S3 and what speaks its language.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

const CLOUDS: [(&str, Cloud); 3] = [
    ("s3", Cloud::S3),
    ("gs", Cloud::Google),
    ("az", Cloud::Azure),
];

/// Every form there is, for messages.
pub const STORE_FORMS: &str = "write a directory, file:///absolute/path, s3://BUCKET/PREFIX, \
                               gs://BUCKET/PREFIX or az://CONTAINER/PREFIX";

impl Cloud {
    /// The scheme of its URLs.
    pub fn scheme(self) -> &'static str {
        match self {
            Cloud::S3 => "s3",
            Cloud::Google => "gs",
            Cloud::Azure => "az",
        }
    }
}

impl StorePlace {
    /// Reads a directory, relative or absolute, or a URL.
    ///
    /// # Errors
    /// One line that says what is wrong with it and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err(format!("is empty: {STORE_FORMS}"));
        }
        if text.starts_with("file:") {
            return directory_of(text)
                .map(StorePlace::Directory)
                .ok_or_else(|| format!("'{text}' is not an absolute file URL: {STORE_FORMS}"));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(StorePlace::Directory(text.into()));
        };
        match CLOUDS.iter().find(|(known, _)| *known == scheme) {
            Some((_, cloud)) => BucketPlace::parse(*cloud, rest).map(StorePlace::Bucket),
            None => Err(format!("'{scheme}://' is no store: {STORE_FORMS}")),
        }
    }

    /// The directory. `None`: it is a bucket.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            StorePlace::Directory(path) => Some(path),
            StorePlace::Bucket(_) => None,
        }
    }
}

/// As a URL; [`StorePlace::parse`] reads it back.
impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorePlace::Directory(path) => {
                let path = percent::encode_path(path.as_os_str().as_bytes());
                write!(f, "file://{path}")
            }
            StorePlace::Bucket(place) => place.fmt(f),
        }
    }
}

impl fmt::Display for BucketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.cloud.scheme(), self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        let options = [
            ("endpoint", &self.endpoint),
            ("region", &self.region),
            ("account", &self.account),
        ];
        let mut mark = '?';
        for (key, value) in options {
            if let Some(value) = value {
                write!(f, "{mark}{key}={value}")?;
                mark = '&';
            }
        }
        Ok(())
    }
}

impl BucketPlace {
    fn parse(cloud: Cloud, rest: &str) -> Result<Self, String> {
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.contains('@') {
            return Err(
                "credentials do not belong in a URL: set them in the environment, as the \
                 cloud's own tools read them"
                    .to_owned(),
            );
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if bucket.is_empty() || !bucket.chars().all(is_plain) {
            return Err(format!(
                "'{bucket}' is no name of a bucket: {}://BUCKET/PREFIX",
                cloud.scheme()
            ));
        }
        let prefix = prefix.trim_end_matches('/');
        let is_part = |part: &str| {
            !matches!(part, "" | "." | "..") && part.chars().all(|c| is_plain(c) || c == '=')
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_part) {
            return Err(format!(
                "'{prefix}' is no prefix: use letters, digits, '.', '_', '-', '=' and '/'"
            ));
        }
        let mut place = Self {
            cloud,
            bucket: bucket.into(),
            prefix: prefix.into(),
            endpoint: None,
            region: None,
            account: None,
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            place.set(option)?;
        }
        Ok(place)
    }

    fn set(&mut self, option: &str) -> Result<(), String> {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let has_server = value.starts_with("http://") || value.starts_with("https://");
        let slot = match (key, self.cloud) {
            ("endpoint", _) if has_server => &mut self.endpoint,
            ("endpoint", _) => {
                return Err(format!(
                    "endpoint '{value}' must begin with http:// or https://"
                ));
            }
            ("region", Cloud::S3) => &mut self.region,
            ("account", Cloud::Azure) => &mut self.account,
            _ => {
                let known = match self.cloud {
                    Cloud::S3 => "endpoint, region",
                    Cloud::Google => "endpoint",
                    Cloud::Azure => "endpoint, account",
                };
                // The value is left out: it may be a secret.
                return Err(format!(
                    "'{key}' is no option of a {}:// URL: there are {known}",
                    self.cloud.scheme()
                ));
            }
        };
        if value.contains('@') {
            return Err(format!(
                "credentials do not belong in {key}: set them in the environment"
            ));
        }
        if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(format!("{key} has no usable value"));
        }
        *slot = Some(value.trim_end_matches('/').to_owned());
        Ok(())
    }
}

fn directory_of(url: &str) -> Option<PathBuf> {
    let bytes = percent::decode(url.strip_prefix("file://")?)?;
    let is_absolute = bytes.first() == Some(&b'/') && !bytes.contains(&0);
    is_absolute.then(|| std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(text: &str) -> BucketPlace {
        match StorePlace::parse(text).unwrap() {
            StorePlace::Bucket(place) => place,
            StorePlace::Directory(path) => panic!("{path:?}"),
        }
    }

    #[test]
    fn every_form_is_shown_as_the_url_it_was_read_from() {
        for url in [
            "file:///srv/a%20b%25%FF%23%3F",
            "s3://bucket",
            "s3://bucket/a/b=c",
            "s3://b.u-c/p?endpoint=http://127.0.0.1:9000&region=eu-west-1",
            "gs://bucket/p?endpoint=http://localhost:4443",
            "az://container/p?endpoint=http://127.0.0.1:10000/devstoreaccount1&account=x",
        ] {
            assert_eq!(StorePlace::parse(url).unwrap().to_string(), url);
        }
        let odd = PathBuf::from(std::ffi::OsString::from_vec(b"/srv/a b%\xff#?".to_vec()));
        let url = StorePlace::Directory(odd.clone()).to_string();
        assert_eq!(StorePlace::parse(&url).unwrap().directory(), Some(&*odd));
    }

    #[test]
    fn what_has_no_scheme_is_a_directory() {
        for path in ["store", "/srv/packs", "../packs", "with space"] {
            let place = StorePlace::parse(path).unwrap();
            assert_eq!(place.directory(), Some(Path::new(path)));
        }
    }

    #[test]
    fn slashes_at_the_end_do_not_count() {
        assert_eq!(bucket("s3://b/p/").prefix, "p");
        assert_eq!(bucket("s3://b/").prefix, "");
        let endpoint = bucket("s3://b?endpoint=https://x/").endpoint;
        assert_eq!(endpoint.as_deref(), Some("https://x"));
    }

    #[test]
    fn a_wrong_url_says_what_to_write() {
        for (url, words) in [
            ("", "is empty"),
            ("file:/x", "not an absolute file URL"),
            ("file://host/x", "not an absolute file URL"),
            ("file:///a%4", "not an absolute file URL"),
            ("file:///a%zz", "not an absolute file URL"),
            ("file:///a%00", "not an absolute file URL"),
            ("ftp://x/y", "'ftp://' is no store: write a directory"),
            ("s3://", "no name of a bucket"),
            ("s3://key:secret@b/x", "credentials do not belong in a URL"),
            (
                "s3://b?endpoint=https://user:secret@host",
                "credentials do not belong in endpoint",
            ),
            ("s3://b/../x", "no prefix"),
            ("s3://b/a//b", "no prefix"),
            ("s3://b?endpoint=127.0.0.1", "http:// or https://"),
            ("s3://b?account=x", "there are endpoint, region"),
            ("gs://b?region=", "no option"),
            ("az://b?account=", "no usable value"),
        ] {
            let error = StorePlace::parse(url).unwrap_err();
            assert!(error.contains(words), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let error = StorePlace::parse("s3://b?aws_secret=hush").unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }
}
