//! The document names each call that is served: whatever paths can be put together of the
//! words of the router are looked for in it, and its own are asked of the router.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use serde_json::Value;

use super::OPENAPI;
use crate::server::api::route::Route;

const ROUTER: &str = include_str!("route.rs");
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];
const CLOUD: &str = "demo";

/// Which call it is, by the name of its variant.
fn name_of(method: &str, path: &str) -> Option<String> {
    let method: Method = method.parse().unwrap();
    let route = Route::of(&method, path, CLOUD).ok()?;
    let shown = format!("{route:?}");
    let name = shown.split(|c: char| !c.is_alphanumeric()).next()?;
    Some(name.to_owned())
}

/// A call of the document.
struct Documented {
    method: String,
    /// Segments of its path, each with what can stand there; `None`: anything.
    segments: Vec<Option<Vec<String>>>,
    name: String,
}

impl Documented {
    fn matches(&self, method: &str, path: &str, name: &str) -> bool {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        // What stands for anything at the end stands for what is below it, too.
        let is_open = matches!(self.segments.last(), Some(None));
        let is_long_enough = match is_open {
            true => parts.len() >= self.segments.len(),
            false => parts.len() == self.segments.len(),
        };
        let mut pairs = self.segments.iter().zip(&parts);
        let fits = |(words, part): (&Option<Vec<String>>, &&str)| {
            words
                .as_ref()
                .is_none_or(|words| words.iter().any(|word| word == part))
        };
        (self.method == method && self.name == name) && is_long_enough && pairs.all(fits)
    }
}

/// What can stand for a parameter of a path.
fn words_of(call: &Value, parameter: &str) -> Option<Vec<String>> {
    let parameters = call["parameters"].as_array()?;
    let named = parameters.iter().find(|known| known["name"] == parameter)?;
    let words = named["schema"]["enum"].as_array()?.iter();
    Some(words.map(|word| word.as_str().unwrap().into()).collect())
}

fn documented() -> Vec<Documented> {
    let document: Value = serde_json::from_str(&OPENAPI.replace("{cloud_name}", CLOUD)).unwrap();
    let mut found = Vec::new();
    for (path, calls) in document["paths"].as_object().unwrap() {
        for (method, call) in calls.as_object().unwrap() {
            let method = method.to_uppercase();
            let segments = path.split('/').skip(1).map(|segment| {
                let parameter = segment
                    .strip_prefix('{')
                    .and_then(|rest| rest.strip_suffix('}'));
                match parameter {
                    Some(parameter) => words_of(call, parameter),
                    None => Some(vec![segment.to_owned()]),
                }
            });
            let segments: Vec<_> = segments.collect();
            let sample = segments.iter().map(|words| match words {
                Some(words) => words[0].as_str(),
                None => "x",
            });
            let sample = format!("/{}", sample.collect::<Vec<_>>().join("/"));
            let name = name_of(&method, &sample);
            let name = name.unwrap_or_else(|| panic!("{method} {path} is not served"));
            found.push(Documented {
                method,
                segments,
                name,
            });
        }
    }
    found
}

/// Each path of the words of the router, and a word that it does not know.
fn paths() -> Vec<String> {
    let code = ROUTER.split("#[cfg(test)]").next().unwrap();
    let words: BTreeSet<&str> = code
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|word| {
            word.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'.')
        })
        .filter(|word| !word.is_empty())
        .chain(["image", "video", "raw", "x"])
        .collect();
    assert!(words.contains("initial_backup") && words.contains("restore"));
    let mut all = vec!["/".to_owned()];
    for prefix in ["/", &format!("/{CLOUD}/"), &format!("/v1_1/{CLOUD}/")] {
        for first in &words {
            all.push(format!("{prefix}{first}"));
            for second in &words {
                all.push(format!("{prefix}{first}/{second}"));
                for third in &words {
                    all.push(format!("{prefix}{first}/{second}/{third}"));
                    if *first == "resources" {
                        all.extend(
                            words
                                .iter()
                                .map(|fourth| format!("{prefix}{first}/{second}/{third}/{fourth}")),
                        );
                    }
                }
            }
        }
    }
    all
}

#[test]
fn each_call_that_is_served_is_in_the_document() {
    let documented = documented();
    let (mut missing, mut reached) = (BTreeMap::new(), BTreeSet::new());
    for path in paths() {
        for method in METHODS {
            let Some(name) = name_of(method, &path) else {
                continue;
            };
            reached.insert(name.clone());
            let mut calls = documented.iter();
            if !calls.any(|call| call.matches(method, &path, &name)) {
                missing.insert((method, name), path.clone());
            }
        }
    }
    assert!(missing.is_empty(), "not in the document: {missing:#?}");
    let variants = ROUTER.split("enum Route {").nth(1).unwrap();
    let variants = variants.split("\n}").next().unwrap().lines();
    for variant in variants
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
    {
        let name = variant.split(['(', ',']).next().unwrap();
        assert!(
            name.is_empty() || reached.contains(name),
            "no path above leads to {name}"
        );
    }
}
