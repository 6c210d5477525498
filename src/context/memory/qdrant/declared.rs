//! Whether a collection that is there fits its declaration.

use ::qdrant_client::Qdrant as Client;
use ::qdrant_client::qdrant::{
    CollectionInfo, Distance, Modifier, ScrollPointsBuilder, vectors_config::Config,
};

use super::errors::{failed, invalid};
use super::{DENSE, WORDS, values};
use crate::context::memory::{Collection, MemoryError};

/// A collection that we made, or would have.
pub(super) fn check_ours(
    collection: &Collection,
    info: &CollectionInfo,
) -> Result<(), MemoryError> {
    let name = &collection.name;
    let params = info.config.as_ref().and_then(|config| config.params.as_ref());
    let sparse = params.and_then(|params| params.sparse_vectors_config.as_ref());
    let words = sparse.and_then(|sparse| sparse.map.get(WORDS));
    let foreign = |what: &str| {
        Err(invalid(format!(
            "collection `{name}` is there, but not as ours: {what}; declare it with `tenant: none` if another tool \
             writes it, or use another name"
        )))
    };
    let Some(words) = words else {
        return foreign("it has no sparse vector `words`");
    };
    if words.modifier != Some(Modifier::Idf as i32) {
        return foreign("its sparse vector `words` lacks the modifier `idf`");
    }
    let there = match params.and_then(|p| p.vectors_config.as_ref()).and_then(|v| v.config.as_ref())
    {
        None => None,
        Some(Config::Params(_)) => return foreign("its dense vector has no name"),
        Some(Config::ParamsMap(named)) => named.map.get(DENSE),
    };
    if there.is_some_and(|dense| dense.distance != Distance::Cosine as i32) {
        return foreign("its vector `dense` is not compared by cosine");
    }
    collection.made_with(there.map(|dense| dense.size as usize))
}

/// A collection that another tool made.
pub(super) fn check_foreign(
    collection: &Collection,
    info: &CollectionInfo,
) -> Result<(), MemoryError> {
    let name = &collection.name;
    let params = info.config.as_ref().and_then(|config| config.params.as_ref());
    let config = params.and_then(|p| p.vectors_config.as_ref()).and_then(|v| v.config.as_ref());
    let Some(Config::Params(dense)) = config else {
        return Err(invalid(format!(
            "collection `{name}` has no default vector: one that another tool writes is searched by it"
        )));
    };
    if collection.dimensions.is_none() {
        return Err(invalid(format!(
            "collection `{name}` belongs to another tool and is searched by vectors alone: give it an `embedder`"
        )));
    }
    collection.made_with(Some(dense.size as usize))
}

/// Whether its passages have their text where the settings say. An empty collection passes.
pub(super) async fn check_text(
    client: &Client,
    collection: &Collection,
) -> Result<(), MemoryError> {
    let name = &*collection.name;
    let request = ScrollPointsBuilder::new(name).limit(1).with_payload(true);
    let reply = client.scroll(request).await.map_err(|e| failed(name, e))?;
    let Some(point) = reply.result.into_iter().next() else { return Ok(()) };
    let fields = values::fields(point.payload);
    if fields.get(&collection.text).is_some_and(serde_json::Value::is_string) {
        return Ok(());
    }
    let mut texts: Vec<&str> =
        fields.iter().filter(|(_, value)| value.is_string()).map(|(name, _)| &**name).collect();
    texts.sort_unstable();
    Err(invalid(format!(
        "passages of collection `{name}` have no text in field `{}`: their text fields are {texts:?}; say which under \
         `memory.collections.{name}.text`",
        collection.text
    )))
}
