//! Headers as the bytes of one column: for each its name and value, each after its length as a varint; a value's length
//! is one more than it is, 0 stands for null.

use bytes::Bytes;

use crate::stream::Headers;

#[cfg(test)]
mod tests;

/// The bytes of these headers; none when there are none.
pub(super) fn encode(headers: &Headers) -> Option<Vec<u8>> {
    if headers.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    for (name, value) in headers {
        put(&mut out, name.len() as u64);
        out.extend_from_slice(name.as_bytes());
        match value {
            None => put(&mut out, 0),
            Some(value) => {
                put(&mut out, value.len() as u64 + 1);
                out.extend_from_slice(value);
            }
        }
    }
    Some(out)
}

/// The headers that these bytes stand for; none when they stand for none.
pub(super) fn decode(mut bytes: Bytes) -> Option<Headers> {
    let mut headers = Headers::new();
    while !bytes.is_empty() {
        let length = take(&mut bytes)?;
        let name = String::from_utf8(cut(&mut bytes, length)?.to_vec()).ok()?;
        let value = match take(&mut bytes)? {
            0 => None,
            length => Some(cut(&mut bytes, length - 1)?),
        };
        headers.push((name.into(), value));
    }
    Some(headers)
}

fn cut(bytes: &mut Bytes, length: u64) -> Option<Bytes> {
    let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len())?;
    Some(bytes.split_to(length))
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take(bytes: &mut Bytes) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let byte = *bytes.first()?;
        *bytes = bytes.slice(1..);
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
