//! What is wrong with a file, said well: one fixture per diagnostic code, and good ones beside them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use vivremotion::base::diagnostic::Diagnostics;
use vivremotion::pipeline::codes::CODES;
use vivremotion::pipeline::schema::json_schema;
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
        let loaded =
            load(std::slice::from_ref(&path), &known).unwrap_or_else(|found| panic!("{found}"));
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
    // Sizes are written in settings alone.
    let unlisted: Vec<&String> =
        used.difference(&listed).filter(|code| *code != "bad-size").collect();
    assert_eq!(unlisted, Vec::<&String>::new());
    assert!(CODES.is_sorted_by_key(|(code, _)| code), "codes are sorted");
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

#[test]
fn the_schema_for_editors_is_fresh_and_fits_the_good_pipelines() {
    let schema = json_schema();
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    golden(Path::new("pipelines/pipeline.schema.json"), &text);
    let fits = jsonschema::validator_for(&schema).unwrap();
    for path in yaml_files(&fixtures("good")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let (tree, _) = vivremotion::base::yaml::load(&"f".into(), &text);
        let errors: Vec<String> =
            fits.iter_errors(&tree.unwrap().to_json()).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", path.display());
    }
    for name in [
        "unknown-key",
        "missing-key",
        "two-kinds",
        "missing-kind",
        "bad-duration",
        "word-not-allowed",
    ] {
        let text =
            std::fs::read_to_string(fixtures("bad").join(name).with_extension("yaml")).unwrap();
        let (tree, _) = vivremotion::base::yaml::load(&"f".into(), &text);
        assert!(!fits.is_valid(&tree.unwrap().to_json()), "{name}");
    }
}

/// Pieces of which pipelines are made, and of which they are broken.
const PIECES: &[&str] = &[
    "vivremotion: 1\n",
    "pipeline: p\n",
    "source: { topic: t, from: latest }\n",
    "stages:\n",
    "  a:\n",
    "    ",
    "map: ",
    "generate: { model: m, prompt: ",
    "needs: [a, b]\n",
    "{{ event.x }}",
    "\"{{ a }}\"",
    "{% for x in a %}",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "\"",
    "'",
    "|",
    ">",
    "\n",
    "&x ",
    "*x",
    "<<: ",
    "!t ",
    "# ",
    "? ",
    "${env:X}",
    "\t",
    "\u{feff}",
    "\u{0}",
    "é",
    "sink: none\n",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "1e999",
    "~",
    "0x1F",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: proptest::prelude::ProptestConfig::default().cases.max(600), ..Default::default() })]

    #[test]
    fn no_text_makes_the_check_panic(pieces in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.into_iter().map(|at| PIECES[at]).collect();
        survives(&text);
    }

    #[test]
    fn no_change_of_a_good_pipeline_makes_the_check_panic(at in 0..2000_usize, cut in 0..40_usize, piece in 0..PIECES.len()) {
        let good = include_str!("../fixtures/good/support-triage.yaml");
        let mut chars: Vec<char> = good.chars().collect();
        let from = at % chars.len();
        chars.splice(from..(from + cut).min(chars.len()), PIECES[piece].chars());
        survives(&chars.into_iter().collect::<String>());
    }
}

/// It ends, with a plan or with at least one error, and everything it says can be shown.
fn survives(text: &str) {
    let (plan, found) =
        vivremotion::pipeline::check::check(&"f.yaml".into(), fixtures("good"), text, &known());
    assert_eq!(plan.is_none(), found.has_errors(), "{found}");
    assert!(found.to_string().len() < 1 << 20);
    assert_eq!(found.to_json_lines().lines().count(), found.sorted().len());
}

#[test]
fn the_digest_changes_with_what_is_said_and_not_with_how_it_is_laid_out() {
    let good = std::fs::read_to_string(fixtures("good").join("support-triage.yaml")).unwrap();
    let digest = |text: &str| {
        let checked =
            vivremotion::pipeline::check::check(&"f.yaml".into(), fixtures("good"), text, &known());
        checked.0.unwrap().plan.digest
    };
    let first = digest(&good);
    assert_eq!(first.len(), 32);
    assert_eq!(digest(&format!("# a comment\n{good}\n")), first);
    assert_ne!(digest(&good.replace("limit: 5", "limit: 6")), first);
    let folder = tempfile::tempdir().unwrap();
    for part in ["prompts", "schemas"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
        for entry in std::fs::read_dir(fixtures("good").join(part)).unwrap() {
            let from = entry.unwrap().path();
            let text = std::fs::read_to_string(&from).unwrap();
            let more = if from.ends_with("classify.md") { " And more." } else { "" };
            let to = folder.path().join(part).join(from.file_name().unwrap());
            std::fs::write(to, text + more).unwrap();
        }
    }
    let moved = vivremotion::pipeline::check::check(
        &"f.yaml".into(),
        folder.path().into(),
        &good,
        &known(),
    );
    assert_ne!(moved.0.unwrap().plan.digest, first);
}

#[test]
fn check_prints_problems_for_people_and_for_programs_and_says_so_in_its_exit() {
    use vivremotion::cli::{Format, check};
    let run = |name: &str, format| {
        let args = check::Args {
            files: vec![fixtures(name)],
            settings: None,
            registry: false,
            describe: false,
            format,
        };
        let mut out = Vec::new();
        let outcome = check::write(&args, &mut out);
        (outcome.map_err(|failure| failure.exit_code()), String::from_utf8(out).unwrap())
    };
    let (outcome, said) = run("bad/stage-cycle.yaml", Format::Text);
    assert_eq!(outcome, Err(2));
    assert!(said.ends_with("\n2 errors\n"), "{said}");
    let (outcome, said) = run("bad/stage-cycle.yaml", Format::Json);
    assert_eq!(outcome, Err(2));
    let first: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!((&first["code"], &first["line"]), (&json!("stage-cycle"), &json!(5)));
    let (outcome, said) = run("good", Format::Text);
    assert_eq!(outcome, Ok(()));
    assert!(said.ends_with("3 pipelines can run\n"), "{said}");
}
