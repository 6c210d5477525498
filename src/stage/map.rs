//! `map`: a value made of other values. No service is asked.
//!
//! ```yaml
//! ticket:
//!   needs: [classify]
//!   map: { label: "{{ classify.label }}", urgent: "{{ classify.priority > 2 }}", text: "About {{ event.title }}" }
//! ```
//! A leaf that is wholly one `{{ … }}` keeps its type; any other is text.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use crate::base::template::Shape;
use crate::base::yaml::Tree;
use crate::model::Call;

use super::desk::Desk;
use super::{BuildError, Facts, Kind, Reply, Seat, Stage, StageError, StageKind, Wiring};

/// Any YAML value with templates in its leaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Params(pub Tree);

impl super::Params for Params {
    fn verb(&self) -> &'static str {
        "map"
    }

    fn check(&self, desk: &mut dyn Desk) -> Option<StageKind> {
        desk.shape(&self.0).map(|shape| Arc::new(Map { shape }) as StageKind)
    }
}

#[derive(Clone, Debug)]
struct Map {
    shape: Shape,
}

impl Kind for Map {
    fn facts(&self) -> Facts {
        Facts::default()
    }

    fn with_model(&self, _model: Arc<str>) -> Option<StageKind> {
        None
    }

    fn build(&self, _seat: &Seat, _wiring: &Wiring) -> Result<Box<dyn Stage>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Stage for Map {
    async fn run(&self, scope: &minijinja::Value, _call: &Call) -> Result<Reply, StageError> {
        Ok(Reply { value: self.shape.render(scope)?, ..Reply::default() })
    }
}
