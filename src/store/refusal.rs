//! What a bucket answered, in words for a person: one short line without secrets.
//!
//! Whatever is in it was written by the bucket. The surprise: of the XML in which S3 and
//! its like refuse, only the code and the message are shown.

const CHARS_MAX: usize = 400;

/// The codes of a request whose time is not the bucket's.
const SKEWED: [&str; 2] = ["RequestTimeTooSkewed", "Request date header too old"];

/// One line of bounded length, and no query of a URL: signatures stand there.
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
    let line = words.collect::<Vec<_>>().join(" ");
    let line = line.chars().filter(|c| !c.is_control()).take(CHARS_MAX);
    let line: String = line.collect();
    match SKEWED.iter().any(|code| text.contains(code)) {
        true => format!("{line}: set this machine's clock"),
        false => line,
    }
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
            "Error performing PUT https://x/y in 3s - 403 (https://x/)"
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
    fn a_clock_that_is_off_is_named_however_long_the_rest_is() {
        let xml = format!(
            "<Error><Code>RequestTimeTooSkewed</Code><Message>{}</Message></Error>",
            "x".repeat(1_000)
        );
        assert!(line(&xml).starts_with("RequestTimeTooSkewed: x"));
        assert!(line(&xml).ends_with(": set this machine's clock"));
    }
}
