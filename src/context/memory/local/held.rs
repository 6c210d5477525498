//! Collections held in memory, so that a question looks through memory and not through the file. What no longer fits the
//! bound is read from the file in passing.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::best::{Best, Ranked};
use super::schema::REMEMBERED_REVISIONS;
use super::{dense, sparse};
use crate::context::memory::place::EVERYBODY;
use crate::context::memory::words::Term;

/// Most bytes held: 100,000 passages of 120 words with vectors of 512 dimensions, and a quarter more.
pub(super) const BYTES: usize = 320 << 20;
/// What a passage costs beside its words and its vector.
const PASSAGE: usize = 64;

/// What is held, by collection.
pub(super) struct Cache {
    bound: usize,
    held: HashMap<i64, Held>,
}

/// Where to look.
pub(super) enum Look<'c> {
    /// In memory.
    Held(&'c Held),
    /// In the file: connection, collection.
    File(&'c Connection, i64),
}

/// A collection as of a revision. Everything of a passage stands at its slot; a slot that was given up has no owner.
#[derive(Default)]
pub(super) struct Held {
    revision: i64,
    dimensions: usize,
    owners: Vec<Option<Owner>>,
    slots: HashMap<i64, usize>,
    tenants: Vec<String>,
    vectors: Vec<f32>,
    terms: Vec<Term>,
    times: Vec<u8>,
    /// One past the last word of each slot.
    ends: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Owner {
    number: i64,
    tenant: usize,
    length: u32,
}

impl Cache {
    pub(super) fn new(bound: usize) -> Self {
        Cache { bound, held: HashMap::new() }
    }

    /// Where to look through a collection, as the file has it now.
    pub(super) fn look<'c>(
        &'c mut self,
        connection: &'c Connection,
        collection: i64,
        dimensions: usize,
    ) -> rusqlite::Result<Look<'c>> {
        let (revision, passages, entries): (i64, i64, i64) = connection
            .prepare_cached(
                "SELECT revision, passages, entries FROM memory_collections WHERE number = ?1",
            )?
            .query_row([collection], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let whole = |n: i64| usize::try_from(n).unwrap_or(0);
        let size = whole(passages) * (PASSAGE + dimensions * size_of::<f32>())
            + whole(entries) * (size_of::<Term>() + 1);
        if size > self.bound {
            self.held.remove(&collection);
            return Ok(Look::File(connection, collection));
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
        Ok(Look::Held(held))
    }
}

// ---- looking ----

impl Look<'_> {
    /// The passages nearest to each aim, in one pass.
    pub(super) fn nearest(&self, aims: &[dense::Aim<'_>]) -> rusqlite::Result<Vec<Ranked>> {
        let mut best: Vec<_> = aims.iter().map(dense::Aim::best).collect();
        match self {
            Look::Held(held) => held.nearest(aims, &mut best),
            Look::File(connection, collection) => {
                let mut all = connection.prepare_cached(
                    "SELECT p.number, p.tenant, v.vector FROM memory_passages p
                     CROSS JOIN memory_vectors v USING (number) WHERE p.collection = ?1",
                )?;
                let mut rows = all.query([collection])?;
                let mut vector = Vec::new();
                while let Some(row) = rows.next()? {
                    let (number, tenant) = (row.get(0)?, row.get_ref(1)?.as_str()?);
                    vector.clear();
                    vector.extend(dense::of_bytes(row.get_ref(2)?.as_blob()?));
                    for (aim, best) in aims.iter().zip(&mut best) {
                        if may_answer(aim.tenant, tenant) {
                            best.offer(number, dense::dot(&aim.vector, &vector));
                        }
                    }
                }
            }
        }
        Ok(best.into_iter().map(Best::ranked).collect())
    }

    /// The passages with the words of an aim.
    pub(super) fn with_words(&self, aim: &sparse::Aim<'_>) -> rusqlite::Result<Ranked> {
        let mut search = sparse::Search::new(aim);
        match self {
            Look::Held(held) => held.with_words(aim, &mut search),
            Look::File(connection, collection) => {
                let mut all = connection.prepare_cached(
                    "SELECT p.number, p.tenant, w.length, w.words FROM memory_passages p
                     CROSS JOIN memory_words w USING (number) WHERE p.collection = ?1",
                )?;
                let mut rows = all.query([collection])?;
                while let Some(row) = rows.next()? {
                    let may_answer = may_answer(aim.tenant, row.get_ref(1)?.as_str()?);
                    let entries = sparse::of_bytes(row.get_ref(3)?.as_blob()?);
                    search.see(row.get(0)?, row.get(2)?, may_answer, entries);
                }
            }
        }
        Ok(search.ranked())
    }
}

fn may_answer(asker: Option<&str>, tenant: &str) -> bool {
    asker.is_none_or(|asker| asker == tenant || tenant == EVERYBODY)
}

impl Held {
    fn bytes(&self) -> usize {
        self.owners.len() * PASSAGE
            + self.vectors.len() * size_of::<f32>()
            + self.terms.len() * (size_of::<Term>() + 1)
    }

    /// For each tenant of the collection, whether its passages may answer.
    fn allowed(&self, asker: Option<&str>) -> Vec<bool> {
        self.tenants.iter().map(|tenant| may_answer(asker, tenant)).collect()
    }

    fn nearest(&self, aims: &[dense::Aim<'_>], best: &mut [Best]) {
        if self.dimensions == 0 {
            return;
        }
        let allowed: Vec<_> = aims.iter().map(|aim| self.allowed(aim.tenant)).collect();
        let vectors = self.vectors.chunks_exact(self.dimensions);
        for (owner, vector) in self.owners.iter().zip(vectors) {
            let Some(owner) = owner else { continue };
            for ((aim, allowed), best) in aims.iter().zip(&allowed).zip(best.iter_mut()) {
                if allowed[owner.tenant] {
                    best.offer(owner.number, dense::dot(&aim.vector, vector));
                }
            }
        }
    }

    fn with_words(&self, aim: &sparse::Aim<'_>, search: &mut sparse::Search<'_>) {
        let allowed = self.allowed(aim.tenant);
        let mut start = 0;
        for (owner, end) in self.owners.iter().zip(&self.ends) {
            let words = start..*end;
            start = *end;
            let Some(owner) = owner else { continue };
            let terms = self.terms[words.clone()].iter().copied();
            let entries = terms.zip(self.times[words].iter().copied());
            search.see(owner.number, owner.length, allowed[owner.tenant], entries);
        }
    }
}

// ---- following the file ----

impl Held {
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
        self.dimensions = dimensions;
        // First what was forgotten: a number may have been given anew since.
        let mut forgotten = connection.prepare_cached(
            "SELECT number FROM memory_forgotten WHERE collection = ?1 AND revision > ?2",
        )?;
        let mut rows = forgotten.query(params![collection, self.revision])?;
        while let Some(row) = rows.next()? {
            self.drop(row.get(0)?);
        }
        let mut changed = connection.prepare_cached(
            "SELECT p.number, p.tenant, w.length, w.words, v.vector FROM memory_passages p
             CROSS JOIN memory_words w USING (number) LEFT JOIN memory_vectors v USING (number)
             WHERE p.collection = ?1 AND p.revision > ?2",
        )?;
        let mut rows = changed.query(params![collection, self.revision])?;
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            self.drop(number);
            let tenant = self.tenant(row.get_ref(1)?.as_str()?);
            self.slots.insert(number, self.owners.len());
            self.owners.push(Some(Owner { number, tenant, length: row.get(2)? }));
            for (term, times) in sparse::of_bytes(row.get_ref(3)?.as_blob()?) {
                self.terms.push(term);
                self.times.push(times);
            }
            self.ends.push(self.terms.len());
            match row.get_ref(4)?.as_blob_or_null()? {
                Some(bytes) if bytes.len() == dimensions * size_of::<f32>() => {
                    self.vectors.extend(dense::of_bytes(bytes));
                }
                // No number is near to it.
                _ => self.vectors.extend(std::iter::repeat_n(f32::NAN, dimensions)),
            }
        }
        self.revision = revision;
        if self.owners.len() > self.slots.len() * 5 / 4 + 1_000 {
            self.close_up();
        }
        Ok(())
    }

    fn tenant(&mut self, name: &str) -> usize {
        let known = self.tenants.iter().rposition(|tenant| tenant == name);
        known.unwrap_or_else(|| {
            self.tenants.push(name.into());
            self.tenants.len() - 1
        })
    }

    fn drop(&mut self, number: i64) {
        if let Some(slot) = self.slots.remove(&number) {
            self.owners[slot] = None;
        }
    }

    /// Moves everything together over the slots that were given up.
    fn close_up(&mut self) {
        let mut new = Held {
            revision: self.revision,
            dimensions: self.dimensions,
            tenants: std::mem::take(&mut self.tenants),
            ..Held::default()
        };
        let mut start = 0;
        for (slot, (owner, end)) in self.owners.iter().zip(&self.ends).enumerate() {
            let words = start..*end;
            start = *end;
            let Some(owner) = owner else { continue };
            new.slots.insert(owner.number, new.owners.len());
            new.owners.push(Some(*owner));
            new.terms.extend_from_slice(&self.terms[words.clone()]);
            new.times.extend_from_slice(&self.times[words]);
            new.ends.push(new.terms.len());
            let vector = slot * self.dimensions..(slot + 1) * self.dimensions;
            new.vectors.extend_from_slice(&self.vectors[vector]);
        }
        *self = new;
    }
}
