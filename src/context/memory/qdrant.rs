//! Memory in Qdrant, over gRPC.
//!
//! A collection of ours has two named vectors: `dense` (cosine) and `words` (sparse; the server applies the rarity of
//! each word, by the same formula as the local store). The payload holds the text under the collection's text field,
//! `id`, `tenant`, and the author's fields. A collection that another tool writes is read by its default vector alone,
//! never written.
//!
//! Writes wait until a query would see them. The client reconnects by itself; it repeats a request at most once, and
//! only when the connection was gone before.

use std::time::Duration;

use ::qdrant_client::Qdrant as Client;
use ::qdrant_client::qdrant::{
    Condition, CountPointsBuilder, CreateCollection, CreateFieldIndexCollectionBuilder,
    DeletePointsBuilder, Distance, FieldType, Filter, KeywordIndexParamsBuilder, Modifier,
    NamedVectors, PointStruct, QueryBatchPoints, SparseVectorParamsBuilder,
    SparseVectorsConfigBuilder, UpsertPointsBuilder, Vector, VectorParamsBuilder,
    VectorsConfigBuilder,
};
use async_trait::async_trait;
use serde_json::{Map, Value};

use super::words::Words;
use super::{
    Collection, Forget, Memory, MemoryError, MemoryErrorKind, Passage, Point, Query, payload,
};

mod ask;
mod declared;
mod errors;
mod values;

use errors::{failed, invalid};

/// Name of the dense vector.
const DENSE: &str = "dense";
/// Name of the sparse vector.
const WORDS: &str = "words";
/// Points of one write request.
const WRITTEN_TOGETHER: usize = 256;

/// Where the server is, and how long to wait for it.
#[derive(Clone)]
pub struct Options {
    /// The gRPC address, such as `http://localhost:6334`.
    pub url: String,
    /// Key, where the server asks for one.
    pub api_key: Option<String>,
    /// The longest that one request takes.
    pub timeout: Duration,
}

impl Options {
    /// With the default waits.
    pub fn new(url: impl Into<String>) -> Self {
        Options { url: url.into(), api_key: None, timeout: Duration::from_secs(10) }
    }
}

/// The store behind a server.
pub struct Qdrant {
    client: Client,
}

impl Qdrant {
    /// Makes the client; nothing is sent until the first request.
    pub fn new(options: Options) -> Result<Self, MemoryError> {
        let mut config = ::qdrant_client::config::QdrantConfig::from_url(&options.url)
            .timeout(options.timeout)
            .connect_timeout(options.timeout.min(Duration::from_secs(5)))
            .skip_compatibility_check();
        config.api_key = options.api_key;
        let client = config.build().map_err(|_| {
            invalid(
                "`memory.qdrant.url` is no address: expected one like `http://localhost:6334`"
                    .into(),
            )
        })?;
        Ok(Qdrant { client })
    }

    async fn make(&self, collection: &Collection) -> Result<(), MemoryError> {
        let mut sparse = SparseVectorsConfigBuilder::default();
        sparse.add_named_vector_params(
            WORDS,
            SparseVectorParamsBuilder::default().modifier(Modifier::Idf),
        );
        let dense = collection.dimensions.map(|dimensions| {
            let mut dense = VectorsConfigBuilder::default();
            dense.add_named_vector_params(
                DENSE,
                VectorParamsBuilder::new(dimensions as u64, Distance::Cosine),
            );
            dense.into()
        });
        let request = CreateCollection {
            collection_name: collection.name.to_string(),
            vectors_config: dense,
            sparse_vectors_config: Some(sparse.into()),
            ..CreateCollection::default()
        };
        match self.client.create_collection(request).await {
            // Another instance was faster.
            Err(error) if errors::is_there_already(&error) => Ok(()),
            made => made.map(|_| ()).map_err(|e| failed(&collection.name, e)),
        }
    }

    /// Without it a server looks at the passages of all tenants to answer one.
    async fn index_tenants(&self, collection: &Collection) -> Result<(), MemoryError> {
        let name = &*collection.name;
        let request = CreateFieldIndexCollectionBuilder::new(name, "tenant", FieldType::Keyword)
            .field_index_params(KeywordIndexParamsBuilder::default().is_tenant(true))
            .wait(true);
        self.client.create_field_index(request).await.map(|_| ()).map_err(|e| failed(name, e))
    }
}

