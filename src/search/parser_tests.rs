//! Where an expression ends to be one, and the words for it. What expressions mean is
//! in the tests of joining and matching.

use super::super::sample::refused;
use super::*;

fn parse_now(text: &str) -> Result<Node, SearchError> {
    parse(text, Timestamp::from_nanos(0))
}

#[track_caller]
fn at(text: &str, position: usize, problem: &str) {
    match parse_now(text) {
        Ok(node) => panic!("{text}: {node:?}"),
        Err(error) => assert_eq!(
            (error.position, error.problem.as_str()),
            (position, problem),
            "{text}: {error}"
        ),
    }
}

#[test]
fn messages_name_the_thing_its_place_and_the_way_out() {
    assert_eq!(
        refused("tags:(a OR b))"),
        "Invalid search expression: unexpected ')' at position 14: remove it, or put a term \
         between the parentheses; as part of a value it needs quotes"
    );
    assert_eq!(
        refused("NOT tags:dog"),
        "Invalid search expression: a leading 'NOT' at position 1: it stands between terms, as \
         in 'a NOT b'; write '-' before the first one, as in '-tags:dog'"
    );
    assert_eq!(
        refused("bytes>big"),
        "Invalid search expression: 'big' is no number for 'bytes' at position 7: write it as \
         1024, 500k, 1.5m or 2gb"
    );
    assert_eq!(
        refused("created_at>1m"),
        "Invalid search expression: '1m' is no date for 'created_at' at position 12: months and \
         years have no fixed length: write hours, days or weeks as in 24h, 3d or 4w, or a date \
         as in \"2024-01-15\""
    );
}

#[test]
fn not_stands_between_clauses_only() {
    for text in [
        "a NOT b",
        "a AND NOT b",
        "a OR NOT b",
        "(a NOT b)",
        "a NOT (b NOT c)",
        "-a",
    ] {
        assert!(parse_now(text).is_ok(), "{text}");
    }
    at("NOT a", 1, "a leading 'NOT'");
    at("a AND (NOT b)", 8, "a leading 'NOT'");
    at("tags:(NOT a)", 7, "a leading 'NOT'");
    at("a NOT NOT b", 7, "unexpected 'NOT'");
    at("a NOT", 6, "unexpected end");
    at("--a", 2, "unexpected '-'");
    at("+-a", 2, "unexpected '-'");
}

#[test]
fn operators_need_a_term_on_both_sides() {
    at("AND a", 1, "unexpected 'AND'");
    at("a AND", 6, "unexpected end");
    at("a OR OR b", 6, "unexpected 'OR'");
    at("(a OR)", 6, "unexpected ')'");
    at("()", 2, "unexpected ')'");
    at("tags:()", 7, "unexpected ')'");
}

#[test]
fn parentheses_must_close() {
    at("(a", 1, "a '(' without its ')'");
    at("a (b OR (c)", 3, "a '(' without its ')'");
    at("tags:(a", 6, "a '(' without its ')'");
    at("a)", 2, "unexpected ')'");
    at(")", 1, "unexpected ')'");
}

#[test]
fn a_value_must_follow_an_operator() {
    at("tags:", 6, "unexpected end");
    at("tags: AND a", 7, "unexpected 'AND'");
    at("tags:)", 6, "unexpected ')'");
    at("tags::a", 6, "unexpected ':'");
    at("tags:=a", 6, "unexpected '='");
    at("bytes=>5", 7, "unexpected '>'");
    at("bytes>>5", 7, "unexpected '>'");
    at("bytes>(1 OR 2)", 7, "unexpected '('");
    at("bytes>[1 TO 2]", 7, "unexpected '['");
    at("bytes:>(1 OR 2)", 8, "unexpected '('");
    at("tags:-(a)", 6, "unexpected '-'");
    at("tags:a:b", 7, "unexpected ':'");
    at("tags:(a OR b:c)", 13, "unexpected ':'");
    at("aspect_ratio:16:9", 16, "unexpected ':'");
    at(":a", 1, "unexpected ':'");
    at("\"tags\":a", 7, "':' after what is no field");
    at("tag*:a", 5, "':' after what is no field");
}

