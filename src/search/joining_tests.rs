//! What AND, OR, NOT, signs, parentheses and nothing between terms mean: who binds first,
//! shown by what is found.

use super::super::sample::{Sample, finds};

fn tagged(tags: &[&str]) -> Sample {
    Sample::tagged(tags)
}

#[test]
fn terms_side_by_side_must_all_hold() {
    let both = tagged(&["a", "b"]);
    let (a, b) = (tagged(&["a"]), tagged(&["b"]));
    for text in [
        "tags:a AND tags:b",
        "tags:a tags:b",
        "+tags:a +tags:b",
        "tags:a +tags:b",
        "tags:(a AND b)",
        "tags:(a b)",
        "tags:(+a +b)",
        "(tags:a) (tags:b)",
        "tags=(a b)",
    ] {
        finds(text, &[&both], &[&a, &b]);
    }
    finds("tags:a OR tags:b", &[&both, &a, &b], &[&tagged(&["c"])]);
    finds("tags:(a OR b)", &[&both, &a, &b], &[&tagged(&["c"])]);
}

#[test]
fn minus_and_not_leave_out() {
    let (a, b, both) = (tagged(&["a"]), tagged(&["b"]), tagged(&["a", "b"]));
    for text in [
        "tags:a NOT tags:b",
        "tags:a AND NOT tags:b",
        "tags:a -tags:b",
        "-tags:b tags:a",
        "tags:(a -b)",
        "tags:(a NOT b)",
        "tags:a NOT +tags:b",
    ] {
        finds(text, &[&a], &[&b, &both, &tagged(&[])]);
    }
    finds("-tags:a", &[&b, &tagged(&[])], &[&a, &both]);
    finds("-tags:(a OR b)", &[&tagged(&["c"])], &[&a, &b]);
    finds("-(tags:a tags:b)", &[&a, &b], &[&both]);
    finds("tags:a NOT -tags:b", &[&both], &[&a, &b]);
}

#[test]
fn not_binds_before_and_and_and_before_or() {
    let (a, bc, ac) = (tagged(&["a"]), tagged(&["b", "c"]), tagged(&["a", "c"]));
    let (b, c) = (tagged(&["b"]), tagged(&["c"]));
    finds("tags:a OR tags:b AND tags:c", &[&a, &bc, &ac], &[&b, &c]);
    finds("tags:b tags:c OR tags:a", &[&a, &bc, &ac], &[&b, &c]);
    finds("(tags:a OR tags:b) AND tags:c", &[&bc, &ac], &[&a, &b, &c]);
    finds("tags:c NOT tags:a AND tags:b", &[&bc], &[&ac, &c, &b]);
    finds("tags:a OR NOT tags:b", &[&a, &c, &ac], &[&b, &bc]);
}
