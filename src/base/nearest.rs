//! Suggestions by edit distance over a closed list of words.

/// Words that a help line names.
const NAMED: usize = 12;

/// The word most like `name`, if any is like it at all.
pub fn nearest<'a>(name: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).clamp(1, 4);
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(name, word), word))
        .filter(|(distance, word)| *distance <= allowed && *distance < word.chars().count())
        .min()
        .map(|(_, word)| word)
}

/// ``defined models are `small`, `large`; did you mean `large`?``, or none when there is nothing to say.
pub fn suggestion<'a>(
    name: &str,
    what: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let words: Vec<&str> = words.into_iter().collect();
    if words.is_empty() {
        return None;
    }
    let named: Vec<String> = words.iter().take(NAMED).map(|word| format!("`{word}`")).collect();
    let more = if words.len() > NAMED { ", …" } else { "" };
    let listed = format!("{what} {}{more}", named.join(", "));
    Some(match nearest(name, words) {
        Some(word) => format!("{listed}; did you mean `{word}`?"),
        None => listed,
    })
}

#[cfg(test)]
mod tests;
