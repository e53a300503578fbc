//! docs/semantics.md, executed: every example on a real mount, every line of output compared.
//!
//! A block marked `sh` holds commands (`$ `, continued with `> `) and what they print; each
//! section runs on a fresh mount, with the settings of its `toml` block if it has one. The
//! surprise: a command that fails in silence fails the test, so `test`, `cmp` and `grep -q`
//! are examples, too.

use std::collections::BTreeMap;
use std::fmt::Write;

use keepfs::policy::TRANSIENT_RULES;

use crate::harness::{Mount, Setup, is_id, keepfs_binary, output, text};

const PAGE: &str = include_str!("../../docs/semantics.md");

/// One `## ` section.
#[derive(Debug, Default)]
struct Section {
    title: String,
    settings: Vec<(String, String)>,
    examples: Vec<Example>,
}

/// A command and the lines it shall print.
#[derive(Debug, PartialEq, Eq)]
struct Example {
    command: String,
    expected: Vec<String>,
}

fn sections(page: &str) -> Vec<Section> {
    let mut found = vec![Section::default()];
    let mut block: Option<&str> = None;
    for line in page.lines() {
        let section = found.last_mut().expect("there is always one");
        match (block, line) {
            (None, _) if line.starts_with("## ") => found.push(Section {
                title: line[3..].into(),
                ..Section::default()
            }),
            (None, _) => block = line.strip_prefix("```"),
            (Some(_), "```") => block = None,
            (Some("sh"), _) => read_example(&mut section.examples, line),
            (Some("toml"), _) => {
                let (key, value) = line.split_once(" = ").expect("key = value");
                section.settings.push((key.into(), value.into()));
            }
            (Some(_), _) => {}
        }
    }
    found
}

fn read_example(examples: &mut Vec<Example>, line: &str) {
    if let Some(command) = line.strip_prefix("$ ") {
        examples.push(Example {
            command: command.into(),
            expected: Vec::new(),
        });
        return;
    }
    let example = examples.last_mut().expect("a block begins with a command");
    match line.strip_prefix("> ") {
        Some(more) if example.expected.is_empty() => {
            example.command.push('\n');
            example.command.push_str(more);
        }
        _ => example.expected.push(line.into()),
    }
}

/// Ids that the page gave names to: `<id1>` is the same id wherever it stands in a section.
type Named = BTreeMap<String, String>;

/// Does a text fit a pattern of the page, from here to its end?
fn fits(pattern: &str, text: &str, named: &mut Named) -> bool {
    if let Some(rest) = pattern.strip_prefix("...") {
        return (0..=text.len())
            .filter(|at| text.is_char_boundary(*at))
            .any(|at| fits(rest, &text[at..], &mut named.clone()));
    }
    if let Some((word, rest)) = pattern
        .strip_prefix('<')
        .and_then(|rest| rest.split_once('>'))
        && let Some(length) = length_of(word, text, named)
    {
        return fits(rest, &text[length..], named);
    }
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some(a), Some(b)) if a == b => {
            fits(&pattern[a.len_utf8()..], &text[b.len_utf8()..], named)
        }
        _ => false,
    }
}

/// How much of a text a placeholder takes. `None`: it is none, or does not fit.
fn length_of(word: &str, text: &str, named: &mut Named) -> Option<usize> {
    let run = |takes: fn(char) -> bool| {
        let length = text.find(|c| !takes(c)).unwrap_or(text.len());
        (length > 0).then_some(length)
    };
    if word.contains('|') {
        return word
            .split('|')
            .find(|choice| text.starts_with(choice))
            .map(str::len);
    }
    match word {
        "number" => run(|c| c.is_ascii_digit()),
        "time" => run(|c| c.is_ascii_digit() || "-:TZ.".contains(c)),
        "hash" => run(|c| c.is_ascii_hexdigit()).filter(|length| *length == 64),
        _ if word.starts_with("id") => {
            let id = text.get(..32).filter(|id| is_id(id))?;
            let same = word == "id" || named.entry(word.into()).or_insert_with(|| id.into()) == id;
            same.then_some(32)
        }
        _ => None,
    }
}

