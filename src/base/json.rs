//! JSON of values of ours, written straight into bytes. Every event has a result, a cost and journal entries, and their
//! shapes are known: with [`object!`] a field's name and all that stands around it are one piece of text, where a general
//! writer takes half a dozen steps. What is written is what `serde_json` would write; tests compare them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// What has a JSON form.
pub trait Put {
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable>;
}

/// A value that has no JSON form, such as a time after the year 9999.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritable(pub String);

/// Appends an object, in a function like [`Put::put`]: `object!(out; "id": id, "item"?: item)`. A field with `?` is an
/// `Option` that is left out when there is none; the first field can't be one.
macro_rules! object {
    ($out:ident; $($fields:tt)+) => {{
        $crate::base::json::begin!($out; $($fields)+);
        $out.push(b'}');
        Ok(())
    }};
}

/// An object without its end.
macro_rules! begin {
    ($out:ident; $name:literal: $value:expr $(, $($more:tt)*)?) => {{
        $out.extend_from_slice(concat!("{\"", $name, "\":").as_bytes());
        $crate::base::json::Put::put(&$value, $out)?;
        $($crate::base::json::fields!($out; $($more)*);)?
    }};
}

/// Further fields of an object that has one.
macro_rules! fields {
    ($out:ident;) => {};
    ($out:ident; $name:literal: $value:expr $(, $($more:tt)*)?) => {
        $out.extend_from_slice(concat!(",\"", $name, "\":").as_bytes());
        $crate::base::json::Put::put(&$value, $out)?;
        $($crate::base::json::fields!($out; $($more)*);)?
    };
    ($out:ident; $name:literal?: $value:expr $(, $($more:tt)*)?) => {
        if let Some(value) = &$value {
            $out.extend_from_slice(concat!(",\"", $name, "\":").as_bytes());
            $crate::base::json::Put::put(value, $out)?;
        }
        $($crate::base::json::fields!($out; $($more)*);)?
    };
}

pub(crate) use {begin, fields, object};

/// Anything, in the general way: for what is rare.
pub struct Any<'a, T: ?Sized>(pub &'a T);

impl<T: Serialize + ?Sized> Put for Any<'_, T> {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        serde_json::to_writer(out, self.0).map_err(|error| Unwritable(error.to_string()))
    }
}

/// Text whose characters need no escape, such as digits.
fn put_plain(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// The text of what shows itself in characters that need no escape.
pub struct Shown<T>(pub T);

impl<T: fmt::Display> Put for Shown<T> {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        struct Text<'a>(&'a mut Vec<u8>);
        impl fmt::Write for Text<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
        out.push(b'"');
        write!(Text(out), "{}", self.0).map_err(|error| Unwritable(error.to_string()))?;
        out.push(b'"');
        Ok(())
    }
}

impl Put for str {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        // Without a branch for each byte, so that many are looked at together.
        let special =
            |found, byte: &u8| found | (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\');
        match self.as_bytes().iter().fold(false, special) {
            true => Any(self).put(out),
            false => {
                put_plain(self, out);
                Ok(())
            }
        }
    }
}

impl Put for bool {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
        Ok(())
    }
}

impl Put for Uuid {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        put_plain(self.hyphenated().encode_lower(&mut Uuid::encode_buffer()), out);
        Ok(())
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Put for $number {
            fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
                out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
                Ok(())
            }
        }
    )*};
}
numbers!(i32, i64, u32, u64);

impl Put for f64 {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        Any(self).put(out)
    }
}

impl Put for RawValue {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        out.extend_from_slice(self.get().as_bytes());
        Ok(())
    }
}

impl Put for String {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        str::put(self, out)
    }
}

impl Put for Cow<'_, str> {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        str::put(self, out)
    }
}

impl<T: Put + ?Sized> Put for Arc<T> {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        T::put(self, out)
    }
}

impl<T: Put + ?Sized> Put for Box<T> {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        T::put(self, out)
    }
}

impl<T: Put + ?Sized> Put for &T {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        T::put(self, out)
    }
}

impl<T: Put> Put for [T] {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        out.push(b'[');
        for (at, item) in self.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            item.put(out)?;
        }
        out.push(b']');
        Ok(())
    }
}

impl<T: Put> Put for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        self.as_slice().put(out)
    }
}

impl<K: AsRef<str>, V: Put> Put for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        out.push(b'{');
        for (at, (key, value)) in self.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            key.as_ref().put(out)?;
            out.push(b':');
            value.put(out)?;
        }
        out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests;
