//! The dense side of the local store: an exact scan. Vectors stand in memory while they fit a bound, and are read from
//! the file in passing when they do not.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};

use rusqlite::{Connection, params};

use super::schema::REMEMBERED_REVISIONS;
use crate::context::memory::place::EVERYBODY;

/// Most bytes of vectors held in memory: 100,000 passages of 512 dimensions and a quarter more.
pub(super) const CACHE_BYTES: usize = 256 << 20;

/// One question's dense side.
pub(super) struct Aim<'q> {
    /// Of length 1.
    pub vector: Vec<f32>,
    /// None: every passage may answer.
    pub tenant: Option<&'q str>,
    /// Floor of the similarity.
    pub floor: f32,
    /// Passages wanted.
    pub limit: usize,
}

/// The vectors held in memory, by collection.
pub(super) struct Cache {
    bound: usize,
    held: HashMap<i64, Held>,
}

/// The vectors of one collection as of a revision.
#[derive(Default)]
struct Held {
    revision: i64,
    flat: Vec<f32>,
    /// Number and tenant of each vector, in the order of `flat`.
    owners: Vec<(i64, u32)>,
    tenants: Vec<String>,
    slots: HashMap<i64, usize>,
}

impl Cache {
    pub(super) fn new(bound: usize) -> Self {
        Cache { bound, held: HashMap::new() }
    }

