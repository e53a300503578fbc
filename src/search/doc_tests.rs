//! `docs/search.md` says what is so: its examples are run against its own table of files.

use super::sample::{Sample, parsed, refused, time};
use super::{Order, Status};

const PAGE: &str = include_str!("../../docs/search.md");

/// The lines of the code blocks in this language.
fn lines(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}");
    let mut inside = false;
    let mut found = Vec::new();
    for line in PAGE.lines() {
        match line {
            "```" => inside = false,
            line if line.starts_with("```") => inside = line == opening,
            line if inside => found.push(line),
            _ => {}
        }
    }
    assert!(!found.is_empty(), "the page has examples in {language}");
    found
}

/// The table of files: the rows that begin with a name in code and have its columns.
fn files() -> Vec<Sample> {
    let header = PAGE
        .lines()
        .position(|line| line.starts_with("| public_id | tags |"));
    let rows = PAGE.lines().skip(header.unwrap() + 2);
    rows.take_while(|row| row.starts_with('|'))
        .map(file)
        .collect()
}

fn file(row: &str) -> Sample {
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    let [
        "",
        public_id,
        tags,
        context,
        bytes,
        pixels,
        created,
        status,
        "",
    ] = cells[..]
    else {
        panic!("{row}");
    };
    let public_id = public_id.trim_matches('`');
    let pair = |text: &str, by| {
        let (one, other) = text.split_once(by)?;
        Some((one.to_owned(), other.to_owned()))
    };
    let number = |text: String| text.parse::<u32>().unwrap();
    Sample {
        format: pair(public_id, ".").map(|(_, extension)| extension),
        tags: tags
            .split(", ")
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
        context: pair(context, ": ").into_iter().collect(),
        bytes: bytes.parse().unwrap(),
        dimensions: pair(pixels, "x").map(|(width, height)| (number(width), number(height))),
        created_at: time(created),
        status: match status {
            "active" => Status::Active,
            "deleted" => Status::Deleted,
            _ => panic!("{row}"),
        },
        ..Sample::named(public_id)
    }
}

#[test]
fn each_example_finds_what_the_page_says() {
    let files = files();
    assert_eq!(files.len(), 5);
    for line in lines("search") {
        let (expression, expected) = line.split_once(" # ").unwrap_or_else(|| panic!("{line}"));
        let expression = parsed(expression.trim());
        let found: Vec<&str> = files
            .iter()
            .filter(|file| file.matches(&expression))
            .map(|file| file.public_id.rsplit('/').next().unwrap())
            .collect();
        let mut expected: Vec<&str> = expected.trim().split(", ").collect();
        expected.retain(|name| *name != "nothing");
        // The page may list them in the order that reads best.
        expected.sort_by_key(|name| found.iter().position(|found| found == name));
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn each_refusal_reads_as_the_page_says() {
    let lines = lines("refused");
    for example in lines.chunks(2) {
        assert_eq!(refused(example[0]), example[1]);
    }
}

#[test]
fn the_page_names_all_fields_to_sort_by() {
    let refusal = Order::parse([("unknown", "asc")]).unwrap_err().to_string();
    let (_, order) = PAGE.split_once("## Order").unwrap();
    let (_, names) = refusal.split_once("sort by ").unwrap();
    let (_, names) = names.split_once("sort by ").unwrap();
    for name in names.split(", ") {
        assert!(order.contains(&format!("`{name}`")), "{name}");
    }
}
