//! The parameters of a call, wherever they were: query, form, multipart or JSON.
//!
//! The SDKs differ in where they put them and in how they write lists: `k[]=a&k[]=b`,
//! `k[0]=a`, a JSON array, or one JSON string. The surprise: arguments of the command line
//! tool come as JSON numbers where they look like one, so a number is a text, too.

use form_urlencoded::parse as parse_form;
use serde_json::{Map, Value};

use super::error::{ApiError, Result};
use crate::model::Timestamp;

/// Parameters that a call can have.
const COUNT_MAX: usize = 10_000;

/// The parameters of a call.
#[derive(Debug, Default, Clone)]
pub(super) struct Parameters {
    /// As they were sent, names with their brackets; what a signature is over.
    fields: Vec<(String, String)>,
    json: Map<String, Value>,
}

impl Parameters {
    /// Those in a query or a form.
    pub(super) fn from_form(text: &[u8]) -> Result<Self> {
        let mut parameters = Self::default();
        for (name, value) in parse_form(text) {
            parameters.add(name.into_owned(), value.into_owned())?;
        }
        Ok(parameters)
    }

    /// Those in a JSON object. No text at all is none.
    pub(super) fn from_json(text: &[u8]) -> Result<Self> {
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        match serde_json::from_slice(text) {
            Ok(Value::Object(json)) => Ok(Self {
                fields: Vec::new(),
                json,
            }),
            Ok(_) => Err(ApiError::bad("Invalid JSON: the body must be an object")),
            Err(error) => Err(ApiError::Bad(format!("Invalid JSON: {error}"))),
        }
    }

    /// Adds those of another place; of one name in both, these here count.
    pub(super) fn merge(&mut self, other: Self) {
        self.fields.extend(other.fields);
        for (name, value) in other.json {
            self.json.entry(name).or_insert(value);
        }
    }

    /// Adds one field.
    pub(super) fn add(&mut self, name: String, value: String) -> Result<()> {
        if self.fields.len() == COUNT_MAX {
            return Err(ApiError::Bad(format!(
                "Too many parameters: at most {COUNT_MAX}"
            )));
        }
        self.fields.push((name, value));
        Ok(())
    }

    /// What was sent as fields, for a signature.
    pub(super) fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// Whether some of them came as JSON.
    pub(super) fn has_json(&self) -> bool {
        !self.json.is_empty()
    }

