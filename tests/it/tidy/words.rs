//! Words that do not belong into the files.

use super::{File, finds, kept};

/// Unfinished work. Written in two halves, so that this file does not break its own rule.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];

fn unfinished(files: &[File]) -> Vec<String> {
    let rust = files.iter().filter(|file| file.is_rust());
    lines_with(rust, &UNFINISHED, "what is unfinished is not committed")
}

/// What a test may not do.
const UNSOUND: [&str; 3] = [concat!("#[ig", "nore"), concat!("should_", "panic"), "sleep("];

/// Files that may nevertheless, each with its reason.
const MAY: [(&str, &str); 5] = [
    ("tests/it/simulate/line.rs", "takes time on a clock that its worlds hold"),
    ("tests/it/support/driver.rs", "moves a clock that its tests hold"),
    ("tests/e2e/services/wait.rs", "waits for another process by polling a level"),
    ("tests/faults/time.rs", "spaces faults and load in time"),
    ("tests/e2e/kafka/faults.rs", "spaces its load, backs off, freezes a broker for a while"),
];

fn unsound_tests(files: &[File]) -> Vec<String> {
    let tests = files.iter().filter(|file| {
        let test = file.is_unit_test() || file.path.starts_with("tests/");
        let listed = MAY.iter().any(|(path, _)| file.path == *path);
        // Where time is held, a sleep moves the clock and takes no time.
        let held = file.text.contains("start_paused");
        file.is_rust() && test && !listed && !held
    });
    lines_with(tests, &UNSOUND, "a test waits for a level, runs, and says what it expects")
}

fn lines_with<'f>(
    files: impl Iterator<Item = &'f File>,
    words: &[&str],
    reason: &str,
) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.filter(|file| !file.path.starts_with("tests/it/tidy/words")) {
        for (number, line) in file.lines() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                found.push(file.at(number, &format!("`{word}`: {reason}")));
            }
        }
    }
    found
}

/// Endings of type names that say nothing.
const EMPTY: [&str; 5] = ["Manager", "Handler", "Helper", "Util", "Utils"];

fn empty_names(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_product()) {
        for (number, line) in file.code() {
            let declared = ["struct ", "enum ", "trait "].iter().find_map(|k| line.split(k).nth(1));
            let name: String = declared
                .unwrap_or_default()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if EMPTY.iter().any(|ending| name.ends_with(ending)) {
                found.push(file.at(number, &format!("`{name}` does not say what it is")));
            }
        }
    }
    found
}

/// Words that have a better one here.
const BETTER: [(&str, &str); 6] = [
    ("ttft", "time to first chunk"),
    ("error queue", "dead letter topic"),
    ("dead letter queue", "dead letter topic"),
    ("llm", "model"),
    ("retry number", "attempt"),
    ("moderation filter", "guardrail"),
];

fn better_words(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    let ours = |file: &&File| file.is_product() || file.path.ends_with(".md");
    for file in files.iter().filter(ours) {
        for (number, line) in file.lines() {
            let line = line.to_lowercase();
            for (word, better) in BETTER.iter().filter(|(word, _)| whole_word(&line, word)) {
                found.push(file.at(number, &format!("`{word}`: the word here is {better}")));
            }
        }
    }
    found
}

fn whole_word(line: &str, word: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric();
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(letter) && !line[at + word.len()..].starts_with(letter)
    })
}

/// Top folders of somebody's machine; a path into them does not belong into the project.
const MACHINE: [&str; 4] = ["tmp", "home", "root", "work"];

fn machine_paths(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in file.lines() {
            for folder in MACHINE {
                let path = format!("/{folder}/");
                let hit = line.match_indices(&path).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let inner =
                        before.is_some_and(|c| c.is_alphanumeric() || "_.:$}/-*".contains(c));
                    let after = line[at + path.len()..].chars().next();
                    !inner && after.is_some_and(char::is_alphabetic)
                });
                if hit {
                    found.push(file.at(number, "a path of one machine"));
                }
            }
        }
    }
    found
}

/// Numbers of a tracker say nothing to who reads the files.
fn tracker_numbers(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() || file.path.ends_with(".md")) {
        for (number, line) in file.lines() {
            let line = line.to_lowercase();
            let numbered = ["issue #", "issue ", "pull request #", "ticket #"].iter().any(|word| {
                line.match_indices(word).any(|(at, _)| {
                    line[at + word.len()..].starts_with(|c: char| c.is_ascii_digit())
                })
            });
            if numbered {
                found.push(file.at(number, "the number of a tracker"));
            }
        }
    }
    found
}

#[test]
fn nothing_unfinished_is_committed() {
    kept(unfinished);
}

#[test]
fn no_test_sleeps_is_ignored_or_expects_a_panic() {
    kept(unsound_tests);
}

#[test]
fn type_names_say_what_they_are() {
    kept(empty_names);
}

#[test]
fn every_thing_has_one_word() {
    kept(better_words);
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    kept(machine_paths);
}

#[test]
fn no_file_speaks_in_tracker_numbers() {
    kept(tracker_numbers);
}

#[test]
fn a_wrong_word_is_found() {
    let source = "src/flow/run.rs";
    finds(unfinished, source, concat!("// TO", "DO later\n"), "// later\n", "src/flow/run.rs:1");
    let test = "src/flow/run/tests.rs";
    finds(
        unsound_tests,
        test,
        "\nthread::sleep(SECOND);\n",
        "until(level)\n",
        "src/flow/run/tests.rs:2",
    );
    finds(unsound_tests, test, concat!("#[ig", "nore]\n"), "#[test]\n", "src/flow/run/tests.rs:1");
    finds(
        empty_names,
        source,
        "pub struct LaneManager {\n",
        "pub struct Lanes {\n",
        "src/flow/run.rs:1",
    );
    finds(better_words, "README.md", "The LLM answers.\n", "Enrollment.\n", "README.md:1");
    let home = concat!("see /ho", "me/ann/notes\n");
    finds(
        machine_paths,
        "README.md",
        home,
        "see ${dir}/home/x and https://x/home/y\n",
        "README.md:1",
    );
    finds(
        tracker_numbers,
        "README.md",
        concat!("see iss", "ue #12\n"),
        "the issue is closed\n",
        "README.md:1",
    );
}
