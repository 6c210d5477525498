//! Four ways in which YAML reads something else than what was meant. Each is mended by quotes, and says so.

use super::super::diagnostic::Place;

/// What was stepped into.
pub(super) struct Trap {
    pub(super) place: Place,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: String,
}

/// The trap behind a syntax error at `place`: looked for in its line, or the one before when the parser read on.
pub(super) fn find(text: &str, place: Place) -> Option<Trap> {
    let last = usize::try_from(place.line).unwrap_or(0).max(1);
    (last.saturating_sub(1).max(1)..=last).rev().find_map(|number| {
        let line = text.lines().nth(number - 1)?;
        in_line(line, u32::try_from(number).unwrap_or(0))
    })
}

/// `query: {{ x }}` is valid YAML: a mapping whose key is a mapping.
pub(super) fn odd_key(mapping: Place, key: Place) -> Trap {
    let adjacent = mapping.line == key.line && mapping.column + 1 == key.column;
    let place = if adjacent { mapping } else { key };
    template(place)
}

fn template(place: Place) -> Trap {
    Trap {
        place,
        code: "unquoted-template",
        message: "YAML reads `{{` as the start of a mapping, not of a template".into(),
        help: "quote it: \"{{ … }}\"".into(),
    }
}

/// Walks a line with quotes and flow brackets in mind.
fn in_line(line: &str, number: u32) -> Option<Trap> {
    let chars: Vec<char> = line.chars().collect();
    let at = |column: usize| Place { line: number, column: u32::try_from(column + 1).unwrap_or(0) };
    let mut depth = 0_usize;
    let mut index = 0;
    // Where a value may start: at the line's start and after `: `, `- `, `,`, `[`, `{`.
    let mut fresh = true;
    while let Some(&c) = chars.get(index) {
        let next = chars.get(index + 1).copied();
        match c {
            '"' | '\'' if fresh => {
                let end = closing(&chars, index)?;
                if let Some(trap) = after_quote(&chars, end, at(index)) {
                    return Some(trap);
                }
                index = end;
                fresh = false;
            }
            '#' if index == 0 || chars.get(index - 1) == Some(&' ') => return None,
            '$' if next == Some('{') && depth > 0 => {
                return Some(reference(&chars, index, at(index)));
            }
            '{' if next == Some('{') && (fresh || depth > 0) => return Some(template(at(index))),
            '{' | '[' if fresh => depth += 1,
            '[' if depth > 0 => return Some(brackets(at(index))),
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                fresh = false;
            }
            ',' if depth > 0 => fresh = true,
            ':' | '-' if matches!(next, Some(' ') | None) => fresh = true,
            ' ' => {}
            _ => fresh = false,
        }
        index += 1;
    }
    None
}

fn closing(chars: &[char], start: usize) -> Option<usize> {
    let quote = chars.get(start)?;
    let mut index = start + 1;
    while let Some(c) = chars.get(index) {
        match c {
            '\\' if *quote == '"' => index += 1,
            '\'' if quote == c && chars.get(index + 1) == Some(&'\'') => index += 1,
            c if c == quote => return Some(index),
            _ => {}
        }
        index += 1;
    }
    None
}

/// `when: "a" in b`: the value ends with its closing quote, the rest is an error.
fn after_quote(chars: &[char], end: usize, place: Place) -> Option<Trap> {
    let rest: String = chars.get(end + 1..)?.iter().collect();
    let first = rest.trim_start().chars().next()?;
    if matches!(first, ':' | ',' | '}' | ']' | '#') {
        return None;
    }
    Some(Trap {
        place,
        code: "text-after-quote",
        message: "the value ends at its closing quote, but the line goes on".into(),
        help: "quote the whole of it, with the other kind of quote: '\"a\" in b'".into(),
    })
}

/// `{ api_key: ${env:X} }`: inside braces `${` opens a mapping.
fn reference(chars: &[char], start: usize, place: Place) -> Trap {
    let written: String = chars.iter().skip(start).take_while(|c| **c != '}').take(80).collect();
    Trap {
        place,
        code: "unquoted-reference",
        message: "inside `{ }` YAML reads `${` as the start of a mapping".into(),
        help: format!("quote it: \"{written}}}\""),
    }
}

/// `{ when: x[0] == "a" }`: inside braces `[` opens a list.
fn brackets(place: Place) -> Trap {
    Trap {
        place,
        code: "unquoted-brackets",
        message: "inside `{ }` YAML reads `[` as the start of a list".into(),
        help: "quote the whole value: 'x[0] == \"a\"'".into(),
    }
}
