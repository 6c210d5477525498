//! What a question costs in the local store: the exact scan of the vectors, the words, and both fused.

use std::path::Path;
use std::time::{Duration, Instant};

use vivremotion::context::memory::local::Local;
use vivremotion::context::memory::words::Language;
use vivremotion::context::memory::{Collection, Memory, Point, Query};

use super::Stage;
use crate::report::Report;

/// Questions of each kind.
const QUESTIONS: usize = 40;

/// M1: fills collections and asks.
pub fn asked(stage: &Stage, report: &mut Report) {
    let (folder, sizes) =
        (stage.services.dir("memory"), stage.pick(&[10_000, 100_000][..], &[1_000]));
    for passages in sizes {
        for dimensions in [384, 512] {
            let file = folder.join(format!("{passages}-{dimensions}.db"));
            stage.block_on(measure(&file, *passages, dimensions, report));
        }
    }
}

async fn measure(file: &Path, passages: usize, dimensions: usize, report: &mut Report) {
    let mut tell = |kind: &str, times: &[Duration]| {
        let what = format!("{passages} passages of {dimensions} numbers: {kind}");
        let times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        report.add("M1", what, "ms", None, &times);
    };
    let mut draw = Draw(1);
    let collection = Collection {
        name: "bench".into(),
        dimensions: Some(dimensions),
        text: "text".into(),
        ours: true,
        tenants: true,
        language: Language::English,
    };
    let store = Local::open(file).await.unwrap();
    store.ensure(&collection).await.unwrap();
    let began = Instant::now();
    for first in (0..passages).step_by(1_000) {
        let points = (first..first + 1_000).map(|n| Point {
            id: n.to_string(),
            tenant: "*".into(),
            text: draw.text(120),
            vector: Some(draw.vector(dimensions)),
            payload: serde_json::Map::new(),
        });
        store.remember(&collection, points.collect()).await.unwrap();
    }
    let filled = began.elapsed();
    let question = |text: String, vector: Option<Vec<f32>>| Query {
        tenant: "acme".into(),
        text,
        vector,
        limit: 5,
        min_score: None,
    };
    for (kind, words, vector) in
        [("vectors, from memory", false, true), ("words", true, false), ("both", true, true)]
    {
        let mut times = Vec::new();
        for n in 0..=QUESTIONS {
            let text = if words { draw.text(12) } else { String::new() };
            let query = question(text, vector.then(|| draw.vector(dimensions)));
            let began = Instant::now();
            store.query(&collection, vec![query]).await.unwrap();
            // The first one of all reads the vectors into memory.
            match n {
                0 if vector && !words => tell("vectors, first time", &[began.elapsed()]),
                _ => times.push(began.elapsed()),
            }
        }
        tell(kind, &times);
    }
    drop(store);
    let store = Local::with_cache(file, 0).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..QUESTIONS {
        let query = question(String::new(), Some(draw.vector(dimensions)));
        let began = Instant::now();
        store.query(&collection, vec![query]).await.unwrap();
        times.push(began.elapsed());
    }
    tell("vectors, from the file", &times);
    tell("all written", &[filled]);
}

/// Words as a language has them: a few very common, most of them rare.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn text(&mut self, words: usize) -> String {
        let mut text = String::new();
        for _ in 0..words {
            // Zipf: the share of the words up to rank r grows with the logarithm of r.
            let part = self.next() as f64 / (1u64 << 31) as f64;
            let rank = 30_000f64.powf(part) as u64;
            text.push_str(&format!("w{rank}x "));
        }
        text
    }

    fn vector(&mut self, dimensions: usize) -> Vec<f32> {
        (0..dimensions).map(|_| self.next() as f32 / (1u64 << 30) as f32 - 1.0).collect()
    }
}
