//! Commands of the shell and of the clouds' own tools, as they are printed: to be pasted.

use crate::model::{BucketPlace, Cloud, ShellWord, StorePlace};

/// The command of the cloud's own tool that writes an empty object.
pub(super) fn command_that_writes(place: &BucketPlace, key: &str) -> String {
    let bucket = &place.bucket;
    match place.cloud {
        Cloud::S3 => {
            let server = flags(place);
            format!("aws s3api put-object --bucket {bucket} --key '{key}'{server}")
        }
        Cloud::Google => format!("gsutil cp /dev/null 'gs://{bucket}/{key}'"),
        Cloud::Azure => {
            let account = flags(place);
            format!(
                "az storage blob upload --container-name {bucket} --name '{key}' --file /dev/null{account}"
            )
        }
    }
}

/// What the cloud's own tool has to be told of the place beside the bucket.
fn flags(place: &BucketPlace) -> String {
    let server = match place.cloud {
        Cloud::S3 => "--endpoint-url",
        Cloud::Google => return String::new(),
        Cloud::Azure => "--blob-endpoint",
    };
    [
        (server, &place.endpoint),
        ("--region", &place.region),
        ("--account-name", &place.account),
    ]
    .into_iter()
    .filter_map(|(flag, value)| Some(format!(" {flag} {}", ShellWord(value.as_ref()?))))
    .collect()
}

/// The command that removes a store with everything in it: the shell's, or that of the
/// cloud's own tool.
pub fn command_that_removes(place: &StorePlace) -> String {
    let place = match place {
        StorePlace::Directory(path) => {
            let path = path.display().to_string().replace('\'', r"'\''");
            return format!("rm -r '{path}'");
        }
        StorePlace::Bucket(place) => place,
    };
    let (bucket, prefix) = (&place.bucket, &place.prefix);
    match place.cloud {
        Cloud::S3 => {
            let server = flags(place);
            format!("aws s3 rm --recursive 's3://{bucket}/{prefix}/'{server}")
        }
        Cloud::Google => format!("gsutil -m rm -r 'gs://{bucket}/{prefix}'"),
        Cloud::Azure => {
            let account = flags(place);
            format!(
                "az storage blob delete-batch --source {bucket} --pattern '{prefix}/*'{account}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(url: &str) -> BucketPlace {
        match StorePlace::parse(url).unwrap() {
            StorePlace::Bucket(place) => place,
            StorePlace::Directory(_) => unreachable!("{url} is a bucket"),
        }
    }

    #[test]
    fn each_cloud_has_its_own_command_for_the_marker() {
        for (url, command) in [
            (
                "s3://b/p?endpoint=http://127.0.0.1:1/a?b&region=eu-1",
                "aws s3api put-object --bucket b --key 'k/x' --endpoint-url 'http://127.0.0.1:1/a?b' --region eu-1",
            ),
            (
                "s3://b/p?endpoint=http://127.0.0.1:1",
                "aws s3api put-object --bucket b --key 'k/x' --endpoint-url http://127.0.0.1:1",
            ),
            ("gs://b/p", "gsutil cp /dev/null 'gs://b/k/x'"),
            (
                "az://c/p?account=a",
                "az storage blob upload --container-name c --name 'k/x' --file /dev/null --account-name a",
            ),
            (
                "az://c/p?endpoint=http://127.0.0.1:1/a",
                "az storage blob upload --container-name c --name 'k/x' --file /dev/null --blob-endpoint http://127.0.0.1:1/a",
            ),
        ] {
            assert_eq!(command_that_writes(&bucket(url), "k/x"), command);
        }
    }

    #[test]
    fn each_place_has_its_own_command_that_removes_it() {
        for (url, command) in [
            ("file:///srv/a%27b", r"rm -r '/srv/a'\''b'"),
            (
                "s3://b/p?endpoint=http://127.0.0.1:1",
                "aws s3 rm --recursive 's3://b/p/' --endpoint-url http://127.0.0.1:1",
            ),
            ("gs://b/p", "gsutil -m rm -r 'gs://b/p'"),
            (
                "az://c/p?account=a",
                "az storage blob delete-batch --source c --pattern 'p/*' --account-name a",
            ),
        ] {
            let place = StorePlace::parse(url).unwrap();
            assert_eq!(command_that_removes(&place), command);
        }
    }
}
