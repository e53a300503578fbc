//! Units of change: all of it is kept, or none.
//!
//! The surprise: there are two kinds, told apart by how often they end in nothing.

use super::{Catalog, CatalogError};

/// How often the changes since a savepoint are undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// Only after a failure that nobody expects: a rollback may take as long as all that
    /// was changed since the last commit, and the savepoint costs next to nothing.
    Seldom,
    /// In the ordinary course of things: a rollback is quick, and the savepoint costs.
    Often,
}

/// Runs `work` in a savepoint: all of it is kept, or none. For work that only a failure of
/// the catalog itself can end early; for other work there is [`attempt`].
///
/// # Errors
/// What `work` failed with, after the rollback; or the savepoint's own failure.
pub fn atomically<T, E: From<CatalogError>>(
    catalog: &mut dyn Catalog,
    work: impl FnOnce(&mut dyn Catalog) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    within(Undo::Seldom, catalog, work)
}

/// The same for work that may well fail, such as a rename in the live tree.
///
/// # Errors
/// As [`atomically`].
pub fn attempt<T, E: From<CatalogError>>(
    catalog: &mut dyn Catalog,
    work: impl FnOnce(&mut dyn Catalog) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    within(Undo::Often, catalog, work)
}

fn within<T, E: From<CatalogError>>(
    undo: Undo,
    catalog: &mut dyn Catalog,
    work: impl FnOnce(&mut dyn Catalog) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    catalog.savepoint(undo)?;
    match work(catalog) {
        Ok(value) => {
            catalog.release()?;
            Ok(value)
        }
        Err(error) => {
            catalog.rollback()?;
            Err(error)
        }
    }
}
