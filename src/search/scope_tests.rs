//! How far a scope reaches. That nothing outside of it matches is in `soundness_tests`.

use super::super::sample::parsed;
use super::*;

fn beginning(text: &str) -> (String, Case) {
    let scope = parsed(text).scope().clone();
    (scope.public_id_prefix, scope.prefix_case)
}

fn exact(text: &str) -> (String, Case) {
    (text.to_owned(), Case::Exact)
}

fn ignored(text: &str) -> (String, Case) {
    (text.to_owned(), Case::Ignored)
}

#[test]
fn names_and_folders_say_what_matches_begin_with() {
    for (text, expected) in [
        ("", exact("")),
        ("public_id=a/x", exact("a/x")),
        ("public_id=a/x*", exact("a/x")),
        ("public_id:A/x*", ignored("a/x")),
        ("public_id:straß*", ignored("strass")),
        ("folder=a/b", exact("a/b/")),
        ("folder=\"a/*\"", exact("a/")),
        ("folder:\"A/*\"", ignored("a/")),
        ("folder=a*", exact("a")),
        ("folder:\"\"", ignored("")),
        ("folder:\"/*\"", ignored("")),
        ("asset_folder:a/b", ignored("a/b/")),
        ("a", exact("")),
        ("filename=a", exact("")),
        ("-folder=a", exact("")),
    ] {
        assert_eq!(beginning(text), expected, "{text}");
    }
}

#[test]
fn and_takes_the_longest_beginning_and_or_what_is_common() {
    for (text, expected) in [
        ("folder=\"a/*\" tags:x", exact("a/")),
        ("folder=\"a/*\" public_id=a/bc*", exact("a/bc")),
        ("folder=\"a/*\" folder:\"a/*\"", exact("a/")),
        ("tags:x -folder=b public_id:Ab*", ignored("ab")),
        ("folder=a/x OR folder=a/y", exact("a/")),
        ("folder=(a/x OR a/y)", exact("a/")),
        ("folder=A/x OR folder:a/y", ignored("a/")),
        ("folder=ß OR folder:s", ignored("s")),
        ("folder=a OR folder=b", exact("")),
        ("folder=a OR tags:x", exact("")),
        ("(folder=a/x OR folder=a/y) folder=\"a/*\"", exact("a/")),
    ] {
        assert_eq!(beginning(text), expected, "{text}");
    }
}

#[test]
fn the_status_is_narrowed_as_far_as_it_is_known() {
    for (text, expected) in [
        ("", StatusScope::Active),
        ("tags:deleted", StatusScope::Active),
        ("deleted", StatusScope::Active),
        ("status:active", StatusScope::Active),
        ("status=deleted tags:a", StatusScope::Deleted),
        ("-status:active", StatusScope::Deleted),
        ("status:(active OR deleted)", StatusScope::Both),
        ("status:del*", StatusScope::Deleted),
        ("status:deleted OR tags:a", StatusScope::Both),
        ("-(status:deleted OR tags:a)", StatusScope::Active),
        ("-(status:deleted AND tags:a)", StatusScope::Both),
        ("status:(active deleted)", StatusScope::Active),
        ("status:pending", StatusScope::Active),
        ("status:deleted OR unheard_of:x", StatusScope::Deleted),
        ("-status:pending", StatusScope::Both),
    ] {
        assert_eq!(parsed(text).scope().status, expected, "{text}");
    }
}

#[test]
fn dimensions_are_needed_where_a_term_asks_for_them() {
    for (text, expected) in [
        ("", false),
        ("bytes>1", false),
        ("width>1", true),
        ("height>1", true),
        ("-(tags:a OR pixels>1)", true),
        ("aspect_ratio:1 tags:a", true),
    ] {
        assert_eq!(parsed(text).scope().needs_dimensions, expected, "{text}");
    }
}

#[test]
fn a_walk_enters_only_directories_on_the_way_and_below() {
    let expression = parsed("folder=\"a/bc/*\"");
    let scope = expression.scope();
    for directory in ["", "a", "a/bc", "a/bc/d"] {
        assert!(scope.reaches_into(directory), "{directory}");
    }
    for directory in ["b", "a/b", "a/bcd", "A", "a/BC"] {
        assert!(!scope.reaches_into(directory), "{directory}");
    }
    assert!(scope.admits("a/bc/x", Status::Active));
    assert!(!scope.admits("a/bc/x", Status::Deleted));
    assert!(!scope.admits("a/bcx", Status::Active));

    let expression = parsed("public_id:STRASSE/x*");
    let scope = expression.scope();
    assert!(scope.reaches_into("Straße") && scope.admits("straße/XY", Status::Active));
    assert!(!scope.reaches_into("Stras"));
}
