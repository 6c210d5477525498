//! What is wrong with a file, said well: one fixture per diagnostic code, and good ones beside them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use vivremotion::base::diagnostic::Diagnostics;
use vivremotion::pipeline::codes::CODES;
use vivremotion::pipeline::{Known, KnownCollection, KnownTopic, describe, load};

fn fixtures(folder: &str) -> PathBuf {
    Path::new("tests/fixtures").join(folder)
}

/// Settings of a small house: three models, one without a price; one topic whose schema is known.
fn known() -> Known {
    let ticket = json!({ "type": "record", "name": "Ticket", "fields": [
        { "name": "customer", "type": ["null", "string"] },
        { "name": "input", "type": { "type": "record", "name": "Input", "fields": [
            { "name": "text", "type": "string" },
        ] } },
    ] });
    let model = |name: &str, priced| (name.into(), priced);
    let collection = |name: &str, embedder: Option<&str>, foreign| {
        (name.into(), KnownCollection { embedder: embedder.map(Into::into), foreign })
    };
    Known {
        models: [model("small", true), model("writer", true), model("unpriced", false)].into(),
        collections: [
            collection("support-kb", Some("small"), false),
            collection("manuals", Some("small"), false),
            collection("words-only", None, false),
            collection("foreign", Some("small"), true),
            collection("foreign-bare", None, true),
        ]
        .into(),
        topics: [("tickets".into(), KnownTopic { schema: Some(ticket) })].into(),
        open: false,
        ..Known::default()
    }
}

/// Compares a text with its golden file; `GOLDEN=write` takes the text as the new truth.
#[track_caller]
fn golden(path: &Path, text: &str) {
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(path, text).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, expected, "{} differs; GOLDEN=write takes the new text", path.display());
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    files
}

fn problems(path: &Path) -> Diagnostics {
    match load(&[path.to_owned()], &known()) {
        Ok(loaded) => loaded.warnings,
        Err(found) => found,
    }
}

#[test]
fn good_pipelines_become_the_plans_their_authors_meant() {
    let known = known();
    for path in yaml_files(&fixtures("good")) {
        let loaded = load(&[path.clone()], &known).unwrap_or_else(|found| panic!("{found}"));
        let mut text = loaded.warnings.to_string();
        for plan in &loaded.plans {
            text.push_str(&describe::text(plan, &known.currency));
        }
        golden(&path.with_extension("txt"), &text);
    }
}

#[test]
fn every_bad_pipeline_says_what_is_wrong_and_how_to_mend_it() {
    for path in bad() {
        let found = problems(&path);
        golden(&path.with_extension("txt"), &found.to_string());
        let code = code(&path);
        let first = found.sorted().into_iter().find(|item| item.code == code);
        assert!(first.is_some(), "{} does not show `{code}`:\n{found}", path.display());
    }
}

/// Files and folders of `bad`, each named after a code; `<code>-warning` shows the milder case.
fn bad() -> Vec<PathBuf> {
    let mut all = yaml_files(&fixtures("bad"));
    let entries = std::fs::read_dir(fixtures("bad")).unwrap().map(|entry| entry.unwrap().path());
    all.extend(entries.filter(|path| path.is_dir() && !path.ends_with("prompts")));
    all.sort();
    all
}

fn code(path: &Path) -> String {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    name.trim_end_matches("-warning").to_owned()
}

#[test]
fn every_code_has_a_fixture_and_a_meaning() {
    let shown: BTreeSet<String> = bad().iter().map(|path| code(path)).collect();
    let listed: BTreeSet<String> = CODES.iter().map(|(code, _)| (*code).to_owned()).collect();
    assert_eq!(shown, listed);
    let said = bad().into_iter().flat_map(|path| {
        let found = problems(&path);
        found.sorted().into_iter().map(|item| item.code).collect::<Vec<_>>()
    });
    assert_eq!(said.map(str::to_owned).collect::<BTreeSet<_>>(), listed);
    let used: BTreeSet<String> = codes_in_sources();
    assert_eq!(used.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Words with dashes that sources hand to a diagnostic.
fn codes_in_sources() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for (folder, all) in [("src/pipeline", true), ("src/base/yaml", true), ("src/stage", false)] {
        for path in rust_files(Path::new(folder)) {
            let text = std::fs::read_to_string(&path).unwrap();
            let parts: Vec<&str> = match all {
                true => vec![&text],
                false => {
                    text.split("desk.error(").skip(1).filter_map(|p| p.split(';').next()).collect()
                }
            };
            let literals = parts.iter().flat_map(|part| part.split('"').skip(1).step_by(2));
            codes.extend(literals.filter(|literal| is_code(literal)).map(str::to_owned));
        }
    }
    codes
}

fn is_code(literal: &str) -> bool {
    let plain = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    literal.contains('-') && literal.split('-').all(plain)
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files
}