    /// One value as text. `None`: not given, or null, or empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let field = self.fields.iter().find(|(known, _)| known == name);
        let value = match field {
            Some((_, value)) => Some(value.clone()),
            None => self.json.get(name).and_then(as_text),
        };
        value.filter(|value| !value.is_empty())
    }

    /// The same, which must be there.
    pub(super) fn required(&self, name: &str) -> Result<String> {
        self.text(name)
            .ok_or_else(|| ApiError::Bad(format!("Missing required parameter - {name}")))
    }

    /// Whether it was given at all, empty or not.
    pub(super) fn has(&self, name: &str) -> bool {
        let is_field = self.fields.iter().any(|(known, _)| known == name);
        is_field || self.json.get(name).is_some_and(|value| !value.is_null())
    }

    /// Whether it says anything, in whatever form: not null, and neither an empty text nor list.
    pub(super) fn has_value(&self, name: &str) -> bool {
        let is_part = |known: &str| {
            let rest = known.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        };
        let mut fields = self.fields.iter();
        let is_field = fields.any(|(known, value)| is_part(known) && !value.is_empty());
        is_field
            || self.json(name).is_some_and(|value| match value {
                Value::String(text) => !text.is_empty(),
                Value::Array(values) => !values.is_empty(),
                Value::Object(entries) => !entries.is_empty(),
                _ => true,
            })
    }

    /// Yes or no. `None`: not given.
    pub(super) fn switch(&self, name: &str) -> Result<Option<bool>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(Some(true)),
            "0" | "false" | "no" | "off" => Ok(Some(false)),
            _ => Err(ApiError::Bad(format!(
                "Invalid value {text} for parameter {name}: give true or false"
            ))),
        }
    }

    /// A whole number within bounds. `None`: not given.
    pub(super) fn number(&self, name: &str, most: usize) -> Result<Option<usize>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if number <= most => Ok(Some(number)),
            _ => Err(ApiError::Bad(format!(
                "Invalid value {text} for parameter {name}: give a number from 0 to {most}"
            ))),
        }
    }

    /// A point in time: ISO 8601, in UTC where it does not say otherwise, or as in HTTP.
    /// `None`: not given.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let in_utc = || {
            let time: jiff::civil::DateTime = text.parse()?;
            jiff::tz::Offset::UTC.to_timestamp(time)
        };
        let time = text
            .parse()
            .or_else(|_| jiff::fmt::rfc2822::parse(&text).map(|time| time.timestamp()))
            .or_else(|_: jiff::Error| in_utc());
        match time {
            Ok(time) => Ok(Some(Timestamp::from_parts(
                time.as_second(),
                time.subsec_nanosecond().unsigned_abs(),
            ))),
            Err(_) => Err(ApiError::Bad(format!(
                "Invalid value {text} for parameter {name}: give a time as 2030-01-31 or 2030-01-31T10:00:00Z"
            ))),
        }
    }

    /// A list, in whichever form. Empty: not given.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let listed = self.fields.iter().filter(|(known, _)| {
            let index = known.strip_prefix(name);
            let index = index.and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'));
            known == name
                || index.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let mut list: Vec<String> = listed.map(|(_, value)| value.clone()).collect();
        match self.json.get(name) {
            Some(Value::Array(values)) => list.extend(values.iter().filter_map(as_text)),
            Some(value) => list.extend(as_text(value)),
            None => {}
        }
        list
    }

    /// A JSON value as it is.
    pub(super) fn json(&self, name: &str) -> Option<&Value> {
        self.json.get(name).filter(|value| !value.is_null())
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_however_it_was_written() {
        for parameters in [
            Parameters::from_form(b"ids[]=a&ids[]=b%20c").unwrap(),
            Parameters::from_form(b"ids[0]=a&ids[1]=b+c").unwrap(),
            Parameters::from_json(br#"{"ids":["a","b c"],"transformations":null}"#).unwrap(),
        ] {
            assert_eq!(parameters.list("ids"), ["a", "b c"]);
            assert!(parameters.list("id").is_empty() && parameters.list("other").is_empty());
        }
        let one = Parameters::from_json(br#"{"ids":"a,b","n":12}"#).unwrap();
        assert_eq!(
            (one.list("ids"), one.list("n")),
            (vec!["a,b".into()], vec!["12".into()])
        );
    }

    #[test]
    fn switches_and_numbers_are_read_or_refused_by_name() {
        let sent = Parameters::from_form(b"a=1&b=false&c=perhaps&n=501&e=").unwrap();
        assert_eq!(sent.switch("a").unwrap(), Some(true));
        assert_eq!(sent.switch("b").unwrap(), Some(false));
        assert_eq!(sent.switch("d").unwrap(), None);
        assert!(sent.switch("c").unwrap_err().message().contains('c'));
        assert!(
            sent.number("n", 500)
                .unwrap_err()
                .message()
                .contains("parameter n")
        );
        assert!(sent.text("e").is_none() && sent.has("e") && !sent.has("f"));
        let json = Parameters::from_json(br#"{"a":true,"b":null}"#).unwrap();
        assert_eq!(json.switch("a").unwrap(), Some(true));
        assert!(!json.has("b"));
    }

    #[test]
    fn whether_something_is_said_does_not_depend_on_its_form() {
        for (form, json) in [
            (&b"t=x"[..], r#"{"t":"x"}"#),
            (b"t[]=x", r#"{"t":["x"]}"#),
            (b"t[0][width]=100", r#"{"t":[{"width":100}]}"#),
            (b"t[width]=100", r#"{"t":{"width":100}}"#),
        ] {
            assert!(Parameters::from_form(form).unwrap().has_value("t"));
            let json = Parameters::from_json(json.as_bytes()).unwrap();
            assert!(json.has_value("t"));
        }
        for (form, json) in [
            (&b"t="[..], r#"{"t":null}"#),
            (b"t[]=", r#"{"t":[]}"#),
            (b"to=x", r#"{"t":""}"#),
        ] {
            assert!(!Parameters::from_form(form).unwrap().has_value("t"));
            let json = Parameters::from_json(json.as_bytes()).unwrap();
            assert!(!json.has_value("t"));
        }
    }

    #[test]
    fn a_time_is_read_however_the_sdks_write_it() {
        let time = |text: &str| Parameters::from_json(format!(r#"{{"t":"{text}"}}"#).as_bytes());
        for text in [
            "2024-01-15T00:00:00Z",
            "2024-01-15T01:00:00+01:00",
            "2024-01-15",
            "2024-01-15 00:00:00",
            "Mon, 15 Jan 2024 00:00:00 GMT",
        ] {
            let read = time(text).unwrap().time("t").unwrap().unwrap();
            assert_eq!(read.parts(), (1_705_276_800, 0), "{text}");
        }
        for wrong in ["yesterday", "15-01-2024", "1705276800", "2024-13-01"] {
            let refused = time(wrong).unwrap().time("t").unwrap_err();
            assert!(refused.message().contains(wrong), "{refused:?}");
        }
        assert_eq!(time("").unwrap().time("t").unwrap(), None);
    }

    #[test]
    fn what_is_no_object_is_refused_and_nothing_is_none() {
        assert!(Parameters::from_json(b"[1]").is_err());
        assert!(Parameters::from_json(b"{\"a\":").is_err());
        assert!(Parameters::from_json(b" \n").is_ok());
    }
}
