//! The signatures of calls and answers, as the official SDKs make and check them.
//!
//! Source: the SDKs' `api_sign_request`. The surprise: there are two forms of what is
//! signed (since 2025 an `&` in a value is written `%26`), two hashes, told apart by their
//! length, and answers are always signed in the older form.

use sha1::{Digest, Sha1};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::error::{ApiError, Result};
use crate::model::Timestamp;

/// A signed call is good for so long.
const AGE_SECONDS_MAX: i64 = 60 * 60;
/// Clocks differ; further ahead is no clock.
const AHEAD_SECONDS_MAX: i64 = 5 * 60;

/// Sent along, and not signed.
const NEVER_SIGNED: [&str; 5] = [
    "file",
    "api_key",
    "signature",
    "resource_type",
    "cloud_name",
];
/// Sent along unsigned by some calls of the SDKs.
const PERHAPS_UNSIGNED: [&str; 2] = ["notification_url", "batch_id"];

/// True when `signature` is that of the parameters, in any form that an SDK sends.
pub(super) fn is_valid(parameters: &[(String, String)], signature: &str, secret: &str) -> bool {
    let without = |left_out: &[&str]| -> Vec<(String, String)> {
        let kept = parameters.iter();
        kept.filter(|(name, _)| !left_out.contains(&name.as_str()))
            .cloned()
            .collect()
    };
    let candidates = [without(&[]), without(&PERHAPS_UNSIGNED)];
    let forms = [Form::AmpersandEscaped, Form::Plain];
    candidates.iter().any(|parameters| {
        forms.iter().any(|form| {
            let expected = hash(&text_to_sign(parameters, *form), secret, signature.len());
            expected
                .is_some_and(|expected| bool::from(expected.as_bytes().ct_eq(signature.as_bytes())))
        })
    })
}

/// What an answer about an upload is signed with.
pub(super) fn of_answer(public_id: &str, version: i64, secret: &str) -> String {
    let text = format!("public_id={public_id}&version={version}");
    hash(&text, secret, 40).unwrap_or_default()
}

/// Refuses a call that was signed too long ago, or in the future.
pub(super) fn check_age(timestamp: Option<&str>, now: Timestamp) -> Result<()> {
    let Some(text) = timestamp else {
        return Err(ApiError::bad("Missing required parameter - timestamp"));
    };
    let signed_at: i64 = text
        .parse()
        .map_err(|_| ApiError::bad(format!("Invalid timestamp {text}: give unix seconds")))?;
    let (now, _) = now.parts();
    if now.saturating_sub(signed_at) > AGE_SECONDS_MAX {
        return Err(ApiError::Bad(format!(
            "Stale request - reported time is {text} which is more than 1 hour ago"
        )));
    }
    if signed_at.saturating_sub(now) > AHEAD_SECONDS_MAX {
        return Err(ApiError::Bad(format!(
            "Invalid timestamp {text}: it is in the future; set the clock right"
        )));
    }
    Ok(())
}

/// What a person needs to see why a signature is wrong: not the secret.
pub(super) fn shown(parameters: &[(String, String)]) -> String {
    text_to_sign(parameters, Form::AmpersandEscaped)
}

#[derive(Debug, Clone, Copy)]
enum Form {
    AmpersandEscaped,
    Plain,
}

fn text_to_sign(parameters: &[(String, String)], form: Form) -> String {
    // Fields of one list are joined, in the order in which they came.
    let mut joined: Vec<(&str, String)> = Vec::new();
    for (name, value) in parameters {
        let name = name.split('[').next().unwrap_or(name);
        if NEVER_SIGNED.contains(&name) || value.is_empty() {
            continue;
        }
        match joined.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => {
                values.push(',');
                values.push_str(value);
            }
            None => joined.push((name, value.clone())),
        }
    }
    let mut parts: Vec<String> = joined
        .into_iter()
        .map(|(name, value)| match form {
            Form::Plain => format!("{name}={value}"),
            Form::AmpersandEscaped => format!("{name}={value}").replace('&', "%26"),
        })
        .collect();
    parts.sort();
    parts.join("&")
}

/// Hex; the hash is the one whose text has so many characters. `None`: none has.
fn hash(text: &str, secret: &str, length: usize) -> Option<String> {
    let bytes = [text.as_bytes(), secret.as_bytes()].concat();
    match length {
        40 => Some(hex(&Sha1::digest(&bytes))),
        64 => Some(hex(&Sha256::digest(&bytes))),
        _ => None,
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        text.iter().map(owned).collect()
    }

    #[test]
    fn the_vectors_of_both_sdks_are_accepted_and_nothing_near_them_is() {
        let upload = fields(&[
            ("backup", "1"),
            ("overwrite", "0"),
            ("public_id", "folder/a b"),
            ("public_ids[]", "a"),
            ("public_ids[]", "b"),
            ("tags", "x,y&z"),
            ("timestamp", "1700000000"),
            ("api_key", "key123"),
            ("empty", ""),
        ]);
        for signature in [
            "f8c41888d3cceb34401eb02b5cd689c3cbfdea93",
            "0f8299c3d83f485eff0fcd8031c49d431c93f999",
            "26d7f6db990f330f684eb280cad00c4612b8ee98cb56940cee113082684d784f",
        ] {
            assert!(is_valid(&upload, signature, "secret456"), "{signature}");
            assert!(!is_valid(&upload, signature, "secret457"));
            assert!(!is_valid(&upload[1..], signature, "secret456"));
        }
        let download = fields(&[
            ("asset_id", "62c2a18d622be7e190d21df8e05b1416"),
            ("timestamp", "1700000000"),
            ("version_id", "26fe6d95df856f6ae12f5678be94516a"),
        ]);
        for signature in [
            "ff6655163dee5035404abbe1a31e9fef3d1780d1",
            "72fc1fcebf98666f6157b31c83b81de45fbf470d39a0807254dd3a7b1ad9430e",
        ] {
            assert!(is_valid(&download, signature, "secret456"), "{signature}");
        }
        assert!(!is_valid(&download, "", "secret456"));
        assert_eq!(
            of_answer("sample", 1719307544, "secret456"),
            "9e830949b64d0a6b7690bc2e0e76e334a10d9d12"
        );
    }

    #[test]
    fn a_notification_address_may_be_signed_or_not() {
        let signed = fields(&[("tag", "t"), ("timestamp", "1")]);
        let expected = hash(&text_to_sign(&signed, Form::Plain), "s", 40).unwrap();
        let sent = fields(&[
            ("tag", "t"),
            ("timestamp", "1"),
            ("notification_url", "http://x"),
        ]);
        assert!(is_valid(&sent, &expected, "s"));
        let expected = hash(&text_to_sign(&sent, Form::Plain), "s", 40).unwrap();
        assert!(is_valid(&sent, &expected, "s"));
    }

    #[test]
    fn a_call_is_good_for_an_hour_and_not_before_its_time() {
        let now = Timestamp::from_parts(1_700_000_000, 0);
        for (timestamp, is_good) in [
            (Some("1700000000"), true),
            (Some("1699996400"), true),
            (Some("1699996399"), false),
            (Some("1700000301"), false),
            (Some("-9223372036854775808"), false),
            (Some("9223372036854775807"), false),
            (Some("yesterday"), false),
            (None, false),
        ] {
            assert_eq!(check_age(timestamp, now).is_ok(), is_good, "{timestamp:?}");
        }
    }
}
