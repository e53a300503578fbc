//! Whole numbers from one to another: what `>`, `<=` and a range come to.
//!
//! Sizes, pixels and nanoseconds alike. A written value is itself a span, because a
//! day is many moments, and because `1.3k` lies between two whole bytes: that one has
//! a `first` above its `last`, and so nothing is equal to it.

/// From `first` to `last`, both included; empty if `first` is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The least.
    pub(super) first: i128,
    /// The greatest.
    pub(super) last: i128,
}

/// How a field is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// `:`
    Contains,
    /// `=`
    Equals,
    /// `>`
    Above,
    /// `<`
    Below,
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
}

/// Does a range include its end?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// `[` or `]`
    Included,
    /// `{` or `}`
    Excluded,
}

impl Operator {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Operator::Contains => ":",
            Operator::Equals => "=",
            Operator::Above => ">",
            Operator::Below => "<",
            Operator::AtLeast => ">=",
            Operator::AtMost => "<=",
        }
    }

    /// One of `>`, `<`, `>=` and `<=`.
    pub(super) const fn orders(self) -> bool {
        !matches!(self, Operator::Contains | Operator::Equals)
    }
}

impl Span {
    /// Just this number.
    pub(super) const fn exactly(number: i128) -> Span {
        Span {
            first: number,
            last: number,
        }
    }

    /// The numbers that stand in this relation to the span.
    pub(super) const fn related(self, operator: Operator) -> Span {
        let (first, last) = match operator {
            Operator::Contains | Operator::Equals => (self.first, self.last),
            Operator::Above => (self.last.saturating_add(1), i128::MAX),
            Operator::Below => (i128::MIN, self.first.saturating_sub(1)),
            Operator::AtLeast => (self.first, i128::MAX),
            Operator::AtMost => (i128::MIN, self.last),
        };
        Span { first, last }
    }

    /// From one span to another, with or without each.
    pub(super) const fn between(low: (Edge, Span), high: (Edge, Span)) -> Span {
        let from = match low.0 {
            Edge::Included => Operator::AtLeast,
            Edge::Excluded => Operator::Above,
        };
        let to = match high.0 {
            Edge::Included => Operator::AtMost,
            Edge::Excluded => Operator::Below,
        };
        Span {
            first: low.1.related(from).first,
            last: high.1.related(to).last,
        }
    }

    /// Is the number in it?
    pub(super) const fn contains(self, number: i128) -> bool {
        self.first <= number && number <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(span: Span) -> Vec<i128> {
        (0..10).filter(|number| span.contains(*number)).collect()
    }

    #[test]
    fn operators_leave_out_or_include_the_whole_value() {
        let value = Span { first: 3, last: 5 };
        for (operator, expected) in [
            (Operator::Contains, vec![3, 4, 5]),
            (Operator::Equals, vec![3, 4, 5]),
            (Operator::Above, vec![6, 7, 8, 9]),
            (Operator::Below, vec![0, 1, 2]),
            (Operator::AtLeast, vec![3, 4, 5, 6, 7, 8, 9]),
            (Operator::AtMost, vec![0, 1, 2, 3, 4, 5]),
        ] {
            assert_eq!(within(value.related(operator)), expected, "{operator:?}");
        }
    }

    #[test]
    fn a_value_between_two_whole_numbers_equals_none_but_can_be_compared() {
        let half = Span { first: 4, last: 3 };
        assert_eq!(within(half), [0; 0]);
        assert_eq!(within(half.related(Operator::Above)), [4, 5, 6, 7, 8, 9]);
        assert_eq!(within(half.related(Operator::AtMost)), [0, 1, 2, 3]);
    }

    #[test]
    fn each_edge_of_a_range_decides_for_itself() {
        let (two, five) = (Span::exactly(2), Span::exactly(5));
        for (low, high, expected) in [
            (Edge::Included, Edge::Included, vec![2, 3, 4, 5]),
            (Edge::Excluded, Edge::Included, vec![3, 4, 5]),
            (Edge::Included, Edge::Excluded, vec![2, 3, 4]),
            (Edge::Excluded, Edge::Excluded, vec![3, 4]),
        ] {
            assert_eq!(within(Span::between((low, two), (high, five))), expected);
        }
        let backwards = Span::between((Edge::Included, five), (Edge::Included, two));
        assert_eq!(within(backwards), [0; 0]);
    }
}
