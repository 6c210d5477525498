//! From the settings' providers, models and prices to what answers.
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::connect::ConnectError;
use crate::base::clock::Clock;
use crate::model::Model;
use crate::settings::Settings;

/// Everything that a pipeline may ask for by name.
pub fn build(
    _settings: &Settings,
    _asked: &BTreeSet<Arc<str>>,
    _clock: &Arc<dyn Clock>,
) -> Result<HashMap<Arc<str>, Arc<dyn Model>>, ConnectError> {
    Ok(HashMap::new())
}
