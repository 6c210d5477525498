//! The planted bugs still fit the sources: one that does not apply tests nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

const FOLDER: &str = "tests/planted";

fn patches() -> Vec<String> {
    let files = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().file_name());
    let names = files.map(|name| name.to_string_lossy().into_owned());
    names.filter_map(|name| name.strip_suffix(".patch").map(str::to_owned)).collect()
}

/// What `git apply` says against it; nothing when it applies.
fn misfit(patch: &Path) -> String {
    let output = Command::new("git").args(["apply", "--check"]).arg(patch).output().unwrap();
    match output.status.success() {
        true => String::new(),
        false => String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn every_planted_bug_applies_to_the_sources() {
    for name in patches() {
        let said = misfit(&Path::new(FOLDER).join(format!("{name}.patch")));
        assert!(said.is_empty(), "{name} must be made anew for the sources as they are: {said}");
    }
    let slower = misfit(Path::new("tests/counts/slower.patch"));
    assert!(slower.is_empty(), "the planted slow-down must be made anew: {slower}");
}

#[test]
fn every_rule_has_a_planted_bug_and_every_planted_bug_an_aim() {
    let patches = patches();
    for rule in 1..=11 {
        let prefix = format!("r{rule}-");
        assert!(patches.iter().any(|name| name.starts_with(&prefix)), "nothing breaks R{rule}");
    }
    assert!(patches.iter().any(|name| name == "strip-the-map"));
    let run = fs::read_to_string(format!("{FOLDER}/run")).unwrap();
    for name in patches {
        let aimed = run.lines().any(|line| line.starts_with(&format!("{name} --")));
        assert!(aimed, "`{FOLDER}/run` does not say which tests are to catch {name}");
    }
}

#[test]
fn a_patch_that_does_not_fit_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let patch = folder.path().join("x.patch");
    let text =
        "--- a/src/lib.rs\n+++ b/src/lib.rs\n@@ -1,1 +1,1 @@\n-what is not there\n+nor this\n";
    fs::write(&patch, text).unwrap();
    assert!(!misfit(&patch).is_empty());
}
