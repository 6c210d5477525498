//! The house rules. Each is a function from files to violations, run on the repository, and on a planted violation that
//! it must find.

mod borders;
mod files;
mod layers;
mod planted;
mod words;

use std::fs;
use std::path::Path;

/// A text file of the repository.
struct File {
    /// Path from the root, with slashes.
    path: String,
    /// Content.
    text: String,
}

impl File {
    fn new(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Rust files of the product, its unit tests left out.
    fn is_product(&self) -> bool {
        self.is_rust() && self.path.starts_with("src/") && !self.is_unit_test()
    }

    fn is_unit_test(&self) -> bool {
        self.path.starts_with("src/")
            && (self.path.ends_with("/tests.rs") || self.path.contains("/tests/"))
    }

    /// Lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Lines of code: whole-line comments left out, trailing ones cut off.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(number, line)| (number, line.split(" // ").next().unwrap_or(line)))
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// What a rule finds: `path:line: what is wrong`.
type Rule = fn(&[File]) -> Vec<String>;

/// Every text file that belongs to the project.
fn repository() -> Vec<File> {
    let mut found = Vec::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut found);
    found.sort_by(|a: &File, b: &File| a.path.cmp(&b.path));
    found
}

/// Directories that hold what was built or written by a run.
const NOT_OURS: [&str; 4] = ["target", ".git", ".vivremotion", "__pycache__"];

fn walk(root: &Path, below: &str, found: &mut Vec<File>) {
    for entry in fs::read_dir(root.join(below)).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            walk(root, &path, found);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            found.push(File { path, text });
        }
    }
}

/// The repository keeps a rule.
#[track_caller]
fn kept(rule: Rule) {
    let violations = rule(&repository());
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// A rule finds what is planted, at that place, and nothing in a clean twin.
#[track_caller]
fn finds(rule: Rule, path: &str, planted: &str, clean: &str, place: &str) {
    let found = rule(&[File::new(path, planted)]);
    assert!(found.iter().any(|v| v.starts_with(place)), "expected {place} in {found:?}");
    let found = rule(&[File::new(path, clean)]);
    assert!(found.is_empty(), "{found:?}");
}