#[async_trait]
impl Memory for Qdrant {
    fn name(&self) -> &'static str {
        "qdrant"
    }

    async fn ensure(&self, collection: &Collection) -> Result<(), MemoryError> {
        let name = &*collection.name;
        let exists = self.client.collection_exists(name).await.map_err(|e| failed(name, e))?;
        if !exists && collection.ours {
            self.make(collection).await?;
        }
        let info = self.client.collection_info(name).await.map_err(|e| failed(name, e))?;
        let info = info.result.unwrap_or_default();
        if !collection.ours {
            declared::check_foreign(collection, &info)?;
            return declared::check_text(&self.client, collection).await;
        }
        declared::check_ours(collection, &info)?;
        if collection.tenants && !info.payload_schema.contains_key("tenant") {
            self.index_tenants(collection).await?;
        }
        Ok(())
    }

    async fn query(
        &self,
        collection: &Collection,
        queries: Vec<Query>,
    ) -> Result<Vec<Vec<Passage>>, MemoryError> {
        let words = Words::new(collection.language);
        let mut requests = Vec::with_capacity(queries.len());
        let mut asked = Vec::with_capacity(queries.len());
        for (index, query) in queries.iter().enumerate() {
            if let Some(request) = ask::request(collection, &words, query)? {
                requests.push(request);
                asked.push(index);
            }
        }
        let mut answers = vec![Vec::new(); queries.len()];
        if requests.is_empty() {
            // Nothing to look for; but a collection that is not there is told all the same.
            self.count(collection).await?;
            return Ok(answers);
        }
        let batch = QueryBatchPoints {
            collection_name: collection.name.to_string(),
            query_points: requests,
            ..QueryBatchPoints::default()
        };
        let reply =
            self.client.query_batch(batch).await.map_err(|e| failed(&collection.name, e))?;
        if reply.result.len() != asked.len() {
            return Err(MemoryError {
                kind: MemoryErrorKind::Transient,
                message: format!(
                    "{} answers came for {} questions",
                    reply.result.len(),
                    asked.len()
                ),
            });
        }
        for (index, found) in asked.into_iter().zip(reply.result) {
            answers[index] = ask::answer(collection, queries[index].limit, found.result);
        }
        Ok(answers)
    }

    async fn remember(
        &self,
        collection: &Collection,
        points: Vec<Point>,
    ) -> Result<(), MemoryError> {
        writable(collection)?;
        let words = Words::new(collection.language);
        let mut written = Vec::with_capacity(points.len());
        for point in points {
            collection.fits(point.vector.as_deref())?;
            written.push(to_write(collection, &words, point));
        }
        while !written.is_empty() {
            let rest = written.split_off(written.len().min(WRITTEN_TOGETHER));
            let request = UpsertPointsBuilder::new(&*collection.name, written).wait(true);
            self.client.upsert_points(request).await.map_err(|e| failed(&collection.name, e))?;
            written = rest;
        }
        Ok(())
    }

    async fn forget(
        &self,
        collection: &Collection,
        tenant: &str,
        what: Forget,
    ) -> Result<(), MemoryError> {
        writable(collection)?;
        payload::check(collection, &what)?;
        let request = DeletePointsBuilder::new(&*collection.name).wait(true);
        let request = match &what {
            Forget::Id(id) => request.points([collection.key(tenant, id).to_string()]),
            Forget::Where(fields) => request.points(selected(collection, tenant, fields)),
            Forget::Outdated { of, current } => {
                let mut filter = selected(collection, tenant, of);
                filter.must_not.push(Filter::must(equal(current)).into());
                request.points(filter)
            }
        };
        self.client
            .delete_points(request)
            .await
            .map(|_| ())
            .map_err(|e| failed(&collection.name, e))
    }

    async fn count(&self, collection: &Collection) -> Result<u64, MemoryError> {
        let request = CountPointsBuilder::new(&*collection.name).exact(true);
        let reply = self.client.count(request).await.map_err(|e| failed(&collection.name, e))?;
        Ok(reply.result.map_or(0, |result| result.count))
    }
}

fn writable(collection: &Collection) -> Result<(), MemoryError> {
    if collection.ours {
        return Ok(());
    }
    Err(invalid(format!(
        "collection `{}` belongs to another tool: it is read, never written",
        collection.name
    )))
}

/// The passages of a tenant whose fields are equal.
fn selected(collection: &Collection, tenant: &str, fields: &Map<String, Value>) -> Filter {
    let mut filter = Filter::must(equal(fields));
    filter.must.push(Condition::matches("tenant", collection.tenant(tenant).to_owned()));
    filter
}

/// Conditions of [`payload::check`]ed fields.
fn equal(fields: &Map<String, Value>) -> Vec<Condition> {
    let condition = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Condition::matches(name, text.clone()),
        Value::Bool(flag) => Condition::matches(name, *flag),
        value => Condition::matches(name, value.as_i64().unwrap_or_default()),
    };
    fields.iter().map(condition).collect()
}

fn to_write(collection: &Collection, words: &Words, point: Point) -> PointStruct {
    let Point { id, tenant, text, vector, payload } = point;
    let key = collection.key(&tenant, &id).to_string();
    let mut vectors = NamedVectors::default();
    let sparse = words.passage(&text);
    if !sparse.is_empty() {
        vectors = vectors.add_vector(WORDS, Vector::from(sparse));
    }
    if let Some(vector) = vector {
        vectors = vectors.add_vector(DENSE, Vector::from(vector));
    }
    let mut fields = payload::sorted(collection, payload);
    fields.insert("id".into(), id.into());
    fields.insert("tenant".into(), collection.tenant(&tenant).into());
    fields.insert(collection.text.clone(), text.into());
    PointStruct::new(key, vectors, values::payload(fields))
}
