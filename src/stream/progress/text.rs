//! The text form: `vm.` and base64url (no padding) of
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version: 2 where the journal's partition is told, else 1 |
//! | 1 | kind of the payload: 0 gaps, 1 bitmap |
//! | 8 | nonce, big-endian |
//! | ≤ 10 | sequence, varint |
//! | ≤ 10 | `high - base`, varint |
//! | ≤ 10 | journal low offset, varint |
//! | ≤ 5 | partition of the journal, varint; version 2 only |
//! | … | payload: whichever kind is smaller |
//! | 4 | CRC-32C of the base (8 bytes, big-endian) and everything above |
//!
//! Gaps: for each unfinished offset the varint of the finished ones between it and the one before (or the base). Bitmap:
//! one bit per offset from the base, least significant first, 1 = unfinished. The framing takes at most 49 bytes, so a
//! payload of 3,020 fits into 4,096 characters: 1,000 gaps within 32,000,000 offsets take at most 3,015 (985 of 3 bytes
//! and 15 of 4), 24,000 bits take 3,000.
//!
//! The base stands in the offset itself, not in the text; the checksum covers it, because tools that copy a group to
//! other offsets copy its metadata as it is, and the map would then call the wrong offsets done.
//!
//! Later versions: the frame (`vm.`, base64url, version first, checksum last) stays, so that an older engine can tell a
//! newer version from damage; and every version reads those before it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Progress;

const TAG: &str = "vm.";
const VERSION: u8 = 2;
const GAPS: u8 = 0;
const BITMAP: u8 = 1;
const CHECKSUM: usize = 4;
/// Far above what any version writes: bounds the work on text that somebody else wrote.
const MAX_READ: usize = 64 * 1024;

/// Why a committed text can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgressError {
    /// Another program wrote it.
    Foreign,
    /// A later version of this program wrote it.
    Newer(u8),
    /// It is ours but damaged, or it was moved to another offset; what did not fit.
    Corrupted(&'static str),
}

impl fmt::Display for ProgressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgressError::Foreign => {
                f.write_str("the committed metadata was written by another program")
            }
            ProgressError::Newer(version) => write!(
                f,
                "the committed metadata has version {version}, this engine reads up to {VERSION}: start a newer engine"
            ),
            ProgressError::Corrupted(what) => {
                write!(f, "the committed metadata is damaged or belongs to another offset: {what}")
            }
        }
    }
}

impl std::error::Error for ProgressError {}

impl Progress {
    /// The text for the metadata of the offset `self.base`; at most [`Progress::MAX_TEXT`] bytes under rule A.
    pub fn encode(&self) -> String {
        debug_assert!(self.is_sound(), "progress out of order: {self:?}");
        let span = self.high.wrapping_sub(self.base) as u64;
        let (kind, payload) = self.payload(span);
        let mut raw = Vec::with_capacity(48 + payload.len());
        // What an older engine can read is written so that it can.
        raw.push(if self.journal.is_some() { VERSION } else { 1 });
        raw.push(kind);
        raw.extend_from_slice(&self.nonce.to_be_bytes());
        put_varint(&mut raw, self.sequence);
        put_varint(&mut raw, span);
        put_varint(&mut raw, self.journal_low as u64);
        if let Some(partition) = self.journal {
            put_varint(&mut raw, u64::from(partition as u32));
        }
        raw.extend_from_slice(&payload);
        let sum = checksum(self.base, &raw);
        raw.extend_from_slice(&sum.to_be_bytes());
        let mut text = String::from(TAG);
        URL_SAFE_NO_PAD.encode_string(&raw, &mut text);
        text
    }

    /// Reads what was committed at the offset `base`. Empty text means that nothing above it is done: an operator set
    /// the offset, or another client did.
    pub fn decode(base: i64, text: &str) -> Result<Progress, ProgressError> {
        if text.is_empty() {
            return Ok(Progress::known_by_offset(base));
        }
        let body = text.strip_prefix(TAG).ok_or(ProgressError::Foreign)?;
        if body.len() > MAX_READ {
            return Err(ProgressError::Corrupted("it is too long"));
        }
        let raw = URL_SAFE_NO_PAD
            .decode(body)
            .map_err(|_| ProgressError::Corrupted("it is not base64url"))?;
        let (head, sum) = raw
            .split_last_chunk::<CHECKSUM>()
            .ok_or(ProgressError::Corrupted("it is too short"))?;
        if checksum(base, head) != u32::from_be_bytes(*sum) {
            return Err(ProgressError::Corrupted("the checksum does not fit"));
        }
        match head.split_first() {
            Some((&version @ 1..=VERSION, rest)) => decode_body(base, version, rest),
            Some((&version, _)) if version > VERSION => Err(ProgressError::Newer(version)),
            _ => Err(ProgressError::Corrupted("there is no such version")),
        }
    }