#[test]
fn ranges_have_two_values_and_two_brackets() {
    at("bytes:[1 TO 2", 14, "unexpected end in a range");
    at("bytes:[", 7, "a range without its end");
    at("bytes:[1 TO", 7, "a range without its end");
    at("bytes:[1 2]", 10, "unexpected '2' in a range");
    at("bytes:[1 to 2]", 10, "unexpected 'to' in a range");
    at("bytes:[1 \"TO\" 2]", 10, "unexpected 'TO' in a range");
    at("bytes:[1 TO 2)", 14, "unexpected ')' in a range");
    at("bytes:[TO 2]", 11, "unexpected '2' in a range");
    at("bytes:[]", 8, "unexpected ']' in a range");
    at("[1 TO 2]", 1, "unexpected '['");
    at("a]", 2, "unexpected ']'");
    at("format:[a TO b]", 7, "a range after 'format'");
    at("bytes:[* TO 2]", 8, "a '*' alone");
    assert!(parse_now("unheard_of:[a TO b]").is_ok());
}

#[test]
fn values_fit_their_fields() {
    at("width>wide", 7, "'wide' is no number for 'width'");
    at("width:", 7, "unexpected end");
    at("height=1k", 8, "'1k' is no number for 'height'");
    at("bytes:[1 TO x]", 13, "'x' is no number for 'bytes'");
    at("bytes:(1 OR x)", 13, "'x' is no number for 'bytes'");
    at("bytes:1*", 7, "a '*' after '1'");
    at(
        "aspect_ratio>wide",
        14,
        "'wide' is no number for 'aspect_ratio'",
    );
    at("pixels<\"\"", 8, "'' is no number for 'pixels'");
    at(
        "created_at>yesterday",
        12,
        "'yesterday' is no date for 'created_at'",
    );
    at(
        "updated_at:[1y TO 1d]",
        13,
        "'1y' is no date for 'updated_at'",
    );
    at(
        "uploaded_at>2024-02-30",
        13,
        "'2024-02-30' is no date for 'uploaded_at'",
    );
    at("uploaded_at:2024*", 13, "a '*' after '2024'");
    at("tags>5", 5, "'>' after 'tags'");
    at("public_id:>=a", 11, "'>=' after 'public_id'");
    at("resource_type:im*", 15, "'im' with '*' for 'resource_type'");
    at("type=up*", 6, "'up' with '*' for 'type'");
}

#[test]
fn an_unknown_field_takes_any_value() {
    for text in [
        "duration>5",
        "metadata.price:[1 TO x]",
        "x:y*",
        "x<y",
        "Tags:a",
        "x:(a OR b)",
    ] {
        assert!(parse_now(text).is_ok(), "{text}");
    }
}

#[test]
fn long_deep_and_wide_expressions_are_refused_up_to_the_limit_they_are_not() {
    let long = |length: usize| "ä".repeat(length / 2);
    assert!(parse_now(&long(TEXT_MAX)).is_ok());
    at(
        &long(TEXT_MAX + 2),
        TEXT_MAX / 2 + 1,
        "more than 16 KiB of text",
    );

    let deep = |depth: usize| format!("{}a{}", "-(".repeat(depth), ")".repeat(depth));
    assert!(parse_now(&deep(DEPTH_MAX)).is_ok());
    at(
        &deep(DEPTH_MAX + 1),
        2 * DEPTH_MAX + 2,
        "more than 64 '(' inside each other",
    );
    at(
        &"(".repeat(TEXT_MAX),
        DEPTH_MAX + 1,
        "more than 64 '(' inside each other",
    );
    let values = |depth: usize| format!("tags:{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse_now(&values(DEPTH_MAX)).is_ok());
    at(
        &values(DEPTH_MAX + 1),
        DEPTH_MAX + 6,
        "more than 64 '(' inside each other",
    );
    // Side by side they are not deep.
    assert!(parse_now(&"(a) ".repeat(DEPTH_MAX + 1)).is_ok());

    assert!(parse_now(&"a ".repeat(TERMS_MAX)).is_ok());
    at(
        &"a ".repeat(TERMS_MAX + 1),
        2 * TERMS_MAX + 1,
        "more than 1000 terms",
    );
    at(
        &"a OR ".repeat(TERMS_MAX + 1),
        5 * TERMS_MAX + 1,
        "more than 1000 terms",
    );
}
