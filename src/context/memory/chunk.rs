//! Cuts a Markdown text into passages: along its headings, then its paragraphs, and only where one of these is too long
//! along its sentences. Pure.
//!
//! A passage begins with the headings it stands under, so that a question that names the chapter finds it. What Markdown
//! means beyond headings, paragraphs and fenced code is left as text.

use unicode_segmentation::UnicodeSegmentation;

/// Words of a passage: enough to answer a question, few enough that its vector still means one thing.
pub const WORDS: usize = 200;
/// What is written without spaces counts as a word for each so many bytes.
const BYTES_OF_A_WORD: usize = 16;

/// A passage of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The headings it stands under, outermost first.
    pub headings: Vec<String>,
    /// The passage, headings included.
    pub text: String,
}

/// Cuts a text into passages of at most `most` words, headings not counted.
pub fn markdown(text: &str, most: usize) -> Vec<Chunk> {
    let mut cutter = Cutter { most: most.max(1), ..Cutter::default() };
    for line in without_front_matter(text).lines() {
        cutter.line(line);
    }
    cutter.end_section();
    cutter.chunks
}

/// Settings between `---` lines at the very start are for other programs.
fn without_front_matter(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else {
        return text;
    };
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        at += line.len();
        if line.trim_end() == "---" {
            return rest.get(at..).unwrap_or_default();
        }
    }
    text
}

#[derive(Default)]
struct Cutter {
    most: usize,
    headings: Vec<(usize, String)>,
    /// The mark that ends the fenced code.
    fence: Option<String>,
    /// Lines of the paragraph.
    paragraph: Vec<String>,
    /// Paragraphs of the section.
    section: Vec<String>,
    chunks: Vec<Chunk>,
}

impl Cutter {
    fn line(&mut self, line: &str) {
        let trimmed = line.trim();
        if let Some(mark) = &self.fence {
            let ends =
                trimmed.starts_with(mark.as_str()) && trimmed.trim_matches(['`', '~']).is_empty();
            self.paragraph.push(line.into());
            if ends {
                self.fence = None;
            }
            return;
        }
        if let Some(mark) = fence(trimmed) {
            self.fence = Some(mark);
            self.paragraph.push(line.into());
        } else if let Some((level, title)) = heading(trimmed) {
            self.open(level, title);
        } else if let (Some(level), [title]) = (underline(trimmed), self.paragraph.as_slice()) {
            let title = title.trim().to_owned();
            self.paragraph.clear();
            self.open(level, title);
        } else if trimmed.is_empty() {
            self.end_paragraph();
        } else {
            self.paragraph.push(line.trim_end().into());
        }
    }

    /// Begins the section of a heading.
    fn open(&mut self, level: usize, title: String) {
        self.end_section();
        self.headings.retain(|(outer, _)| *outer < level);
        if !title.is_empty() {
            self.headings.push((level, title));
        }
    }

    fn end_paragraph(&mut self) {
        let lines = std::mem::take(&mut self.paragraph);
        if lines.iter().any(|line| !line.trim().is_empty()) {
            self.section.push(lines.join("\n"));
        }
    }

    fn end_section(&mut self) {
        self.end_paragraph();
        let mut body = String::new();
        for paragraph in std::mem::take(&mut self.section) {
            for part in parts(&paragraph, self.most) {
                if !body.is_empty() && words(&body) + words(&part) > self.most {
                    self.keep(std::mem::take(&mut body));
                }
                if !body.is_empty() {
                    body.push_str("\n\n");
                }
                body.push_str(&part);
            }
        }
        if !body.is_empty() {
            self.keep(body);
        }
    }

    fn keep(&mut self, body: String) {
        let headings: Vec<String> = self.headings.iter().map(|(_, title)| title.clone()).collect();
        let text = match headings.is_empty() {
            true => body,
            false => format!("{}\n\n{body}", headings.join(" > ")),
        };
        self.chunks.push(Chunk { headings, text });
    }
}

/// The mark of a line that begins fenced code.
fn fence(line: &str) -> Option<String> {
    let mark = line.chars().next().filter(|mark| ['`', '~'].contains(mark))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    let rest = line.get(length..).unwrap_or_default();
    (length >= 3 && !rest.contains('`')).then(|| mark.to_string().repeat(length))
}

/// Level and title of a `#` heading.
fn heading(line: &str) -> Option<(usize, String)> {
    let level = line.chars().take_while(|c| *c == '#').count();
    let title = line.get(level..)?;
    let is_one = (1..=6).contains(&level) && (title.is_empty() || title.starts_with([' ', '\t']));
    is_one.then(|| (level, title.trim().trim_end_matches('#').trim_end().to_owned()))
}

/// Level of the line above, when this line underlines it.
fn underline(line: &str) -> Option<usize> {
    let all = |mark| line.len() >= 2 && line.chars().all(|c| c == mark);
    if all('=') {
        Some(1)
    } else if all('-') {
        Some(2)
    } else {
        None
    }
}

fn words(text: &str) -> usize {
    text.unicode_words().count().max(text.len() / BYTES_OF_A_WORD)
}

/// A paragraph in parts of at most `most` words: whole, else by sentences, else by words.
fn parts(paragraph: &str, most: usize) -> Vec<String> {
    if words(paragraph) <= most {
        return vec![paragraph.to_owned()];
    }
    let mut parts = Vec::new();
    let mut part = String::new();
    for sentence in paragraph.split_sentence_bounds() {
        if words(sentence) > most {
            parts.push(std::mem::take(&mut part));
            parts.extend(cut(sentence, most));
            continue;
        }
        if words(&part) + words(sentence) > most {
            parts.push(std::mem::take(&mut part));
        }
        part.push_str(sentence);
    }
    parts.push(part);
    let trimmed = parts.into_iter().map(|part| part.trim().to_owned());
    trimmed.filter(|part| !part.is_empty()).collect()
}

/// A text without sentences in parts of at most `most` words.
fn cut(text: &str, most: usize) -> Vec<String> {
    let (mut parts, mut part, mut count) = (Vec::new(), String::new(), 0);
    for piece in text.split_word_bounds() {
        let mut rest = piece;
        while !rest.is_empty() {
            // A piece longer than a whole part is taken by the byte.
            let (taken, left) = rest.split_at(rest.floor_char_boundary(most * BYTES_OF_A_WORD));
            let (taken, left) = if taken.is_empty() { (rest, "") } else { (taken, left) };
            let weight = words(taken);
            if count > 0 && count + weight > most {
                parts.push(std::mem::take(&mut part));
                count = 0;
            }
            part.push_str(taken);
            count += weight;
            rest = left;
        }
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests;
