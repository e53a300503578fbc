//! What is asked for only where nothing else decides.

use std::cell::Cell;

use super::Expression;
use super::sample::{Sample, parsed};

#[test]
fn dimensions_are_asked_for_once_and_only_where_nothing_else_decides() {
    let asked = Cell::new(0);
    let picture = Sample::tagged(&["a"]);
    let ask = |expression: &Expression| {
        asked.set(0);
        let dimensions = || {
            asked.set(asked.get() + 1);
            Some((100, 100))
        };
        let matches = picture.borrowed(&dimensions, |subject| expression.matches(subject));
        (matches, asked.get())
    };
    assert_eq!(ask(&parsed("tags:a")), (true, 0));
    assert_eq!(ask(&parsed("width>50 height>50 pixels>50")), (true, 1));
    assert_eq!(ask(&parsed("width>50 AND tags:b")), (false, 0));
    assert_eq!(ask(&parsed("(width>50 height>5) OR tags:a")), (true, 0));
    assert_eq!(ask(&parsed("-width>50 tags:b")), (false, 0));
    assert_eq!(ask(&parsed("status:deleted width>50")), (false, 0));
}
