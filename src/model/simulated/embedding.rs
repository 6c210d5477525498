//! A vector of a text such that similar texts are near: every word, and more quietly every three letters of it (so that
//! `invoice` and `invoices` meet), adds to a few places chosen by its hash, and the whole is brought to length one.

use unicode_segmentation::UnicodeSegmentation;

use super::mix;

/// Length of a vector when nothing else is asked.
pub const DIMENSIONS: u32 = 64;
/// Places a word adds to.
const PLACES: u64 = 8;
/// A part of a word counts this much of a whole one.
const PART: f32 = 0.2;
/// Words of up to so many letters say little.
const SHORT: usize = 3;
const SHORT_WEIGHT: f32 = 0.15;

/// See the module.
pub fn vector(text: &str, dimensions: u32) -> Vec<f32> {
    let mut vector = vec![0f32; usize::try_from(dimensions.max(1)).unwrap_or(1)];
    for word in text.unicode_words() {
        let word = word.to_lowercase();
        let letters: Vec<char> = word.chars().collect();
        let weight = if letters.len() <= SHORT { SHORT_WEIGHT } else { 1.0 };
        add(&mut vector, hash(letters.iter()), weight);
        for part in letters.windows(3) {
            add(&mut vector, hash(part.iter()) ^ 0x7269, weight * PART);
        }
    }
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    match vector.first_mut() {
        // A text without words still needs a direction.
        Some(first) if length == 0.0 => *first = 1.0,
        _ => vector.iter_mut().for_each(|number| *number /= length),
    }
    vector
}

fn add(vector: &mut [f32], hash: u64, weight: f32) {
    let length = (vector.len() as u64).max(1);
    for place in 0..PLACES {
        let draw = mix(hash.wrapping_add(place));
        let sign = if draw & 1 == 0 { weight } else { -weight };
        if let Some(number) = vector.get_mut(usize::try_from((draw >> 1) % length).unwrap_or(0)) {
            *number += sign;
        }
    }
}

fn hash<'a>(letters: impl Iterator<Item = &'a char>) -> u64 {
    letters.fold(0xcbf2_9ce4_8422_2325, |hash, letter| mix(hash ^ u64::from(*letter)))
}
