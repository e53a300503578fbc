//! Random texts: none is too strange to be read or refused, and what an expression
//! matches is within its scope.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::sample::{NOW, Sample, time};
use super::{Expression, Scope, Status};

/// What expressions are made of, and what hardly fits into one.
const PIECES: &[&str] = &[
    "AND",
    "OR",
    "NOT",
    "TO",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ":",
    "=",
    ">",
    "<",
    ">=",
    "<=",
    "+",
    "-",
    "*",
    "\"",
    "\\",
    " ",
    "?",
    "tags",
    "bytes",
    "created_at",
    "aspect_ratio",
    "folder",
    "\"a b\"",
    "\"a/*\"",
    "1d",
    "1.5m",
    "16:9",
    "2024-01-15",
    "2024-01-15T10:00:00Z",
    "İ",
    "ß",
    "\u{2028}",
    "\n",
    "\0",
];

/// Pieces that make an expression, or nearly.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(PIECES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[a-z0-9]{1,3}",
    ]
}

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
}

/// Names from so few letters that expressions find some of them.
fn name() -> impl Strategy<Value = String> {
    let component = || prop::sample::select(&["a", "A", "ab", "ß", "SS", "Σ", "ς", "İ", "a b"][..]);
    prop::collection::vec(component(), 1..4).prop_map(|components| components.join("/"))
}

fn term() -> impl Strategy<Value = String> {
    let operator = || prop::sample::select(&[":", "="][..]);
    let star = || prop::sample::select(&["", "", "*", "/*"][..]);
    prop_oneof![
        3 => (operator(), name(), star()).prop_map(|(o, n, s)| format!("public_id{o}\"{n}{s}\"")),
        3 => (operator(), name(), star()).prop_map(|(o, n, s)| format!("folder{o}\"{n}{s}\"")),
        2 => prop::sample::select(
            &["status:active", "status=deleted", "status:del*", "status:pending"][..]
        )
        .prop_map(str::to_owned),
        2 => prop::sample::select(
            &["tags:a", "a", "width>5", "height:5", "bytes<5", "unheard_of:a", "format:png"][..]
        )
        .prop_map(str::to_owned),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    term()
        .prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} {b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} NOT {b})")),
                inner.prop_map(|a| format!("(-{a})")),
            ]
        })
        // A sign must not follow a sign.
        .prop_filter("two signs", |text| !text.contains("--"))
}

fn asset() -> impl Strategy<Value = Sample> {
    let status = prop::sample::select(&[Status::Active, Status::Deleted][..]);
    let tags = prop::sample::subsequence(vec!["a".to_owned(), "b".to_owned()], 0..=2);
    let dimensions = prop::option::of((0..9_u32, 0..9_u32));
    (name(), status, tags, dimensions, 0..9_u64).prop_map(
        |(name, status, tags, dimensions, bytes)| Sample {
            status,
            tags,
            dimensions,
            bytes,
            ..Sample::named(&name)
        },
    )
}

/// Asks, and checks that everything stays within what the scope promised.
fn matches_within_scope(expression: &Expression, asset: &Sample) -> bool {
    let scope: &Scope = expression.scope();
    let asked = Cell::new(0);
    let dimensions = || {
        asked.set(asked.get() + 1);
        asset.dimensions
    };
    let matches = asset.borrowed(&dimensions, |subject| expression.matches(subject));
    assert!(
        asked.get() <= 1,
        "asked for dimensions {} times",
        asked.get()
    );
    assert!(scope.needs_dimensions || asked.get() == 0);
    if matches {
        assert!(
            scope.admits(&asset.public_id, asset.status),
            "{scope:?} {asset:?}"
        );
        assert!(scope.reaches_into(""));
        for (slash, _) in asset.public_id.match_indices('/') {
            let directory = &asset.public_id[..slash];
            assert!(scope.reaches_into(directory), "{scope:?} {directory}");
        }
    }
    matches
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_read_or_refused_in_one_line(text in prop_oneof![any::<String>(), pieces()]) {
        match Expression::parse(&text, time(NOW)) {
            Ok(expression) => {
                matches_within_scope(&expression, &Sample::tagged(&["a", "b c"]));
            }
            Err(error) => {
                let characters = text.chars().count();
                prop_assert!((1..=characters + 1).contains(&error.position), "{error}");
                prop_assert!(!error.to_string().contains(char::is_control), "{error}");
            }
        }
    }

    #[test]
    fn what_matches_is_within_the_scope(
        text in expression(),
        assets in prop::collection::vec(asset(), 1..8),
    ) {
        let expression = Expression::parse(&text, time(NOW));
        let expression = expression.map_err(|error| TestCaseError::fail(error.to_string()))?;
        for asset in &assets {
            matches_within_scope(&expression, asset);
        }
    }
}

/// The property above would hold for expressions that match nothing, too.
#[test]
fn random_expressions_do_match_some_assets() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let drawn = (expression(), asset());
    let found = (0..1_000)
        .filter(|_| {
            let (text, asset) = drawn.new_tree(&mut runner).unwrap().current();
            let expression = Expression::parse(&text, time(NOW)).unwrap();
            matches_within_scope(&expression, &asset)
        })
        .count();
    assert!((100..900).contains(&found), "{found} of 1000 match");
}
