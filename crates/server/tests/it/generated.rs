//! What the binary writes about itself is committed, and compared here.

use std::{fs, path::Path};

use crate::scratch::Scratch;

#[track_caller]
fn compare(file: &str, args: &[&str]) {
    let printed = Scratch::new().run(args).expect(0).stdout;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(printed == committed, "{file} is not what the code says any more; run `cargo xtask gen` and commit the result");
}

#[test]
fn the_example_file_is_what_the_sections_say() {
    compare("baluarte.example.toml", &["config", "example"]);
}

#[test]
fn the_example_file_is_a_valid_configuration_that_changes_nothing() {
    let site = Scratch::new();
    let text = site.run(&["config", "example"]).expect(0).stdout;
    let values =
        |text: String| -> Vec<String> { text.lines().map(|line| line.split("    # ").next().unwrap_or_default().to_owned()).collect() };
    let defaults = values(Scratch::new().run(&["config", "show"]).expect(0).stdout);
    let example = values(site.file("baluarte.toml", &text).run(&["config", "show"]).expect(0).stdout);
    assert_eq!(defaults, example);
}

#[test]
fn the_list_of_problem_codes_is_what_the_components_declare() {
    compare("docs/errors.md", &["docs", "errors"]);
}

#[test]
fn the_list_of_commands_is_what_the_program_offers() {
    compare("docs/commands.md", &["docs", "commands"]);
}