    /// Answers every aim with one pass over the collection: passage numbers, nearest first.
    pub(super) fn nearest(
        &mut self,
        connection: &Connection,
        collection: i64,
        dimensions: usize,
        aims: &[Aim<'_>],
    ) -> rusqlite::Result<Vec<Vec<(i64, f32)>>> {
        let (revision, passages): (i64, i64) = connection
            .prepare_cached("SELECT revision, passages FROM memory_collections WHERE number = ?1")?
            .query_row([collection], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let size = usize::try_from(passages).unwrap_or(0) * dimensions * size_of::<f32>();
        if size > self.bound {
            self.held.remove(&collection);
            return scan_file(connection, collection, dimensions, aims);
        }
        let others: usize =
            self.held.iter().filter(|(c, _)| **c != collection).map(|(_, held)| held.bytes()).sum();
        if others + size > self.bound {
            self.held.retain(|c, _| *c == collection);
        }
        let held = self.held.entry(collection).or_default();
        if held.revision != revision {
            held.follow(connection, collection, dimensions, revision)?;
        }
        Ok(held.scan(dimensions, aims))
    }
}

impl Held {
    fn bytes(&self) -> usize {
        self.flat.len() * size_of::<f32>()
    }

    /// Takes over what was written and forgotten since the held revision.
    fn follow(
        &mut self,
        connection: &Connection,
        collection: i64,
        dimensions: usize,
        revision: i64,
    ) -> rusqlite::Result<()> {
        if self.revision + REMEMBERED_REVISIONS < revision {
            *self = Held::default();
        }
        // First what was forgotten: a number may have been given anew since.
        let mut forgotten = connection.prepare_cached(
            "SELECT number FROM memory_forgotten WHERE collection = ?1 AND revision > ?2",
        )?;
        let mut rows = forgotten.query(params![collection, self.revision])?;
        while let Some(row) = rows.next()? {
            self.drop(row.get(0)?, dimensions);
        }
        let mut changed = connection.prepare_cached(
            "SELECT p.number, p.tenant, v.vector FROM memory_passages p LEFT JOIN memory_vectors v USING (number)
             WHERE p.collection = ?1 AND p.revision > ?2",
        )?;
        let mut rows = changed.query(params![collection, self.revision])?;
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            self.drop(number, dimensions);
            let Some(bytes) = row.get_ref(2)?.as_blob_or_null()? else { continue };
            if bytes.len() != dimensions * size_of::<f32>() {
                continue;
            }
            let tenant = self.tenant(row.get_ref(1)?.as_str()?);
            self.slots.insert(number, self.owners.len());
            self.owners.push((number, tenant));
            self.flat.extend(floats(bytes));
        }
        self.revision = revision;
        Ok(())
    }

    fn tenant(&mut self, name: &str) -> u32 {
        let known = self.tenants.iter().rposition(|tenant| tenant == name);
        let index = known.unwrap_or_else(|| {
            self.tenants.push(name.into());
            self.tenants.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    fn drop(&mut self, number: i64, dimensions: usize) {
        let Some(slot) = self.slots.remove(&number) else { return };
        let last = self.owners.len() - 1;
        self.owners.swap_remove(slot);
        if slot < last {
            self.flat.copy_within(last * dimensions.., slot * dimensions);
            self.slots.insert(self.owners[slot].0, slot);
        }
        self.flat.truncate(last * dimensions);
    }

    fn scan(&self, dimensions: usize, aims: &[Aim<'_>]) -> Vec<Vec<(i64, f32)>> {
        let allowed = |aim: &Aim<'_>| -> Option<Vec<bool>> {
            let tenant = aim.tenant?;
            Some(self.tenants.iter().map(|t| t == tenant || t == EVERYBODY).collect())
        };
        let allowed: Vec<_> = aims.iter().map(allowed).collect();
        let mut best: Vec<_> = aims.iter().map(Best::new).collect();
        for (vector, (number, tenant)) in self.flat.chunks_exact(dimensions).zip(&self.owners) {
            for ((aim, allowed), best) in aims.iter().zip(&allowed).zip(&mut best) {
                if allowed.as_ref().is_none_or(|tenants| tenants[*tenant as usize]) {
                    best.offer(*number, dot(&aim.vector, vector));
                }
            }
        }
        best.into_iter().map(Best::ranked).collect()
    }
}

fn scan_file(
    connection: &Connection,
    collection: i64,
    dimensions: usize,
    aims: &[Aim<'_>],
) -> rusqlite::Result<Vec<Vec<(i64, f32)>>> {
    let mut best: Vec<_> = aims.iter().map(Best::new).collect();
    let mut vector = Vec::with_capacity(dimensions);
    let mut all = connection.prepare_cached(
        "SELECT p.number, p.tenant, v.vector FROM memory_passages p CROSS JOIN memory_vectors v USING (number)
         WHERE p.collection = ?1",
    )?;
    let mut rows = all.query([collection])?;
    while let Some(row) = rows.next()? {
        let (number, tenant) = (row.get(0)?, row.get_ref(1)?.as_str()?);
        vector.clear();
        vector.extend(floats(row.get_ref(2)?.as_blob()?));
        for (aim, best) in aims.iter().zip(&mut best) {
            if aim.tenant.is_none_or(|asker| asker == tenant || tenant == EVERYBODY) {
                best.offer(number, dot(&aim.vector, &vector));
            }
        }
    }
    Ok(best.into_iter().map(Best::ranked).collect())
}

// ---- the arithmetic ----

/// A vector made of length 1, so that a dot product is the cosine. One without length stays as it is.
pub(super) fn unit(vector: &[f32]) -> Vec<f32> {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 { vector.iter().map(|part| part / length).collect() } else { vector.to_vec() }
}

pub(super) fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|part| part.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (parts, _) = bytes.as_chunks::<4>();
    parts.iter().map(|part| f32::from_le_bytes(*part))
}

/// Sixteen sums side by side: the compiler makes vector instructions of them, which one running sum would forbid.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = [0.0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// The best so far, the worst of them at hand. Equal similarities: the passage written first.
struct Best {
    limit: usize,
    floor: f32,
    heap: BinaryHeap<Reverse<Scored>>,
}

#[derive(Clone, Copy, PartialEq)]
struct Scored(f32, i64);

impl Eq for Scored {}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then_with(|| other.1.cmp(&self.1))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Best {
    fn new(aim: &Aim<'_>) -> Self {
        Best { limit: aim.limit, floor: aim.floor, heap: BinaryHeap::with_capacity(aim.limit + 1) }
    }

    fn offer(&mut self, number: i64, score: f32) {
        if score < self.floor {
            return;
        }
        let offered = Scored(score, number);
        if self.heap.len() == self.limit {
            match self.heap.peek() {
                Some(Reverse(worst)) if *worst < offered => self.heap.pop(),
                _ => return,
            };
        }
        self.heap.push(Reverse(offered));
    }

    fn ranked(self) -> Vec<(i64, f32)> {
        let mut all: Vec<Scored> = self.heap.into_iter().map(|Reverse(scored)| scored).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|Scored(score, number)| (number, score)).collect()
    }
}
