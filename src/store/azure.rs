//! What the Azure tools find in the environment: `AZURE_STORAGE_*`, as `az storage` reads it.
//!
//! object_store has other names for the account and its key, and knows no connection
//! strings; the names that it knows are left to it. As with `az`, a connection string goes
//! before account and key. No value is ever in a message: most are secrets.

const CONNECTION: &str = "AZURE_STORAGE_CONNECTION_STRING";

/// What the environment says. `None`: nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AzureEnvironment {
    pub(super) account: Option<String>,
    pub(super) key: Option<String>,
    /// A shared access signature of a connection string.
    pub(super) sas: Option<String>,
    pub(super) endpoint: Option<String>,
    /// As `az login` left it.
    pub(super) is_login: bool,
}

impl AzureEnvironment {
    /// Reads the variables, which `get` knows. `account` is the one that the URL names.
    ///
    /// # Errors
    /// One line, when the connection string cannot be used.
    pub(super) fn read(
        get: impl Fn(&str) -> Option<String>,
        account: Option<&str>,
    ) -> Result<Self, String> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let connection = get(CONNECTION).map(|text| Self::of_connection(&text));
        let found = connection.transpose()?.unwrap_or_else(|| Self {
            account: get("AZURE_STORAGE_ACCOUNT"),
            key: get("AZURE_STORAGE_KEY"),
            is_login: get("AZURE_STORAGE_AUTH_MODE").is_some_and(|mode| mode == "login"),
            ..Self::default()
        });
        let other = found.account.as_deref().zip(account);
        match other.filter(|(found, wanted)| found != wanted) {
            Some((found_account, wanted)) if found.key.is_some() || found.sas.is_some() => {
                Err(format!(
                    "the URL says account={wanted}, but the credentials in the environment are for {found_account}: \
                     change the one or the other"
                ))
            }
            _ => Ok(found),
        }
    }

    /// The form is that of "Configure Azure Storage connection strings" in Azure's
    /// documentation.
    fn of_connection(text: &str) -> Result<Self, String> {
        let part = |wanted: &str| {
            let parts = text.split(';').filter_map(|part| part.split_once('='));
            let mut values = parts.filter(|(key, _)| key.trim().eq_ignore_ascii_case(wanted));
            let value = values.next().map(|(_, value)| value.trim().to_owned());
            value.filter(|value| !value.is_empty())
        };
        let key = part("AccountKey");
        let sas = part("SharedAccessSignature");
        if key.is_none() && sas.is_none() {
            return Err(format!(
                "{CONNECTION} has neither AccountKey nor SharedAccessSignature: copy it anew from \
                 the account's access keys"
            ));
        }
        let protocol = part("DefaultEndpointsProtocol").unwrap_or_else(|| "https".into());
        let endpoint = part("BlobEndpoint").or_else(|| {
            let (account, suffix) = part("AccountName").zip(part("EndpointSuffix"))?;
            Some(format!("{protocol}://{account}.blob.{suffix}"))
        });
        let endpoint = endpoint.map(|url| url.trim_end_matches('/').to_owned());
        let account = part("AccountName").or_else(|| {
            let (_, host) = endpoint.as_ref()?.split_once("://")?;
            host.split_once(".blob.").map(|(name, _)| name.to_owned())
        });
        if account.is_none() {
            return Err(format!("{CONNECTION} has no AccountName: add it"));
        }
        Ok(Self {
            account,
            key,
            sas,
            endpoint,
            is_login: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)], account: Option<&str>) -> Result<AzureEnvironment, String> {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        AzureEnvironment::read(get, account)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.into())
    }

    #[test]
    fn account_and_key_have_the_names_that_az_knows() {
        let found = read(
            &[
                ("AZURE_STORAGE_ACCOUNT", "backups"),
                ("AZURE_STORAGE_KEY", "c2VjcmV0"),
            ],
            None,
        )
        .unwrap();
        assert_eq!(
            (found.account, found.key),
            (some("backups"), some("c2VjcmV0"))
        );
        let login = read(&[("AZURE_STORAGE_AUTH_MODE", "login")], None).unwrap();
        assert!(login.is_login);
        assert_eq!(read(&[], None).unwrap(), AzureEnvironment::default());
    }

    #[test]
    fn a_connection_string_goes_before_account_and_key() {
        let connection = "DefaultEndpointsProtocol=https;AccountName=backups;\
                          AccountKey=c2VjcmV0Cg==;EndpointSuffix=core.chinacloudapi.cn";
        let found = read(
            &[
                (CONNECTION, connection),
                ("AZURE_STORAGE_ACCOUNT", "other"),
                ("AZURE_STORAGE_KEY", "b3RoZXI="),
            ],
            Some("backups"),
        )
        .unwrap();
        assert_eq!(found.account, some("backups"));
        assert_eq!(found.key, some("c2VjcmV0Cg=="));
        let endpoint = "https://backups.blob.core.chinacloudapi.cn";
        assert_eq!(found.endpoint, some(endpoint));
        let sas = "BlobEndpoint=https://backups.blob.core.windows.net/;\
                   SharedAccessSignature=sv=2021&sig=x%3D";
        let found = read(&[(CONNECTION, sas)], None).unwrap();
        assert_eq!(found.account, some("backups"));
        assert_eq!(found.sas, some("sv=2021&sig=x%3D"));
        let endpoint = "https://backups.blob.core.windows.net";
        assert_eq!(found.endpoint, some(endpoint));
    }

    #[test]
    fn what_cannot_be_used_is_said_without_the_secret() {
        for (variables, account, words) in [
            (&[(CONNECTION, "hush")][..], None, "neither AccountKey nor"),
            (&[(CONNECTION, "AccountKey=hush")], None, "no AccountName"),
            (
                &[(CONNECTION, "UseDevelopmentStorage=true")],
                None,
                "neither AccountKey nor",
            ),
            (
                &[
                    ("AZURE_STORAGE_ACCOUNT", "backups"),
                    ("AZURE_STORAGE_KEY", "hush"),
                ],
                Some("other"),
                "account=other, but the credentials in the environment are for backups",
            ),
        ] {
            let error = read(variables, account).unwrap_err();
            assert!(error.contains(words), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
