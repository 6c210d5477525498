//! The schemas that are in use: asked of the registry once each, kept for ever, since an id never changes its meaning.
//! Whoever asks for the same schema at the same time shares one question. A failure is not kept: who asks next asks
//! again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::layout::Layout;
use crate::codec::CodecError;
use crate::codec::registry::{Registry, Version, Which};

type Question<T> = Shared<BoxFuture<'static, Result<T, CodecError>>>;
type Questions<K, T> = Mutex<HashMap<K, Question<T>>>;

/// A schema to write with.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Its id.
    pub id: u32,
    /// Its layout.
    pub layout: Arc<Layout>,
}

/// The schemas of one registry.
pub struct Schemas {
    registry: Arc<dyn Registry>,
    by_id: Questions<u32, Arc<Layout>>,
    newest: Questions<String, Ready>,
    /// By subject, and by where the text of the schema lies: it is long, and asked about for every record.
    exact: Questions<(String, usize), u32>,
}

impl Schemas {
    /// Over a registry.
    pub fn new(registry: Arc<dyn Registry>) -> Self {
        Schemas {
            registry,
            by_id: Questions::default(),
            newest: Questions::default(),
            exact: Questions::default(),
        }
    }

    /// The registry.
    pub fn registry(&self) -> &Arc<dyn Registry> {
        &self.registry
    }

    /// The layout of an id.
    pub async fn layout(&self, id: u32) -> Result<Arc<Layout>, CodecError> {
        let registry = Arc::clone(&self.registry);
        once(&self.by_id, id, || {
            async move {
                let Some(schema) = registry.schema(id).await? else {
                    return Err(CodecError::permanent(
                        "unknown-schema",
                        format!("the registry knows no schema {id}"),
                    ));
                };
                Layout::parse(&schema.text, &schema.references).map(Arc::new)
            }
            .boxed()
        })
        .await
    }

    /// The newest schema of a subject as it was when first asked for.
    pub async fn newest(&self, subject: &str) -> Result<Ready, CodecError> {
        let (registry, name) = (Arc::clone(&self.registry), subject.to_owned());
        once(&self.newest, subject.to_owned(), || {
            async move {
                let Some(Version { id, schema, .. }) = registry.find(&name, Which::Latest).await?
                else {
                    return Err(CodecError::permanent(
                        "unknown-subject",
                        format!("the registry has no subject `{name}`: register its schema first"),
                    ));
                };
                let layout = Layout::parse(&schema.text, &schema.references).map(Arc::new)?;
                Ok(Ready { id, layout })
            }
            .boxed()
        })
        .await
    }

    /// The id that a shipped schema has in a subject.
    pub async fn id_of(&self, subject: &str, text: &'static str) -> Result<u32, CodecError> {
        let (registry, name) = (Arc::clone(&self.registry), subject.to_owned());
        once(&self.exact, (subject.to_owned(), text.as_ptr().addr()), || {
            async move {
                match registry.find(&name, Which::Text(text)).await? {
                    Some(version) => Ok(version.id),
                    None => Err(CodecError::permanent(
                        "unknown-subject",
                        format!("subject `{name}` does not have the schema of this version"),
                    )),
                }
            }
            .boxed()
        })
        .await
    }
}

async fn once<K, T>(
    questions: &Questions<K, T>,
    key: K,
    ask: impl FnOnce() -> BoxFuture<'static, Result<T, CodecError>>,
) -> Result<T, CodecError>
where
    K: Hash + Eq + Clone,
    T: Clone,
{
    let open = |questions: &Questions<K, T>| {
        questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key.clone())
            .or_insert_with(|| ask().shared())
            .clone()
    };
    let question = open(questions);
    let answer = question.clone().await;
    if answer.is_err() {
        let mut questions = questions.lock().unwrap_or_else(PoisonError::into_inner);
        if questions.get(&key).is_some_and(|there| there.ptr_eq(&question)) {
            questions.remove(&key);
        }
    }
    answer
}
