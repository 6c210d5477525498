//! What is wrong with a file, said well: one fixture per diagnostic code, and good ones beside them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use vivremotion::base::diagnostic::Diagnostics;
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
    let collection = |name: &str| (name.into(), KnownCollection { embedder: Some("small".into()) });
    Known {
        models: [model("small", true), model("writer", true), model("unpriced", false)].into(),
        collections: [collection("support-kb"), collection("manuals")].into(),
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
