//! The sparse side of the local store: BM25 over the words of each passage, looked through one by one like the vectors.
//!
//! Why no full-text index: the one of SQLite weighs words in a way of its own, so its order would not be Qdrant's; and
//! walking its entries from outside took 45 ms for a question over 10,000 passages and 500 ms over 100,000, since nearly
//! every passage has the common words of its language. Looking through words held in memory takes a twentieth of that.

use super::best::{Best, Ranked};
use crate::context::memory::words::{self, Term};

/// One question's sparse side.
pub(super) struct Aim<'q> {
    /// Words, each once, ascending.
    pub terms: Vec<Term>,
    /// None: every passage may answer.
    pub tenant: Option<&'q str>,
    /// Passages wanted.
    pub limit: usize,
}

/// Bits of a [`Search`]'s sieve.
const SIEVE: usize = 1 << 16;

/// Looks through passages for the words of one question. How rare a word is, is known only after the last passage; so
/// what was found is kept, and ranked at the end.
pub(super) struct Search<'q> {
    terms: &'q [Term],
    limit: usize,
    /// A bit for each word of the question, by its lower half: most words of a passage end here.
    sieve: Vec<u64>,
    /// How many passages have each word, of all tenants.
    with: Vec<u64>,
    passages: u64,
    found: Vec<Found>,
}

/// A word of the question in a passage that may answer.
struct Found {
    number: i64,
    length: u32,
    term: u16,
    times: u8,
}

impl<'q> Search<'q> {
    pub(super) fn new(aim: &'q Aim<'_>) -> Self {
        // More words than these a question does not have; what is beyond them is not looked for.
        let terms = aim.terms.get(..usize::from(u16::MAX)).unwrap_or(&aim.terms);
        let mut sieve = vec![0u64; SIEVE / 64];
        for term in terms {
            let at = *term as usize % SIEVE;
            sieve[at / 64] |= 1 << (at % 64);
        }
        let with = vec![0; terms.len()];
        Search { terms, limit: aim.limit, sieve, with, passages: 0, found: Vec::new() }
    }

    /// One passage; `may_answer` is false for another tenant's, whose words count all the same.
    pub(super) fn see(
        &mut self,
        number: i64,
        length: u32,
        may_answer: bool,
        entries: impl Iterator<Item = (Term, u8)>,
    ) {
        self.passages += 1;
        for (term, times) in entries {
            let at = term as usize % SIEVE;
            if self.sieve[at / 64] & (1 << (at % 64)) == 0 {
                continue;
            }
            let Ok(index) = self.terms.binary_search(&term) else { continue };
            self.with[index] += 1;
            if may_answer {
                self.found.push(Found { number, length, term: index as u16, times });
            }
        }
    }

    /// Passage numbers, best first.
    pub(super) fn ranked(self) -> Ranked {
        let rarity: Vec<f32> =
            self.with.iter().map(|with| words::rarity(*with, self.passages)).collect();
        let mut best = Best::new(self.limit, f32::NEG_INFINITY);
        for passage in self.found.chunk_by(|a, b| a.number == b.number) {
            let part = |found: &Found| {
                rarity[usize::from(found.term)] * words::weight(found.times, found.length)
            };
            if let Some(first) = passage.first() {
                best.offer(first.number, passage.iter().map(part).sum());
            }
        }
        best.ranked()
    }
}

// ---- words in the file: five bytes each ----

pub(super) fn to_bytes(counted: impl IntoIterator<Item = (Term, u8)>) -> Vec<u8> {
    let entry = |(term, times): (Term, u8)| {
        let [a, b, c, d] = term.to_le_bytes();
        [a, b, c, d, times]
    };
    counted.into_iter().flat_map(entry).collect()
}

pub(super) fn of_bytes(bytes: &[u8]) -> impl Iterator<Item = (Term, u8)> {
    let (entries, _) = bytes.as_chunks::<5>();
    entries.iter().map(|[a, b, c, d, times]| (Term::from_le_bytes([*a, *b, *c, *d]), *times))
}
