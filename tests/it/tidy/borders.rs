//! Invariants of absence: who may name what.

use super::{File, finds, kept};

struct Border {
    /// What is fenced in.
    words: &'static [&'static str],
    /// Files (and folders, with a slash at the end) that may name it.
    within: &'static [&'static str],
}

const BORDERS: [Border; 10] = [
    Border { words: &["rdkafka::"], within: &["src/stream/kafka/"] },
    Border { words: &["qdrant_client::"], within: &["src/context/memory/qdrant"] },
    Border {
        words: &["rusqlite::"],
        within: &[
            "src/base/sqlite",
            "src/stream/local/",
            "src/context/memory/local",
            "src/codec/registry/embedded",
        ],
    },
    Border { words: &["apache_avro::", "schema_registry_converter::"], within: &["src/codec/"] },
    Border { words: &["env::var"], within: &["src/settings/"] },
    Border {
        words: &["SystemTime::now", "rand::random(", "rand::random::"],
        within: &["src/base/clock.rs"],
    },
    Border { words: &["process::exit"], within: &["src/main.rs", "src/cli/signals.rs"] },
    // Whoever spawns keeps what it spawned: a `JoinSet`, a thread's handle, or a task's, as these do.
    Border {
        words: &["tokio::spawn", "task::spawn("],
        within: &[
            "src/context/memory/batch.rs",
            "src/journal/writer.rs",
            "src/model/mock/server.rs",
            "src/cli/signals.rs",
        ],
    },
    Border { words: &["println!", "eprintln!"], within: &["src/cli/", "src/main.rs"] },
    Border {
        words: &["counter!(", "gauge!(", "histogram!("],
        within: &["src/telemetry/", "src/flow/observe.rs"],
    },
];

/// Vendors that the corridor must not know.
const VENDORS: [&str; 6] = ["openai", "anthropic", "gemini", "ollama", "qdrant", "sqlite"];

fn borders(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_product()) {
        for border in &BORDERS {
            if border.within.iter().any(|allowed| file.path.starts_with(allowed)) {
                continue;
            }
            for (number, line) in file.code() {
                for word in border.words.iter().filter(|word| names(line, word)) {
                    let allowed = border.within.join(", ");
                    found.push(file.at(number, &format!("only {allowed} may name `{word}`")));
                }
            }
        }
    }
    found
}

/// Whether a line has the word, not as the end of a longer one.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

fn vendors(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.is_product() && f.path.starts_with("src/flow/")) {
        for (number, line) in file.code() {
            for vendor in VENDORS.iter().filter(|vendor| line.to_lowercase().contains(**vendor)) {
                found.push(file.at(number, &format!("the corridor names `{vendor}`")));
            }
        }
    }
    found
}

#[test]
fn clients_clocks_and_the_environment_stay_behind_their_borders() {
    kept(borders);
}

#[test]
fn the_corridor_names_no_vendor() {
    kept(vendors);
}

#[test]
fn a_name_outside_its_border_is_found() {
    let clean = "//! x\nuse crate::stream::Log; // not rdkafka::\n";
    finds(borders, "src/flow/run.rs", "use rdkafka::Message;\n", clean, "src/flow/run.rs:1");
    finds(
        borders,
        "src/flow/run.rs",
        "\nlet now = SystemTime::now();\n",
        clean,
        "src/flow/run.rs:2",
    );
    finds(vendors, "src/flow/run.rs", "if provider == \"openai\" {\n", clean, "src/flow/run.rs:1");
}
