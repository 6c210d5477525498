//! Arrows between layers go one way.

use super::{File, finds, kept};

/// Left to right: a layer may name itself and what stands left of it.
const ORDER: [&str; 21] = [
    "base",
    "telemetry",
    "event",
    "stream",
    "codec",
    "table",
    "journal",
    "model",
    "context",
    "guard",
    "budget",
    "route",
    "stage",
    "settings",
    "pipeline",
    "flow",
    "audit",
    "replay",
    "harness",
    "app",
    "cli",
];

fn rank(layer: &str) -> Option<usize> {
    ORDER.iter().position(|known| *known == layer)
}

fn arrows(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_product()) {
        let inside = file.path.trim_start_matches("src/").trim_end_matches(".rs");
        let layer = inside.split('/').next().unwrap_or(inside);
        if layer == "lib" || layer == "main" {
            continue; // They name everything.
        }
        let Some(own) = rank(layer) else {
            found.push(file.at(1, &format!("`{layer}` is no layer")));
            continue;
        };
        let code = code_of(file);
        for (line, named) in named_layers(&code, depth(inside)) {
            match rank(&named) {
                Some(other) if other > own => {
                    found.push(file.at(line, &format!("`{layer}` names `{named}`")));
                }
                _ => {}
            }
        }
    }
    found
}

/// The file without comments, lines kept.
fn code_of(file: &File) -> String {
    let mut text = String::new();
    let mut last = 0;
    for (number, line) in file.code() {
        text.push_str(&"\n".repeat(number - last));
        text.push_str(line);
        last = number;
    }
    text
}

/// Modules between the crate's root and the names of a file.
fn depth(inside: &str) -> usize {
    inside.split('/').filter(|part| *part != "mod").count()
}

/// Every `crate::x`, `crate::{x, y}` and `super::…::x` that reaches the root, with its line.
fn named_layers(code: &str, depth: usize) -> Vec<(usize, String)> {
    let up = "super::".repeat(depth);
    ["crate::", &up]
        .into_iter()
        .flat_map(|prefix| code.match_indices(prefix).map(move |(at, _)| (at, prefix.len())))
        .filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        .flat_map(|(at, length)| {
            // Line breaks in front of the first line are counted, so the number is the line's.
            let line = code[..at].matches('\n').count();
            first_names(&code[at + length..]).into_iter().map(move |name| (line, name))
        })
        .collect()
}

/// The first name of a path, or of each path in braces.
fn first_names(rest: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let mut level = 0_usize;
    let mut names = vec![word(group)];
    for (at, c) in group.char_indices() {
        match c {
            '{' => level += 1,
            '}' if level == 0 => break,
            '}' => level -= 1,
            ',' if level == 0 => names.push(word(&group[at + 1..])),
            _ => {}
        }
    }
    names
}

#[test]
fn no_layer_names_one_to_its_right() {
    kept(arrows);
}

#[test]
fn an_arrow_that_goes_back_is_found_however_it_is_written() {
    let clean = "use crate::base::Place;\n// crate::flow\n";
    finds(
        arrows,
        "src/event/money.rs",
        "//! x\n\nuse crate::flow::Unit;\n",
        clean,
        "src/event/money.rs:3",
    );
    finds(
        arrows,
        "src/event/money.rs",
        "use crate::{base::X, flow::{A, B}};\n",
        clean,
        "src/event/money.rs:1",
    );
    finds(
        arrows,
        "src/event/money.rs",
        "fn f() {\n    super::super::flow::f();\n}\n",
        clean,
        "src/event/money.rs:2",
    );
    finds(arrows, "src/event/mod.rs", "use super::flow::f;\n", clean, "src/event/mod.rs:1");
    assert_eq!(arrows(&[File::new("src/adapters/mod.rs", clean)]).len(), 1);
}
