//! Since when the journal lacks something that the catalog knows.
//!
//! The moment is noted when somebody first looks, which the vault does after each commit,
//! and survives a kill. It ends with the publishing that leaves nothing behind.

use super::super::Shared;
use super::super::error::Result;
use crate::catalog::Catalog;
use crate::model::Timestamp;

/// In nanoseconds.
const SETTING: &str = "local.unpublished_since";

/// Since when something waits to be published. `None`: nothing does.
pub(in crate::store) fn since(shared: &Shared) -> Result<Option<Timestamp>> {
    let mut catalog = shared.catalog()?;
    if !catalog.has_unpublished()? {
        return Ok(None);
    }
    let known = catalog.setting(SETTING)?;
    if let Some(nanos) = known.and_then(|text| text.parse().ok()) {
        return Ok(Some(Timestamp::from_nanos(nanos)));
    }
    let now = shared.clock.now();
    catalog.set_setting(SETTING, Some(&now.nanos().to_string()))?;
    Ok(Some(now))
}

pub(super) fn forget(catalog: &mut dyn Catalog) -> Result<()> {
    Ok(catalog.set_setting(SETTING, None)?)
}
