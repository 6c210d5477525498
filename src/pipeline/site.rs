//! Where a text stands: in the pipeline file, or in a file of its own; and from a byte of the text to a place there.

use std::sync::Arc;

use crate::base::diagnostic::Place;

/// A text to be checked.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// The file it stands in, as the user named it.
    pub(super) file: Arc<str>,
    /// Where it begins; none when it is the whole of its file.
    pub(super) start: Option<Place>,
}

impl Site {
    /// The place of a byte of `text`. Exact for plain, quoted and block scalars that hold the text as it is; the start of
    /// the scalar where escapes or folding stand in between.
    pub(super) fn place(&self, yaml: &str, text: &str, byte: usize) -> Place {
        let Some(start) = self.start else { return Place::of(text, byte) };
        let exact = offset(yaml, start).and_then(|at| {
            let rest = yaml.get(at..)?;
            match rest.chars().next()? {
                '"' | '\'' if rest.get(1..)?.starts_with(text) => {
                    Some(Place::of(yaml, at + 1 + byte))
                }
                '|' | '>' => block(yaml, start.line + 1, text, byte),
                _ if rest.starts_with(text) => Some(Place::of(yaml, at + byte)),
                // The parser may give a block's first line instead of its mark.
                _ => block(yaml, start.line, text, byte),
            }
        });
        exact.unwrap_or(start)
    }
}

fn offset(yaml: &str, place: Place) -> Option<usize> {
    let line = usize::try_from(place.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(place.column).ok()?.checked_sub(1)?;
    let start: usize = yaml.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = yaml.get(start..)?;
    let within = rest.char_indices().nth(column).map_or(rest.len(), |(byte, _)| byte);
    Some(start + within)
}

/// A block scalar: its lines from `first` on, less their indentation.
fn block(yaml: &str, first: u32, text: &str, byte: usize) -> Option<Place> {
    let inside = Place::of(text, byte);
    let line = first + inside.line - 1;
    let written = yaml.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let meant = text.lines().nth(usize::try_from(inside.line).ok()?.checked_sub(1)?)?;
    let indent = written.strip_suffix(meant).filter(|indent| indent.trim().is_empty())?;
    let indent = u32::try_from(indent.chars().count()).ok()?;
    Some(Place { line, column: indent + inside.column })
}

#[cfg(test)]
mod tests;
