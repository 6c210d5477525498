//! The dense side of the local store: vectors of length 1, compared one by one.

use super::best::Best;

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

impl Aim<'_> {
    pub(super) fn best(&self) -> Best {
        Best::new(self.limit, self.floor)
    }
}

/// A vector made of length 1, so that a dot product is the cosine. One without length stays as it is.
pub(super) fn unit(vector: &[f32]) -> Vec<f32> {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 { vector.iter().map(|part| part / length).collect() } else { vector.to_vec() }
}

pub(super) fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|part| part.to_le_bytes()).collect()
}

pub(super) fn of_bytes(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (parts, _) = bytes.as_chunks::<4>();
    parts.iter().map(|part| f32::from_le_bytes(*part))
}

/// Sixteen sums side by side: the compiler makes vector instructions of them, which one running sum would forbid.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
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