/// A line `...` stands for any number of lines.
fn all_fit(expected: &[String], got: &[&str], named: &mut Named) -> bool {
    match (expected.split_first(), got.split_first()) {
        (None, None) => true,
        (Some((any, rest)), _) if any == "..." => {
            (0..=got.len()).any(|skip| all_fit(rest, &got[skip..], &mut named.clone()))
        }
        (Some((pattern, more)), Some((line, others))) => {
            fits(pattern, line, named) && all_fit(more, others, named)
        }
        _ => false,
    }
}

/// Runs one example; says what is wrong with it.
fn run(m: &Mount, example: &Example, named: &mut Named) -> Option<String> {
    let binary = keepfs_binary();
    let directory = binary.parent().expect("a directory").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let done = output(
        m.command("bash")
            .env("PATH", format!("{directory}:{path}"))
            .args(["-c", &format!("exec 2>&1; umask 022\n{}", example.command)]),
    );
    let printed = text(&done.stdout);
    let got: Vec<&str> = printed.lines().collect();
    if !all_fit(&example.expected, &got, named) {
        let expected = example.expected.join("\n");
        return Some(format!(
            "the page says:\n{expected}\nit printed:\n{printed}"
        ));
    }
    let silent = got.is_empty() && !done.status.success();
    silent.then(|| format!("{}, without a word", done.status))
}

#[test]
fn every_example_of_the_page_does_what_the_page_says() {
    let sections = sections(PAGE);
    let mut examples = 0;
    let mut wrong = String::new();
    for section in sections.iter().filter(|s| !s.examples.is_empty()) {
        let mut setup = Setup::new();
        for (key, value) in &section.settings {
            setup = setup.config(key, value);
        }
        let m = setup.start();
        let mut named = Named::new();
        for example in &section.examples {
            examples += 1;
            if let Some(problem) = run(&m, example, &mut named) {
                let _ = writeln!(
                    wrong,
                    "--- {}\n$ {}\n{problem}",
                    section.title, example.command
                );
            }
        }
    }
    assert!(wrong.is_empty(), "docs/semantics.md:\n{wrong}");
    assert!(examples > 100, "only {examples} examples were found");
}

#[test]
fn the_pages_table_of_transient_names_is_the_codes() {
    let (_, after) = PAGE
        .split_once("| name | who makes it |\n|---|---|\n")
        .expect("the table");
    let page: Vec<String> = after
        .lines()
        .take_while(|line| line.starts_with('|'))
        .map(str::to_owned)
        .collect();
    let code: Vec<String> = TRANSIENT_RULES
        .iter()
        .map(|rule| format!("| `{}` | {} |", rule.pattern, rule.tool))
        .collect();
    assert_eq!(page, code);
}

#[test]
fn the_comparison_of_examples_is_no_formality() {
    let compare = |pattern: &str, text: &str| {
        let expected: Vec<String> = pattern.lines().map(str::to_owned).collect();
        let got: Vec<&str> = text.lines().collect();
        all_fit(&expected, &got, &mut Named::new())
    };
    let (a, b) = ("0".repeat(32), "1".repeat(32));
    assert!(compare("one\ntwo", "one\ntwo\n"));
    for (pattern, text) in [
        ("one", "one\ntwo"),
        ("one\ntwo", "one"),
        ("", "x"),
        ("one", "on"),
    ] {
        assert!(!compare(pattern, text), "{pattern:?} takes {text:?}");
    }
    assert!(compare("a...c <number>", "abbc 12") && !compare("a...c <number>", "abb 12"));
    assert!(compare("x\n...\ny", "x\ny") && compare("x\n...\ny", "x\n1\n2\ny"));
    assert!(compare("<no|yes>!", "yes!") && !compare("<no|yes>!", "maybe!"));
    assert!(compare("<id1> <id1>", &format!("{a} {a}")));
    assert!(!compare("<id1> <id1>", &format!("{a} {b}")));
    assert!(compare("<id1> <id2>", &format!("{a} {b}")) && !compare("<id>", "f00"));
    let read = sections("## A\n```sh\n$ one\n> two\nout\n```\n```toml\nk = [\"v\"]\n```\n");
    assert_eq!(read[1].title, "A");
    assert_eq!(read[1].settings, [("k".to_owned(), "[\"v\"]".to_owned())]);
    assert_eq!(read[1].examples[0].command, "one\ntwo");
    assert_eq!(read[1].examples[0].expected, ["out"]);
}
