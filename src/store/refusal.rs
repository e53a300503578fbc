//! What a bucket answered, in words for a person: one short line without secrets.
//!
//! Whatever is in it was written by the bucket. The surprise: of the XML in which S3 and
//! its like refuse, only the code and the message are shown.

const CHARS_MAX: usize = 400;

/// The codes of a request whose time is not the bucket's.
const SKEWED: [&str; 2] = ["RequestTimeTooSkewed", "Request date header too old"];

const SET_THE_CLOCK: &str = ": set this machine's clock";
const WHICH_KEY: &str = ": take the right key, or let this one do it (docs/operating.md lists what \
                         it must be allowed)";

/// Where a machine in a cloud is asked for its role, and what those do who have none.
const ROLES: [(&str, &str); 4] = [
    ("/latest/api/token", AMAZON),
    ("/latest/meta-data/iam/", AMAZON),
    (
        "/computeMetadata/v1/instance/service-accounts/",
        "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run `gcloud auth \
         application-default login`",
    ),
    (
        "/metadata/identity/oauth2/token",
        "set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING, or \
         AZURE_STORAGE_AUTH_MODE=login after `az login`",
    ),
];
const AMAZON: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile \
                      of ~/.aws/credentials";

/// What is wrong with an object that a life-cycle rule put away: it is there, and can be read
/// again when its owner says so. `None`: that is not what the bucket says.
pub(super) fn archived(text: &str) -> Option<String> {
    let is_code = |code| text.contains(&format!("<Code>{code}</Code>"));
    // Those of S3 and of Azure.
    let is_archived = ["InvalidObjectState", "BlobArchived"].iter().any(is_code);
    is_archived.then(|| ARCHIVED.into())
}

/// One line of bounded length, and no query of a URL: signatures stand there. Nor how long it
/// took: the same refusal is the same line, and is told once.
pub(super) fn line(text: &str) -> String {
    let said = without_xml(text);
    let words = said.split_whitespace().map(|word| match word.find("://") {
        Some(_) => match word.split_once('?') {
            Some((url, query)) => {
                let end = query.trim_start_matches(|c: char| !")],;".contains(c));
                format!("{url}{end}")
            }
            None => word.to_owned(),
        },
        None => word.to_owned(),
    });
    let line = without_durations(words).join(" ");
    let line = line.chars().filter(|c| !c.is_control()).take(CHARS_MAX);
    let line: String = line.collect();
    match SKEWED.iter().any(|code| text.contains(code)) {
        true => line + SET_THE_CLOCK,
        false => line,
    }
}

/// Takes away what stands as "in 1.5s,".
fn without_durations(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for word in words {
        let time = word.trim_end_matches([',', ':']);
        let number = time.trim_end_matches(|c: char| c.is_alphabetic());
        let is_duration = ["ns", "µs", "ms", "s"].contains(&&time[number.len()..])
            && number.parse::<f64>().is_ok();
        if is_duration && kept.last().is_some_and(|before| before == "in") {
            kept.pop();
            if let Some(before) = kept.last_mut() {
                before.push_str(&word[time.len()..]);
            }
            continue;
        }
        kept.push(word);
    }
    kept
}

/// The line of a refusal, and what to do about it.
pub(super) fn with_way_out(line: String) -> String {
    match line.ends_with(SET_THE_CLOCK) {
        true => line,
        false => line + WHICH_KEY,
    }
}

const ARCHIVED: &str = "the bucket moved it to an archive: bring it back there, and take away the \
                        life-cycle rule";

/// What to do where credentials were asked for at the machine's role, in vain: that is tried
/// last, when nothing else is set.
pub(super) fn without_role(line: &str) -> Option<&'static str> {
    // The first address is that of our request. What follows may be an answer's words.
    let mut words = line.split_whitespace();
    let asked = words.find(|word| word.contains("://"))?;
    let role = ROLES.iter().find(|(path, _)| asked.contains(path));
    role.map(|(_, way_out)| *way_out)
}

fn without_xml(text: &str) -> String {
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>"))
            .map(|(value, _)| value)
    };
    let start = text.find("<?xml").or_else(|| text.find("<Error>"));
    match (start, element("Code")) {
        (Some(start), Some(code)) => {
            let message = element("Message").map_or_else(String::new, |said| format!(": {said}"));
            format!("{}{code}{message}", &text[..start])
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_short_line_without_the_query_of_a_url() {
        let text = "Error performing PUT https://x/y?sv=1&sig=SECRET in 3s\n  - 403 (https://x/?sig=SECRET)";
        assert_eq!(
            line(text),
            "Error performing PUT https://x/y - 403 (https://x/)"
        );
        let retried = "Error performing GET http://x in 1.25ms, after 2 retries - in time, in 7";
        assert_eq!(
            line(retried),
            "Error performing GET http://x, after 2 retries - in time, in 7"
        );
        assert_eq!(line(&"x".repeat(10_000)).len(), CHARS_MAX);
    }

    #[test]
    fn a_refusal_in_xml_is_its_code_and_its_message() {
        let xml = "PUT: 403: <?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code>\n<Message>No.</Message><HostId>x</HostId></Error>";
        assert_eq!(line(xml), "PUT: 403: AccessDenied: No.");
        assert_eq!(line("403: <Error><Code>A</Code></Error>"), "403: A");
        for odd in [
            "<Error><Code>",
            "</Code><Code>",
            "<?xml",
            "<Message></Message>",
        ] {
            assert_eq!(line(odd), odd);
        }
    }

    #[test]
    fn a_role_that_is_asked_for_in_vain_means_that_there_are_no_credentials() {
        for (line, words) in [
            (
                "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 2s",
                "AWS_PROFILE",
            ),
            (
                "Generic GCS error: Error performing token request: Error performing GET \
                 http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token in 1s",
                "GOOGLE_APPLICATION_CREDENTIALS",
            ),
            (
                "Generic MicrosoftAzure error: Error performing token request: Error performing GET \
                 http://169.254.169.254/metadata/identity/oauth2/token in 1s",
                "AZURE_STORAGE_KEY",
            ),
        ] {
            let way_out = without_role(line).unwrap_or_default();
            assert!(way_out.contains(words), "{line}: {way_out}");
        }
        let words =
            "Error performing PUT https://b.example/p/x in 2s - 403: http://x/latest/api/token";
        assert_eq!(without_role(words), None);
        assert_eq!(without_role("no address"), None);
    }

    #[test]
    fn a_clock_that_is_off_is_named_however_long_the_rest_is() {
        let xml = format!(
            "<Error><Code>RequestTimeTooSkewed</Code><Message>{}</Message></Error>",
            "x".repeat(1_000)
        );
        assert!(line(&xml).starts_with("RequestTimeTooSkewed: x"));
        assert!(line(&xml).ends_with(": set this machine's clock"));
    }
}
