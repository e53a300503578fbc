//! The trees over a vault in a temporary directory.
