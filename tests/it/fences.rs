//! Commands and YAML in Markdown files are true.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use clap::CommandFactory;
use serde_json::Value;
use vivremotion::app::known::known;
use vivremotion::base::diagnostic::Diagnostics;
use vivremotion::base::yaml::{self, Tree};
use vivremotion::cli::Cli;
use vivremotion::pipeline::{Known, load};
use vivremotion::settings::{self, Environment};
use vivremotion::stage::StageSpec;

/// A fenced block.
#[derive(Debug)]
struct Fence {
    file: String,
    /// Line of its first line, from 1.
    line: usize,
    /// The word after the opening marks.
    language: String,
    body: String,
}

fn fences_of(file: &str, text: &str) -> Vec<Fence> {
    let mut found = Vec::new();
    let mut open: Option<Fence> = None;
    for (index, line) in text.lines().enumerate() {
        let mark = line.trim_start().strip_prefix("```");
        match (&mut open, mark) {
            (None, Some(language)) => {
                let (file, language) = (file.to_owned(), language.trim().to_owned());
                open = Some(Fence { file, line: index + 2, language, body: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(fence), None) => {
                fence.body.push_str(line);
                fence.body.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{file}: a block is not closed: {open:?}");
    found
}

/// Every fenced block of the Markdown files that people read.
fn fences() -> Vec<Fence> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["README.md", "src/README.md", "tests/README.md"]
        .into_iter()
        .flat_map(|file| fences_of(file, &fs::read_to_string(root.join(file)).unwrap()))
        .collect()
}

/// Keys have a value, other variables have what the settings say, certificates are the only files.
struct Keys;

impl Environment for Keys {
    fn variable(&self, name: &str) -> Option<String> {
        name.ends_with("_KEY").then(|| "sk-of-nobody".to_owned())
    }
    fn file(&self, path: &str) -> Result<String, String> {
        match path.starts_with("certs/") {
            true => Ok("PEM".to_owned()),
            false => Err(format!("no file {path}")),
        }
    }
}

/// What is wrong with a YAML block: a pipeline is checked, settings are read, anything else must be YAML. Pipelines that
/// settings name the models of are checked under them too.
fn problems(fence: &Fence, under: &[&Fence], folder: &Path) -> Diagnostics {
    let name = format!("{}:{}", fence.file, fence.line);
    let (tree, found) = yaml::load(&Arc::from(name.as_str()), &fence.body);
    let value = tree.as_ref().map(Tree::to_json).unwrap_or_default();
    if value.get("pipeline").is_some() {
        return checked(fence, &Known::default(), folder);
    }
    if value.get("vivremotion").is_none() {
        return found;
    }
    match settings::read(&name, &fence.body, &Keys) {
        // A part of a settings file says nothing of models.
        Ok(settings) if settings.models.is_empty() => settings.warnings,
        Ok(settings) => {
            let known = known(&settings);
            under.iter().fold(settings.warnings, |mut all, pipeline| {
                all.merge(checked(pipeline, &known, folder));
                all
            })
        }
        Err(found) => found,
    }
}

fn checked(fence: &Fence, known: &Known, folder: &Path) -> Diagnostics {
    let path = folder.join(format!("{}-{}.yaml", fence.file.replace('/', "-"), fence.line));
    fs::write(&path, &fence.body).unwrap();
    match load(&[path], known) {
        Ok(loaded) => loaded.warnings,
        Err(found) => found,
    }
}

#[test]
fn every_yaml_block_is_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let all = fences();
    let blocks: Vec<&Fence> = all.iter().filter(|f| f.language == "yaml").collect();
    assert!(blocks.len() >= 4, "the README shows a pipeline and settings");
    let pipelines: Vec<&Fence> =
        blocks.iter().copied().filter(|f| f.body.contains("\npipeline:")).collect();
    for fence in &blocks {
        let found = problems(fence, &pipelines, folder.path());
        assert!(found.is_empty(), "{}:{}: {found}", fence.file, fence.line);
    }
}

/// The keys that could still be written somewhere in settings, as a made-up key in each mapping brings to light.
fn keys_left_out(text: &str) -> Vec<String> {
    let places: Vec<usize> = text.match_indices('{').map(|(at, _)| at + 1).collect();
    let mut tried: Vec<String> =
        places.iter().map(|at| format!("{} made_up: 1,{}", &text[..*at], &text[*at..])).collect();
    // Mappings in block style: a key beside the first of each.
    let lines: Vec<&str> = text.lines().collect();
    for (index, pair) in lines.windows(2).enumerate() {
        let depth = |line: &str| line.len() - line.trim_start().len();
        if depth(pair[1]) > depth(pair[0]) && !pair[1].trim_start().starts_with('-') {
            let mut with = lines.clone();
            let made_up = format!("{}made_up: 1", " ".repeat(depth(pair[1])));
            with.insert(index + 1, &made_up);
            tried.push(with.join("\n"));
        }
    }
    tried.push(format!("{text}\nmade_up: 1\n"));
    let mut left_out = Vec::new();
    for text in tried {
        let Err(found) = settings::read("settings", &text, &Keys) else { continue };
        let found = found.to_string();
        let listed =
            found.lines().filter_map(|line| line.split_once("keys that can stand here are "));
        for (_, names) in listed {
            let names = names.split(';').next().unwrap_or_default();
            left_out.extend(names.split(", ").map(|name| name.trim_matches('`').to_owned()));
        }
    }
    left_out.sort();
    left_out.dedup();
    left_out
}

#[test]
fn the_readme_shows_every_key_of_the_settings() {
    let all = fences();
    let shown: String = all.iter().filter(|f| f.language == "yaml").map(|f| &*f.body).collect();
    let full = all.iter().find(|f| f.body.contains("\nregistry:\n  http:\n")).unwrap();
    let left_out = keys_left_out(&full.body);
    // Each provider and model shows some keys; together they show all.
    let missing: Vec<&String> =
        left_out.iter().filter(|key| !shown.contains(&format!("{key}:"))).collect();
    assert!(missing.is_empty(), "the README does not show {missing:?}");
    let poorer = full.body.replace(", account: team-a", "").replace("account:", "");
    assert!(keys_left_out(&poorer).contains(&"account".to_owned()), "a key left out is found");
}

#[test]
fn a_wrong_yaml_block_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = |body: &str| {
        let text = format!("```yaml\n{body}\n```\n");
        fences_of("x.md", &text)
            .iter()
            .any(|fence| problems(fence, &[], folder.path()).has_errors())
    };
    assert!(wrong("a: [1"));
    assert!(wrong("vivremotion: 1\nmodels: { small: nobody/x }"));
    assert!(wrong("vivremotion: 1\npipeline: x\nsource: { topic: t, form: latest }"));
    assert!(!wrong("a: [1]"));
}

/// Who runs a command that the README shows.
enum Runner {
    /// A test, by the file it stands in.
    Test(&'static str),
    /// Nobody, for this reason.
    Nobody(&'static str),
}

use Runner::{Nobody, Test};

/// Every command of the README.
const COMMANDS: [(&str, Runner); 11] = [
    ("cargo run --release -- dev", Test("tests/e2e/readme.rs")),
    (
        "cargo run --release -- send tickets --wait '{\"input\": {\"text\": \"I was charged twice this month.\"}}'",
        Test("tests/e2e/readme.rs"),
    ),
    ("cargo run --release -- tail answers --from earliest", Test("tests/e2e/readme.rs")),
    ("cargo test", Test(".ci/run")),
    ("docker compose up --wait", Nobody("it needs a container engine; the file is checked below")),
    (
        "vivremotion memory import support-kb pipelines/knowledge/support-kb.md --settings vivremotion.yaml",
        Test("tests/e2e/readme.rs"),
    ),
    (
        "vivremotion run --settings vivremotion.yaml pipelines/support-triage.yaml",
        Test("tests/e2e/readme.rs"),
    ),
    (
        "vivremotion replay --settings vivremotion.yaml pipelines/support-triage.yaml",
        Test("tests/e2e/readme.rs"),
    ),
    (
        "vivremotion replay --settings vivremotion.yaml pipelines/support-triage.yaml --where 'dead_letter.class == \"transient\"' --yes",
        Test("tests/e2e/readme.rs"),
    ),
    (
        "vivremotion verify --settings vivremotion.yaml pipelines/support-triage.yaml --last 24h",
        Test("tests/e2e/readme.rs"),
    ),
    (
        "vivremotion bench --settings vivremotion.yaml pipelines/support-triage.yaml --rate 200 --duration 30s",
        Test("tests/e2e/readme.rs"),
    ),
];

#[test]
fn every_command_of_the_readme_is_run_or_says_why_not() {
    let fences = fences();
    let shell = fences.iter().filter(|f| f.language == "sh" && f.file == "README.md");
    let shown: Vec<&str> = shell.flat_map(|f| f.body.lines()).filter(|l| !l.is_empty()).collect();
    for command in &shown {
        let listed = COMMANDS.iter().any(|(known, _)| known == command);
        assert!(listed, "the README shows `{command}`, and nothing says who runs it");
    }
    for (command, runner) in &COMMANDS {
        assert!(shown.contains(command), "the README no longer shows `{command}`");
        match runner {
            Test(file) => {
                assert!(Path::new(file).exists(), "{file}, which runs `{command}`, is gone")
            }
            Nobody(reason) => assert!(!reason.is_empty()),
        }
    }
}

/// The first cells of the README's table under a heading.
fn table(readme: &str, heading: &str) -> Vec<String> {
    let (_, rest) = readme.split_once(heading).unwrap();
    let rows = rest.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.split('`').nth(1).unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_readme_lists_every_command_and_every_kind_of_stage() {
    let readme = fs::read_to_string("README.md").unwrap();
    let command = Cli::command();
    let verbs: Vec<&str> = command.get_subcommands().map(|verb| verb.get_name()).collect();
    assert_eq!(table(&readme, "## Commands"), verbs);
    assert_eq!(table(&readme, "exactly one kind:"), StageSpec::KINDS);
}

#[test]
fn the_composed_broker_has_the_settings_that_are_tested() {
    let text = fs::read_to_string("docker-compose.yml").unwrap();
    let (tree, found) = yaml::load(&Arc::from("docker-compose.yml"), &text);
    assert!(!found.has_errors(), "{found:?}");
    let compose = tree.unwrap().to_json();
    for (name, service) in compose["services"].as_object().unwrap() {
        let image = service["image"].as_str().unwrap();
        let pinned = image.split_once(':').is_some_and(|(_, tag)| tag != "latest");
        assert!(pinned, "`{name}` has no pinned image");
        assert!(service["healthcheck"]["test"].is_array(), "`{name}` has no health check");
    }
    let composed = &compose["services"]["kafka"]["environment"];
    let tested = fs::read_to_string("tests/services/kafka/server.properties").unwrap();
    // Where it listens and where its data lies differ by nature.
    let place = ["listener", "voters", "log.dirs"];
    for line in tested.lines().filter(|line| !line.starts_with('#')) {
        let Some((key, value)) = line.split_once('=') else { continue };
        if place.iter().any(|word| key.contains(word)) {
            continue;
        }
        let variable = format!("KAFKA_{}", key.to_uppercase().replace('.', "_"));
        assert_eq!(composed[&variable], Value::from(value), "{variable} is {key} in the tests");
    }
}
