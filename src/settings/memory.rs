//! `memory`: the store of passages and its collections.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::desk::Desk;
use crate::base::nearest::suggestion;
use crate::base::secret::Secret;
use crate::base::yaml::{Spanned, Tree};
use crate::context::memory::words::Language;

/// The payload field with the text, unless a collection says otherwise.
const TEXT: &str = "text";

/// Vector memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySettings {
    /// The store.
    pub store: Store,
    /// Collections by name.
    pub collections: BTreeMap<Arc<str>, CollectionSettings>,
}

/// The store.
#[derive(Clone, Debug, Default)]
pub enum Store {
    /// The local file.
    #[default]
    Local,
    /// A server.
    Qdrant {
        /// Address.
        url: String,
        /// Key.
        api_key: Option<Secret>,
    },
}

/// A collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionSettings {
    /// The model that makes vectors of its texts.
    pub embedder: Option<Arc<str>>,
    /// The payload field with the text.
    pub text: Arc<str>,
    /// The language of its texts.
    pub language: Language,
    /// Whether passages belong to tenants; false for a collection that another tool writes.
    pub tenants: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemorySpec {
    qdrant: Option<QdrantSpec>,
    collections: Option<Tree>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QdrantSpec {
    url: Spanned<String>,
    api_key: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CollectionSpec {
    embedder: Option<Spanned<String>>,
    text: Option<Spanned<String>>,
    tenant: Option<TenantSpec>,
    language: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum TenantSpec {
    None,
}

/// The memory, and where each embedder is named.
pub(super) fn read(
    desk: &mut Desk<'_>,
    key: &Spanned<String>,
    tree: &Tree,
) -> Option<(MemorySettings, Vec<Spanned<String>>)> {
    let spec: MemorySpec = desk.under(key, tree)?;
    let mut memory = MemorySettings::default();
    let mut embedders = Vec::new();
    if let Some(qdrant) = spec.qdrant
        && let Some(url) = desk.url(&qdrant.url)
    {
        let api_key = qdrant.api_key.map(|key| Secret::new(key.value));
        memory.store = Store::Qdrant { url, api_key };
    }
    let entries = spec.collections.as_ref().map(|tree| desk.named("collections", tree));
    for (name, tree) in entries.unwrap_or_default() {
        let (Some(known), Some(spec)) = (desk.name(name), desk.under::<CollectionSpec>(name, tree))
        else {
            continue;
        };
        let embedder = spec.embedder.as_ref().map(|embedder| embedder.value.as_str().into());
        embedders.extend(spec.embedder);
        let text = spec.text.map_or_else(|| TEXT.into(), |text| text.value.into());
        let tenants = spec.tenant.is_none();
        let language = spec.language.map_or_else(Language::default, |word| language(desk, &word));
        let collection = CollectionSettings { embedder, text, tenants, language };
        memory.collections.insert(known, collection);
    }
    Some((memory, embedders))
}

fn language(desk: &mut Desk<'_>, word: &Spanned<String>) -> Language {
    Language::from_name(&word.value).unwrap_or_else(|| {
        let message = format!("`{}` is no language whose words are known", word.value);
        let help = suggestion(&word.value, "languages are", Language::NAMES.iter().copied());
        desk.error(word.place(), "unknown-word", message, help.as_deref());
        Language::default()
    })
}
