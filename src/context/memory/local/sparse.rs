//! The sparse side of the local store: BM25 by our own weights over the entries of the full-text index.
//!
//! FTS5's own `bm25()` has another notion of rarity and of usual length than a sparse index, so it would rank apart
//! from Qdrant; and it looks at every passage that has any of the words. Here words are taken from the rarest on. As
//! soon as the words left cannot lift a new passage into the answer, they are looked up only in the passages that are
//! in reach: the common words of a language, whose entries are nearly all there are, are never walked.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::schema;
use crate::context::memory::words::{self, Term, Words};

/// One question's sparse side.
pub(super) struct Aim<'q> {
    /// Words, each once.
    pub terms: Vec<Term>,
    /// None: every passage may answer.
    pub tenant: Option<&'q str>,
    /// Passages wanted.
    pub limit: usize,
}

/// A word of the question and what it counts.
struct Counted {
    term: Term,
    rarity: f32,
}

/// Passage numbers, best first; equal scores in the order they were written.
pub(super) fn best(
    connection: &Connection,
    collection: i64,
    words: &Words,
    aim: &Aim<'_>,
) -> rusqlite::Result<Vec<(i64, f32)>> {
    let counted = count(connection, collection, &aim.terms)?;
    // The most that the words from here on can add to any passage.
    let mut left: f32 = counted.iter().map(|word| word.rarity * words::MOST).sum();
    let mut scores = HashMap::<i64, f32>::new();
    for (walked, word) in counted.iter().enumerate() {
        if let Some(least) = least_of_best(&scores, aim.limit)
            && least > left
        {
            scores.retain(|_, score| *score + left >= least);
            complete(connection, words, &counted[walked..], &mut scores)?;
            break;
        }
        walk(connection, collection, word, aim.tenant, &mut scores)?;
        left -= word.rarity * words::MOST;
    }
    let mut ranked: Vec<_> = scores.into_iter().collect();
    ranked.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ranked.truncate(aim.limit);
    Ok(ranked)
}

/// The words that the collection knows, rarest first.
fn count(
    connection: &Connection,
    collection: i64,
    terms: &[Term],
) -> rusqlite::Result<Vec<Counted>> {
    let all: i64 = connection
        .prepare_cached("SELECT passages FROM memory_collections WHERE number = ?1")?
        .query_row([collection], |row| row.get(0))?;
    let mut with = connection.prepare_cached(
        "SELECT coalesce(sum(doc), 0) FROM memory_counts WHERE term >= ?1 AND term < ?2",
    )?;
    let mut counted = Vec::with_capacity(terms.len());
    for &term in terms {
        let (from, to) = schema::entries(collection, term);
        let with: i64 = with.query_row([from, to], |row| row.get(0))?;
        if with > 0 {
            counted.push(Counted { term, rarity: words::rarity(with as u64, all as u64) });
        }
    }
    counted.sort_by(|a, b| b.rarity.total_cmp(&a.rarity));
    Ok(counted)
}

/// Adds a word's part to every passage that has it.
fn walk(
    connection: &Connection,
    collection: i64,
    word: &Counted,
    tenant: Option<&str>,
    scores: &mut HashMap<i64, f32>,
) -> rusqlite::Result<()> {
    let (from, to) = schema::entries(collection, word.term);
    let mut places = connection.prepare_cached(
        "SELECT p.number, p.length, e.term FROM memory_places e CROSS JOIN memory_passages p ON p.number = e.doc
         WHERE e.term >= ?1 AND e.term < ?2 AND (?3 IS NULL OR p.tenant IN (?3, '*'))",
    )?;
    let mut rows = places.query(params![from, to, tenant])?;
    while let Some(row) = rows.next()? {
        let times = schema::times(row.get_ref(2)?.as_str()?);
        *scores.entry(row.get(0)?).or_default() += word.rarity * words::weight(times, row.get(1)?);
    }
    Ok(())
}

/// Adds the parts of several words to a few passages, from their texts.
fn complete(
    connection: &Connection,
    words: &Words,
    rest: &[Counted],
    scores: &mut HashMap<i64, f32>,
) -> rusqlite::Result<()> {
    let mut text = connection.prepare_cached("SELECT text FROM memory_texts WHERE number = ?1")?;
    for (number, score) in scores {
        let text: Option<String> = text.query_row([number], |row| row.get(0)).optional()?;
        let Some(text) = text else { continue };
        let passage = words.passage(&text);
        for word in rest {
            if let Ok(at) = passage.binary_search_by_key(&word.term, |(term, _)| *term) {
                *score += word.rarity * passage[at].1;
            }
        }
    }
    Ok(())
}

/// The score of the `limit`-th best; none while there are fewer.
fn least_of_best(scores: &HashMap<i64, f32>, limit: usize) -> Option<f32> {
    if limit == 0 || scores.len() < limit {
        return None;
    }
    let mut all: Vec<f32> = scores.values().copied().collect();
    let (_, least, _) = all.select_nth_unstable_by(limit - 1, |a, b| b.total_cmp(a));
    Some(*least)
}
