//! Where a passage stands: its tenant and its key, the same in every store.

use uuid::Uuid;

use super::{Collection, MemoryError, MemoryErrorKind};

/// The tenant of passages that everybody may read.
pub const EVERYBODY: &str = "*";

/// Names the keys of passages among all names of version 5; drawn once.
const NAMESPACE: Uuid = Uuid::from_u128(0x9a1c_6f0e_52d7_4b38_8e64_17c9_03fb_a2d5);

impl Collection {
    /// Whose a passage is in this collection, when `asked` writes it.
    pub fn tenant<'t>(&self, asked: &'t str) -> &'t str {
        if self.tenants { asked } else { EVERYBODY }
    }

    /// The key of a passage: the same collection, tenant and id always give the same one.
    pub fn key(&self, tenant: &str, id: &str) -> Uuid {
        let mut name = Vec::with_capacity(self.name.len() + tenant.len() + id.len() + 24);
        for part in [&*self.name, self.tenant(tenant), id] {
            name.extend_from_slice(&(part.len() as u64).to_le_bytes());
            name.extend_from_slice(part.as_bytes());
        }
        Uuid::new_v5(&NAMESPACE, &name)
    }

    /// Whether a collection that was made with these dimensions is the one declared.
    pub(super) fn made_with(&self, there: Option<usize>) -> Result<(), MemoryError> {
        if there == self.dimensions {
            return Ok(());
        }
        let side = |dimensions: Option<usize>| match dimensions {
            Some(dimensions) => format!("vectors of {dimensions} dimensions"),
            None => "no vectors".to_owned(),
        };
        let (name, made, asked) = (&self.name, side(there), side(self.dimensions));
        let message = format!(
            "collection `{name}` was made with {made}, the settings now ask for {asked}: go back to the embedder it was \
             made with, or import into a collection of another name"
        );
        Err(MemoryError { kind: MemoryErrorKind::Invalid, message })
    }

    /// Whether the vector can stand in this collection.
    pub(super) fn fits(&self, vector: Option<&[f32]>) -> Result<(), MemoryError> {
        let name = &self.name;
        let refuse = |message| Err(MemoryError { kind: MemoryErrorKind::Invalid, message });
        match (vector, self.dimensions) {
            (None, _) => Ok(()),
            (Some(_), None) => {
                refuse(format!("collection `{name}` has no dense side, but a vector came"))
            }
            (Some(vector), Some(wanted)) if vector.len() != wanted => refuse(format!(
                "collection `{name}` takes vectors of {wanted} dimensions, not {}",
                vector.len()
            )),
            (Some(vector), _) if vector.iter().any(|part| !part.is_finite()) => refuse(format!(
                "a vector for collection `{name}` holds a number that is not finite"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
