//! Words: how a text becomes the sparse side of memory. One tokenizer and one set of weights for every store, so that
//! all of them rank alike: Unicode words, lower case, one stemmer per language, a stable 32-bit id per stem.
//!
//! The weights are BM25, split in two as sparse stores want it: a passage's weight of a word knows only the passage
//! ([`Words::passage`]); how rare the word is ([`rarity`]) is applied when a question is asked; a question's own weight
//! is 1 for each word. No stop words: rarity takes their weight away.

use std::collections::BTreeMap;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

/// How fast repetition of a word stops to count.
const K: f32 = 1.2;
/// How much a long passage is held against it.
const B: f32 = 0.75;
/// The length, in words, that counts as neither short nor long. Fixed, since a true mean would change the weights of
/// all passages with each write; passages are cut to about this length on import.
const USUAL_LENGTH: f32 = 200.0;
/// Longest word taken in, in bytes: what is longer is no word, and nobody asks for it.
const LONGEST: usize = 64;

macro_rules! languages {
    ($($variant:ident $name:literal),*) => {
        /// The language of a collection's texts.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum Language {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// `english`, the default
            #[default]
            English,
            /// `none`: words are taken as they stand
            None,
        }

        impl Language {
            /// Every name that settings may use.
            pub const NAMES: &'static [&'static str] = &["english", "none", $($name),*];

            /// The language of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    "english" => Some(Language::English),
                    "none" => Some(Language::None),
                    $($name => Some(Language::$variant),)*
                    _ => None,
                }
            }

            /// Its name in the settings.
            pub fn name(self) -> &'static str {
                match self {
                    Language::English => "english",
                    Language::None => "none",
                    $(Language::$variant => $name,)*
                }
            }

            fn algorithm(self) -> Option<Algorithm> {
                match self {
                    Language::English => Some(Algorithm::English),
                    Language::None => None,
                    $(Language::$variant => Some(Algorithm::$variant),)*
                }
            }
        }
    };
}
languages!(
    Arabic "arabic", Danish "danish", Dutch "dutch", Finnish "finnish", French "french", German "german",
    Greek "greek", Hungarian "hungarian", Italian "italian", Norwegian "norwegian", Portuguese "portuguese",
    Romanian "romanian", Russian "russian", Spanish "spanish", Swedish "swedish", Tamil "tamil", Turkish "turkish"
);

/// A word's stem, as a number that is the same on every machine and in every version.
pub type Term = u32;

/// The tokenizer of one language.
pub struct Words {
    stemmer: Option<Stemmer>,
    /// Whether an apostrophe ends a word, as in `l'eau`; elsewhere it belongs to it, as in `don't`.
    elides: bool,
}

impl Words {
    /// For texts of this language.
    pub fn new(language: Language) -> Self {
        Words {
            stemmer: language.algorithm().map(Stemmer::create),
            elides: matches!(language, Language::French | Language::Italian),
        }
    }

    /// Every word of a text, in order.
    pub fn terms(&self, text: &str) -> impl Iterator<Item = Term> {
        let parts = |word: &str| {
            // Stemmers know the plain apostrophe alone.
            let lower = word.to_lowercase().replace('\u{2019}', "'");
            if self.elides {
                lower
                    .split('\'')
                    .filter(|part| !part.is_empty())
                    .map(|part| self.term(part))
                    .collect()
            } else {
                vec![self.term(&lower)]
            }
        };
        text.unicode_words().filter(|word| word.len() <= LONGEST).flat_map(parts)
    }

    fn term(&self, word: &str) -> Term {
        let digest = match &self.stemmer {
            Some(stemmer) => blake3::hash(stemmer.stem(word).as_bytes()),
            None => blake3::hash(word.as_bytes()),
        };
        let [a, b, c, d, ..] = *digest.as_bytes();
        Term::from_le_bytes([a, b, c, d])
    }

    /// The words of a question, each once, ascending.
    pub fn question(&self, text: &str) -> Vec<Term> {
        let mut terms: Vec<Term> = self.terms(text).collect();
        terms.sort_unstable();
        terms.dedup();
        terms
    }

    /// The words of a passage, ascending, and how many times each stands there; more than 255 times are not told apart.
    pub fn count(&self, text: &str) -> Counted {
        let mut counted = Counted::default();
        for term in self.terms(text) {
            let times: &mut u8 = counted.times.entry(term).or_default();
            *times = times.saturating_add(1);
            counted.length = counted.length.saturating_add(1);
        }
        counted
    }

    /// The words of a passage with their weights, ascending.
    pub fn passage(&self, text: &str) -> Vec<(Term, f32)> {
        let Counted { times, length } = self.count(text);
        times.into_iter().map(|(term, times)| (term, weight(times, length))).collect()
    }
}

/// The words of a passage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many times each stands there.
    pub times: BTreeMap<Term, u8>,
    /// How many words stand there in all.
    pub length: u32,
}

/// What a word weighs that stands `times` in a passage of `length` words.
pub fn weight(times: u8, length: u32) -> f32 {
    let times = f32::from(times);
    times * (K + 1.0) / (times + K * (1.0 - B + B * length as f32 / USUAL_LENGTH))
}

/// What a word counts that `with` of `all` passages have. Never below zero.
pub fn rarity(with: u64, all: u64) -> f32 {
    let (with, all) = (with as f32, all as f32);
    ((all - with + 0.5) / (with + 0.5) + 1.0).ln().max(0.0)
}

#[cfg(test)]
mod tests;
