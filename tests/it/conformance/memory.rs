//! The memory room's conformance suite: what every store promises. Each behaviour takes a store and makes collections of
//! its own in it.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use vivremotion::context::memory::words::{Language, Words};
use vivremotion::context::memory::{
    Collection, Forget, Memory, MemoryErrorKind, Passage, Point, Query,
};

// The path is written out, since the end-to-end tests include this file from elsewhere.
#[path = "memory/corpus.rs"]
pub mod corpus;
#[path = "memory/finding.rs"]
mod finding;
#[path = "memory/keeping.rs"]
mod keeping;

pub use finding::*;
pub use keeping::*;

/// Hands the names of all behaviours to a macro that makes tests of them.
macro_rules! memory_behaviours {
    ($make:ident) => {
        $make! {
            a_passage_is_found_by_its_words,
            a_passage_is_found_by_its_meaning,
            both_sides_are_fused_by_rank,
            an_asker_sees_passages_of_its_tenant_and_of_everybody,
            another_tenants_passages_are_never_found,
            without_tenants_everybody_sees_everything,
            writing_again_replaces_the_passage,
            the_same_id_of_two_tenants_is_two_passages,
            what_is_forgotten_by_id_is_gone,
            forgetting_touches_its_own_tenant_alone,
            what_is_forgotten_by_fields_is_gone,
            what_an_import_left_behind_is_gone,
            forgetting_by_what_no_store_can_tell_is_refused,
            the_floor_holds_back_what_is_far,
            the_floor_says_nothing_about_words,
            a_question_without_words_finds_nothing,
            a_limit_is_a_limit,
            passages_in_any_script_are_found,
            fields_come_back_as_they_were_written,
            a_batch_is_answered_in_its_order,
            a_collection_can_be_ensured_again,
            a_collection_of_other_dimensions_is_refused,
            a_vector_of_other_dimensions_is_refused,
            a_collection_that_nobody_made_is_refused,
            fifty_questions_find_their_passage_by_words_alone,
            fifty_questions_find_their_passage_by_words_and_vectors,
        }
    };
}

// ---- what the behaviours are made of ----

/// A collection of its own for one behaviour; the process id keeps runs apart on a server that stays.
pub fn collection(name: &str, dimensions: Option<usize>) -> Collection {
    Collection {
        name: format!("{name}-{}", std::process::id()).into(),
        dimensions,
        text: "text".into(),
        ours: true,
        tenants: true,
        language: Language::English,
    }
}

/// A passage of tenant `acme`.
pub fn point(id: &str, text: &str) -> Point {
    Point {
        id: id.into(),
        tenant: "acme".into(),
        text: text.into(),
        vector: None,
        payload: Map::new(),
    }
}

/// A question of tenant `acme`.
pub fn question(text: &str) -> Query {
    Query { tenant: "acme".into(), text: text.into(), vector: None, limit: 5, min_score: None }
}

/// The point with a vector, or without.
pub fn with_vector(point: Point, vector: Option<Vec<f32>>) -> Point {
    Point { vector, ..point }
}

trait With: Sized {
    fn of(self, tenant: &str) -> Self;
    fn at(self, vector: &[f32]) -> Self;
}

impl With for Point {
    fn of(self, tenant: &str) -> Self {
        Point { tenant: tenant.into(), ..self }
    }
    fn at(self, vector: &[f32]) -> Self {
        Point { vector: Some(vector.to_vec()), ..self }
    }
}

impl With for Query {
    fn of(self, tenant: &str) -> Self {
        Query { tenant: tenant.into(), ..self }
    }
    fn at(self, vector: &[f32]) -> Self {
        Query { vector: Some(vector.to_vec()), ..self }
    }
}

fn fields(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Asks one question.
pub async fn ask(memory: &dyn Memory, collection: &Collection, query: Query) -> Vec<Passage> {
    let mut answers = memory.query(collection, vec![query]).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// The ids of an answer, in its order.
pub async fn ids(memory: &dyn Memory, collection: &Collection, query: Query) -> Vec<String> {
    ask(memory, collection, query).await.into_iter().map(|passage| passage.id).collect()
}

async fn filled(memory: &dyn Memory, collection: &Collection, points: Vec<Point>) {
    memory.ensure(collection).await.unwrap();
    memory.remember(collection, points).await.unwrap();
}

/// A vector of a text's words, each a direction drawn from its id: the more words two texts share, the nearer they are.
pub fn bag_of_words(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0; dimensions];
    for (term, times) in Words::new(Language::English).count(text).times {
        let mut draw = u64::from(term);
        for _ in 0..16 {
            draw = draw
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let sign = if draw >> 63 == 0 { 1.0 } else { -1.0 };
            vector[(draw >> 33) as usize % dimensions] += sign * f32::from(times).sqrt();
        }
    }
    vector
}
