//! What every source file has: a header, a bounded length, a parent that names it.

use super::{File, finds, kept};

const LONGEST: usize = 600;

fn lengths(files: &[File]) -> Vec<String> {
    let long = |file: &&File| file.is_product() && file.text.lines().count() > LONGEST;
    files
        .iter()
        .filter(long)
        .map(|file| file.at(LONGEST, "a source file ends before this line"))
        .collect()
}

fn headers(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.is_rust() && !file.is_unit_test() && !file.text.starts_with("//!"))
        // The crate's documentation is the map.
        .filter(|file| !file.text.starts_with("#![doc = include_str!"))
        .map(|file| file.at(1, "a file begins with `//!` and what it is for"))
        .collect()
}

/// Rooms whose kinds people choose from: a kind says more than its name.
const ROOMS: [&str; 5] =
    ["src/stage/", "src/model/dialect/", "src/codec/", "src/context/memory/", "src/route/"];

fn kinds(files: &[File]) -> Vec<String> {
    let said = |file: &File| -> usize {
        let header = file.text.lines().take_while(|line| line.starts_with("//!"));
        header.map(|line| line.trim_start_matches("//!").split_whitespace().count()).sum()
    };
    files
        .iter()
        .filter(|file| file.is_product() && ROOMS.iter().any(|room| file.path.starts_with(room)))
        .filter(|file| said(file) < 5)
        .map(|file| file.at(1, "a kind says what it does, in a sentence"))
        .collect()
}

/// A file nobody names is not compiled, and nobody notices.
fn parents(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let Some(parents) = parents_of(&file.path) else { continue };
        let name = module(&file.path);
        let names_it = |text: &str| {
            text.lines().any(|line| {
                let line = line.trim();
                line.ends_with(&format!("mod {name};"))
                    || line.contains("#[path") && line.contains(&format!("{name}.rs"))
            })
        };
        let named = files.iter().filter(|f| parents.contains(&f.path)).any(|f| names_it(&f.text));
        if !named {
            found.push(file.at(1, &format!("no `mod {name};` in {}", parents.join(" or "))));
        }
    }
    found
}

fn module(path: &str) -> &str {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.rsplit('/').next().unwrap_or(path)
}

/// The files that may declare a module; none for the roots of a crate.
fn parents_of(path: &str) -> Option<Vec<String>> {
    let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let (dir, name) = stem.rsplit_once('/')?;
    let root = match dir {
        "src" => "lib",
        "tests/it" | "tests/e2e" | "tests/faults" | "tests/counts" => "main",
        "tests/bench" => return None,
        _ => return Some(vec![format!("{dir}.rs"), format!("{dir}/mod.rs")]),
    };
    let is_root = ["lib", "main"].contains(&name);
    (!is_root).then(|| vec![format!("{dir}/{root}.rs"), format!("{dir}/main.rs")])
}

#[test]
fn no_source_file_is_longer_than_the_law() {
    kept(lengths);
}

#[test]
fn every_source_file_says_what_it_is_for() {
    kept(headers);
}

#[test]
fn every_kind_says_what_it_does() {
    kept(kinds);
}

#[test]
fn every_source_file_is_named_by_its_parent() {
    kept(parents);
}

#[test]
fn a_file_that_breaks_a_rule_is_found() {
    let long = "x\n".repeat(LONGEST + 1);
    finds(lengths, "src/flow/run.rs", &long, &long[2..], "src/flow/run.rs:600");
    finds(headers, "src/flow/run.rs", "use std::fmt;\n", "//! Runs.\n", "src/flow/run.rs:1");
    let said = "//! `embed`: a vector from a model, for memory.\n";
    finds(kinds, "src/stage/embed.rs", "//! Embed.\n", said, "src/stage/embed.rs:1");
    let parent = File::new("src/flow/mod.rs", "pub mod run;\n");
    let child = |path: &str| File::new(path, "//! x\n");
    let lib = || File::new("src/lib.rs", "pub mod flow;\n");
    assert!(parents(&[lib(), parent, child("src/flow/run.rs")]).is_empty());
    let found = parents(&[lib(), File::new("src/flow/mod.rs", ""), child("src/flow/run.rs")]);
    assert_eq!(found.len(), 1, "{found:?}");
}