    fn payload(&self, span: u64) -> (u8, Vec<u8>) {
        let mut gaps = Vec::with_capacity(self.incomplete.len());
        let mut next = self.base;
        for &offset in &self.incomplete {
            put_varint(&mut gaps, offset.wrapping_sub(next) as u64);
            next = offset.wrapping_add(1);
        }
        // A map out of order (a defect elsewhere) stays in the form that the reader will refuse.
        if span.div_ceil(8) >= gaps.len() as u64 || !self.is_sound() {
            return (GAPS, gaps);
        }
        let mut bits = vec![0_u8; span.div_ceil(8) as usize];
        for &offset in &self.incomplete {
            let at = (offset - self.base) as usize;
            bits[at / 8] |= 1 << (at % 8);
        }
        (BITMAP, bits)
    }
}

fn decode_body(base: i64, version: u8, body: &[u8]) -> Result<Progress, ProgressError> {
    let cut = ProgressError::Corrupted("it ends early");
    let (&kind, body) = body.split_first().ok_or(cut.clone())?;
    let (nonce, mut rest) = body.split_first_chunk::<8>().ok_or(cut)?;
    let sequence = take_varint(&mut rest)?;
    let span = take_varint(&mut rest)?;
    let journal_low = take_varint(&mut rest)? as i64;
    let beyond = |_| ProgressError::Corrupted("the journal's partition is out of range");
    let journal = match version {
        1 => None,
        _ => Some(i32::try_from(take_varint(&mut rest)?).map_err(beyond)?),
    };
    let high = i64::try_from(span)
        .ok()
        .and_then(|span| base.checked_add(span))
        .ok_or(ProgressError::Corrupted("the span is out of range"))?;
    let incomplete = match kind {
        GAPS => read_gaps(base, high, rest)?,
        BITMAP => read_bitmap(base, span, rest)?,
        _ => return Err(ProgressError::Corrupted("there is no such kind of payload")),
    };
    let nonce = u64::from_be_bytes(*nonce);
    Ok(Progress { base, high, incomplete, nonce, sequence, journal_low, journal })
}

fn read_gaps(base: i64, high: i64, mut rest: &[u8]) -> Result<Vec<i64>, ProgressError> {
    let beyond = ProgressError::Corrupted("an unfinished offset lies beyond the span");
    let mut incomplete = Vec::with_capacity(rest.len());
    let mut next = base;
    while !rest.is_empty() {
        let gap = i64::try_from(take_varint(&mut rest)?).map_err(|_| beyond.clone())?;
        let offset = next.checked_add(gap).filter(|o| *o < high).ok_or_else(|| beyond.clone())?;
        incomplete.push(offset);
        next = offset + 1;
    }
    Ok(incomplete)
}

fn read_bitmap(base: i64, span: u64, bits: &[u8]) -> Result<Vec<i64>, ProgressError> {
    if span.div_ceil(8) != bits.len() as u64 {
        return Err(ProgressError::Corrupted("the bitmap does not fit the span"));
    }
    let mut incomplete = Vec::new();
    for (index, &byte) in bits.iter().enumerate() {
        for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
            let at = index as u64 * 8 + bit;
            if at >= span {
                return Err(ProgressError::Corrupted("the bitmap does not fit the span"));
            }
            incomplete.push(base + at as i64);
        }
    }
    Ok(incomplete)
}

fn checksum(base: i64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&base.to_be_bytes()), bytes)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, ProgressError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or(ProgressError::Corrupted("it ends early"))?;
        *rest = tail;
        let part = u64::from(byte & 0x7f);
        if (part << shift) >> shift != part {
            break;
        }
        value |= part << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(ProgressError::Corrupted("a number is too large"))
}
