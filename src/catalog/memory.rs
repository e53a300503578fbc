//! The catalog in memory, for tests of the rules.
