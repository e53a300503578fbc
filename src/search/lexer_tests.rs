//! Which symbols a text is, and where one cannot be read.

use super::super::error::SearchError;
use super::*;

fn symbols(text: &str) -> Vec<Symbol> {
    let tokens = tokens(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    tokens.into_iter().map(|token| token.symbol).collect()
}

/// The symbols as messages show them.
fn shown(text: &str) -> String {
    let shown: Vec<String> = symbols(text).iter().map(Symbol::shown).collect();
    shown.join(" ")
}

fn value(text: &str) -> Value {
    match symbols(text).as_slice() {
        [Symbol::Value(value), Symbol::End] => value.clone(),
        other => panic!("{text}: {other:?}"),
    }
}

#[track_caller]
fn refused(text: &str, position: usize, problem: &str) {
    match tokens(text) {
        Ok(tokens) => panic!("{text}: {tokens:?}"),
        Err(error @ SearchError { .. }) => {
            assert_eq!(error.position, position, "{text}: {error}");
            assert_eq!(error.problem, problem, "{text}");
        }
    }
}

#[test]
fn each_symbol_is_read() {
    assert_eq!(
        shown("(a:b AND c=d) OR e>1 NOT f>=1 +g<1 -h<=1"),
        "'(' 'a' ':' 'b' 'AND' 'c' '=' 'd' ')' 'OR' 'e' '>' '1' 'NOT' 'f' '>=' '1' '+' 'g' '<' \
         '1' '-' 'h' '<=' '1' end"
    );
    assert_eq!(
        shown("[1 TO 2} {3 TO 4]"),
        "'[' '1' 'TO' '2' '}' '{' '3' 'TO' '4' ']' end"
    );
    assert_eq!(shown(" \t\n"), "end");
}

#[test]
fn positions_count_characters_and_not_bytes() {
    let positions: Vec<usize> = tokens("äö:ü é")
        .unwrap()
        .iter()
        .map(|token| token.position)
        .collect();
    assert_eq!(positions, [1, 3, 4, 6, 7]);
}

#[test]
fn a_sign_is_one_only_before_a_term() {
    assert_eq!(shown("-a"), "'-' 'a' end");
    assert_eq!(shown("+(a)"), "'+' '(' 'a' ')' end");
    assert_eq!(shown("-\"a\""), "'-' 'a' end");
    assert_eq!(shown("a-b a+"), "'a-b' 'a+' end");
    assert_eq!(shown("a:-b"), "'a' ':' '-b' end");
    assert_eq!(shown("a>-5"), "'a' '>' '-5' end");
    assert_eq!(shown("a:(-b)"), "'a' ':' '(' '-' 'b' ')' end");
    assert_eq!(shown("a:-(b)"), "'a' ':' '-' '(' 'b' ')' end");
    assert_eq!(shown("[-5 TO -1] -a"), "'[' '-5' 'TO' '-1' ']' '-' 'a' end");
    refused("a - b", 3, "a '-' alone");
    refused("a +", 3, "a '+' alone");
}

#[test]
fn quotes_keep_special_characters_and_three_escapes_are_read_in_them() {
    for (text, expected) in [
        (r#""a b""#, "a b"),
        (r#""!(){}[]^~?=&<>|:""#, "!(){}[]^~?=&<>|:"),
        (r#""say \"hi\"""#, r#"say "hi""#),
        (r#""2\*3""#, "2*3"),
        (r#""a\\b""#, r"a\b"),
        (r#""a\:b""#, "a:b"),
        (r#""""#, ""),
        (r#""AND""#, "AND"),
    ] {
        let value = value(text);
        assert_eq!(value.text, expected, "{text}");
        assert_eq!(value.extent, Extent::Whole, "{text}");
        assert_eq!(value.bare(), None, "{text}");
    }
}

#[test]
fn a_backslash_escapes_without_quotes_too() {
    for (text, expected) in [
        (r"service\:account", "service:account"),
        (r"long\ pants", "long pants"),
        (r"2\*3", "2*3"),
        (r"\-a", "-a"),
        (r#"\"a"#, r#""a"#),
        (r"a\\", r"a\"),
    ] {
        assert_eq!(value(text).text, expected, "{text}");
    }
    refused(r"a\b", 2, r"a '\' that escapes nothing");
    refused("a\\", 2, r"a '\' that escapes nothing");
    refused(r#""a\n""#, 3, r"a '\' that escapes nothing");
}

#[test]
fn a_star_ends_a_value_and_stands_nowhere_else() {
    for text in ["dog*", "\"dog*\"", "(dog*)", "\"a dog*\"", "dog\\**"] {
        let found = symbols(text).into_iter().any(
            |symbol| matches!(symbol, Symbol::Value(value) if value.extent == Extent::Beginning),
        );
        assert!(found, "{text}");
    }
    assert_eq!(value("dog\\**").text, "dog*");
    let misplaced = "a '*' that is not at the end of a value";
    refused("*dog", 1, misplaced);
    refused("d*g", 2, misplaced);
    refused("dog**", 4, misplaced);
    refused("\"d*g\"", 3, misplaced);
    refused("\"*dog\"", 2, misplaced);
    refused("dog*\"", 4, misplaced);
    refused("*", 1, "a '*' alone");
    refused("tags:*", 6, "a '*' alone");
    refused("tags:\"*\"", 7, "a '*' alone");
    refused("(* OR a)", 2, "a '*' alone");
    refused("folder:(*)", 9, "a '*' alone");
    refused("\"folder\":*", 10, "a '*' alone");
    refused("folder *", 8, "a '*' alone");
}

#[test]
fn special_characters_without_quotes_are_refused_where_they_stand() {
    for c in ['!', '^', '~', '?', '&', '|'] {
        refused(&format!("ab{c}"), 3, &format!("unexpected '{c}'"));
    }
    refused("tags:do?", 8, "unexpected '?'");
    refused("a || b", 3, "unexpected '|'");
}

#[test]
fn quotes_go_around_a_whole_value_and_are_closed() {
    refused("ab\"c\"", 3, "a '\"' inside of a value");
    refused("\"c\"d", 4, "text directly after a closing '\"'");
    refused("\"c\"\"d\"", 4, "text directly after a closing '\"'");
    refused("\"c\"*", 4, "text directly after a closing '\"'");
    refused("a:\"bc", 3, "an opening '\"' without a closing one");
    refused("\"a\\\"", 1, "an opening '\"' without a closing one");
    assert_eq!(shown("(\"a\")"), "'(' 'a' ')' end");
}

#[test]
fn operators_are_words_in_capitals_without_quotes() {
    assert_eq!(symbols("AND OR NOT").len(), 4);
    for text in ["and", "Or", "not", "ANDY", "\"OR\"", "NOT*", "TO"] {
        assert!(matches!(symbols(text)[0], Symbol::Value(_)), "{text}");
    }
}

#[test]
fn the_colons_of_a_time_separate_nothing() {
    assert_eq!(
        shown("a>2024-01-15T10:00:00Z [2024-01-15T10:00:00+02:00 TO 1d]"),
        "'a' '>' '2024-01-15T10:00:00Z' '[' '2024-01-15T10:00:00+02:00' 'TO' '1d' ']' end"
    );
    assert_eq!(shown("2024-01-15:1"), "'2024-01-15' ':' '1' end");
    assert_eq!(shown("2024-01-15T1:b"), "'2024-01-15T1' ':' 'b' end");
    assert_eq!(shown("ab24-01-15T1:1"), "'ab24-01-15T1' ':' '1' end");
}
