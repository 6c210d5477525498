//! The one printer of errors with causes.

use std::error::Error;

/// Causes that are printed.
const LONGEST: usize = 16;

/// The whole chain in one line, joined with `: `; a cause that only repeats what was said is left out.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    for _ in 0..LONGEST {
        let Some(error) = cause else { break };
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
