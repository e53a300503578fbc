//! Vaults for tests.
