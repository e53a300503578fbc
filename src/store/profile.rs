//! The profile files of the AWS tools: `~/.aws/credentials` and `~/.aws/config`.
//!
//! Read as their documentation says ("Configuration and credential file settings in
//! the AWS CLI"). What names another source of credentials (SSO, a process, a role
//! to assume) is not followed but refused: silently trying something else, as the role of
//! the machine, could write to somebody else's bucket.

use std::env;
use std::path::PathBuf;

use ini::Ini;

use crate::model::ShellWord;

/// Keys of a profile that say where else its credentials are.
const ELSEWHERE: [&str; 7] = [
    "sso_session",
    "sso_start_url",
    "role_arn",
    "source_profile",
    "credential_process",
    "credential_source",
    "web_identity_token_file",
];

/// What a profile says. The environment goes before it.
#[derive(Default)]
pub(super) struct AwsProfile {
    /// Access key id and secret.
    pub(super) keys: Option<(String, String)>,
    /// In one line, that its keys are somewhere else, and what to do.
    pub(super) elsewhere: Option<String>,
    pub(super) session_token: Option<String>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
}

impl AwsProfile {
    /// The profile that `AWS_PROFILE` names, else `default`. Files that are not there
    /// say nothing.
    ///
    /// # Errors
    /// One line, when a file cannot be read or a profile that was asked for is in none.
    pub(super) fn of_environment() -> Result<Self, String> {
        let asked = env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
        let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let file = |variable: &str, name: &str| {
            env::var_os(variable).map_or_else(|| home.join(".aws").join(name), PathBuf::from)
        };
        let credentials = read(file("AWS_SHARED_CREDENTIALS_FILE", "credentials"))?;
        let config = read(file("AWS_CONFIG_FILE", "config"))?;
        Self::of_files(asked.as_deref(), credentials.as_ref(), config.as_ref())
    }

    fn of_files(
        asked: Option<&str>,
        credentials: Option<&Ini>,
        config: Option<&Ini>,
    ) -> Result<Self, String> {
        let name = asked.unwrap_or("default");
        let secrets = credentials.and_then(|file| file.section(Some(name)));
        let settings = config.and_then(|file| {
            file.section(Some(format!("profile {name}")))
                .or_else(|| file.section(Some(name)))
        });
        if asked.is_some() && secrets.is_none() && settings.is_none() {
            return Err(format!(
                "AWS_PROFILE is {name}, but neither ~/.aws/credentials nor ~/.aws/config has it"
            ));
        }
        let get = |key: &str| {
            let found = secrets.and_then(|section| section.get(key));
            found
                .or_else(|| settings.and_then(|section| section.get(key)))
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let keys = get("aws_access_key_id").zip(get("aws_secret_access_key"));
        let elsewhere = ELSEWHERE.iter().find(|key| get(key).is_some());
        Ok(Self {
            elsewhere: elsewhere.filter(|_| keys.is_none()).map(|key| {
                format!(
                    "the AWS profile '{name}' gets its credentials by {key}, which keepfs does \
                     not follow: run `aws configure export-credentials --profile {} --format \
                     env` and put what it prints into the daemon's environment",
                    ShellWord(name)
                )
            }),
            keys,
            session_token: get("aws_session_token"),
            region: get("region"),
            endpoint: get("endpoint_url"),
        })
    }
}

fn read(file: PathBuf) -> Result<Option<Ini>, String> {
    if !file.exists() {
        return Ok(None);
    }
    // Its own words could show a line of the file, with a secret in it.
    Ini::load_from_file(&file)
        .map(Some)
        .map_err(|_| format!("{} cannot be read as a profile file", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ini(text: &str) -> Ini {
        Ini::load_from_str(text).unwrap()
    }

    #[test]
    fn secrets_come_from_one_file_and_settings_from_the_other() {
        let credentials = ini(
            "[default]\naws_access_key_id = A\naws_secret_access_key = B\n\
             [other]\naws_access_key_id=C\naws_secret_access_key=D\naws_session_token=E\n",
        );
        let config = ini("[default]\nregion = eu-central-1\n\
             [profile other]\nregion = us-west-2\nendpoint_url = http://127.0.0.1:9\n");
        let profile = AwsProfile::of_files(None, Some(&credentials), Some(&config)).unwrap();
        assert_eq!(profile.keys, Some(("A".into(), "B".into())));
        assert_eq!(profile.region.as_deref(), Some("eu-central-1"));
        assert_eq!(profile.endpoint, None);
        let other = AwsProfile::of_files(Some("other"), Some(&credentials), Some(&config)).unwrap();
        assert_eq!(other.keys, Some(("C".into(), "D".into())));
        assert_eq!(other.session_token.as_deref(), Some("E"));
        assert_eq!(other.endpoint.as_deref(), Some("http://127.0.0.1:9"));
    }

    #[test]
    fn a_profile_whose_keys_are_elsewhere_is_refused_with_the_way_out() {
        for line in [
            "sso_session = work",
            "role_arn = arn:aws:iam::1:role/x\nsource_profile = base",
            "credential_process = /bin/true",
        ] {
            let config = ini(&format!("[profile work]\n{line}\nregion = eu-west-1\n"));
            let profile = AwsProfile::of_files(Some("work"), None, Some(&config)).unwrap();
            let line = profile.elsewhere.unwrap_or_default();
            assert!(
                line.contains("aws configure export-credentials --profile work"),
                "{line}"
            );
            assert!(!line.contains('\n'), "{line}");
        }
        // With keys beside it, the keys are meant.
        let credentials = ini("[work]\naws_access_key_id = A\naws_secret_access_key = B\n");
        let config = ini("[profile work]\nrole_arn = x\n");
        let both = AwsProfile::of_files(Some("work"), Some(&credentials), Some(&config));
        let both = both.unwrap();
        assert!(both.keys.is_some() && both.elsewhere.is_none());
    }

    #[test]
    fn a_profile_that_was_asked_for_must_be_there() {
        let error = AwsProfile::of_files(Some("gone"), None, None);
        assert!(error.is_err_and(|line| line.contains("AWS_PROFILE is gone")));
        assert!(
            AwsProfile::of_files(None, None, None)
                .unwrap()
                .keys
                .is_none()
        );
    }
}
