//! `messenger new`: what it writes is a node, and tested so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::support::{example, messenger, python, run, skip};

/// An empty place for folders.
fn place(test: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new").join(test);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    place
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Makes the folder `my-node`.
fn make(place: &Path, lang: &str) -> PathBuf {
    let folder = place.join("my-node");
    let output = run(messenger(&["new", folder.to_str().unwrap(), "--lang", lang]), b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("messenger test -w echo --bin "), "{}", text(&output.stdout));
    folder
}

/// The two commands of the folder's README that are valid there, and the one that is not; all at once, since they wait.
fn assert_teaches(folder: &Path, program: &Path) {
    thread::scope(|scope| {
        for (words, status, store) in [
            ("-w echo --time-limit 1", 0, "echo"),
            ("-w broadcast --time-limit 2 --rate 20", 0, "calm"),
            ("-w broadcast --time-limit 6 --rate 50 --nemesis partition --nemesis-interval 1", 1, "torn"),
        ] {
            scope.spawn(move || {
                let mut command =
                    messenger(&["test", "--bin", program.to_str().unwrap(), "--seed", "1", "--store"]);
                command.arg(folder.join(store)).args(words.split(' '));
                let output = run(command, b"");
                let said = format!("{words}: {}{}", text(&output.stdout), text(&output.stderr));
                assert_eq!(output.status.code(), Some(status), "{said}");
                assert!(status == 0 || said.contains("is lost"), "{said}");
            });
        }
    });
}

/// Whether this machine has that program.
fn has(program: &str) -> bool {
    let is_there =
        Command::new(program).arg(if program == "go" { "version" } else { "--version" }).output().is_ok();
    is_there || skip::<()>(&format!("there is no {program}")).is_some()
}

#[test]
fn a_node_in_python_is_valid() {
    let folder = make(&place("python"), "python");
    let program = folder.join("node.py");
    let code = fs::read_to_string(&program).unwrap();
    assert!(code.starts_with("#!/usr/bin/env python3\n"), "{code}");
    let mode = fs::metadata(&program).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "{mode:o}");
    let Some(()) = python(&program, &code) else { return };
    assert_teaches(&folder, &program);
}

#[test]
fn a_node_in_javascript_is_valid() {
    if has("node") {
        let folder = make(&place("js"), "js");
        assert_teaches(&folder, &folder.join("node.js"));
    }
}

#[test]
fn a_node_in_go_is_valid() {
    if has("go") {
        let folder = make(&place("go"), "go");
        // This folder is in a repository that is none of Go's business.
        let built =
            Command::new("go").args(["build", "-buildvcs=false"]).current_dir(&folder).output().unwrap();
        assert!(built.status.success(), "{}", text(&built.stderr));
        assert_teaches(&folder, &folder.join("my-node"));
    }
}

/// Its `main.rs` is built as an example of another crate; to build the folder itself would build all that it uses anew.
#[test]
fn a_node_in_rust_is_valid() {
    let folder = make(&place("rust"), "rust");
    let main = fs::read_to_string(folder.join("src/main.rs")).unwrap();
    assert_eq!(main, include_str!("../../src/cli/new/rust/main.rs"));
    assert_teaches(&folder, Path::new(example("new").get_program()));
    let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(manifest["package"]["name"].as_str(), Some("my-node"));
    let dependency = &manifest["dependencies"]["messenger"];
    assert_eq!(dependency["package"].as_str(), Some(env!("CARGO_PKG_NAME")));
    let version = dependency["version"].as_str().unwrap();
    assert!(env!("CARGO_PKG_VERSION").starts_with(&format!("{version}.")), "{version}");
}

#[test]
fn a_node_in_rust_takes_the_library_from_a_clone_if_asked_to() {
    let (place, clone) = (place("clone"), env!("CARGO_MANIFEST_DIR"));
    let made = |lang: &str, path: &str| {
        let folder = place.join(lang);
        run(messenger(&["new", folder.to_str().unwrap(), "--lang", lang, "--path", path]), b"")
    };
    assert!(made("rust", clone).status.success());
    let manifest: toml::Table = fs::read_to_string(place.join("rust/Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(manifest["dependencies"]["messenger"]["path"].as_str(), Some(clone));
    for (lang, path, reason) in
        [("go", clone, "no other needs it"), ("rust", "/", "expected a clone of this program's repository")]
    {
        let output = made(lang, path);
        assert_eq!(output.status.code(), Some(254));
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    }
}

#[test]
fn nothing_that_is_there_is_touched() {
    let place = place("taken");
    let folder = place.join("my-node");
    fs::create_dir(&folder).unwrap();
    make(&place, "python");
    fs::write(folder.join("node.py"), "mine").unwrap();
    for (path, reason) in [
        (folder.as_path(), "is there already: expected a folder that is new, or empty"),
        (&folder.join("node.py"), "begins with a letter"),
        (&place.join("1st"), "begins with a letter; found"),
        (&place.join("a node"), "letters, digits, - and _"),
    ] {
        let output = run(messenger(&["new", path.to_str().unwrap(), "--lang", "python"]), b"");
        assert_eq!(output.status.code(), Some(254));
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    }
    assert_eq!(fs::read_to_string(folder.join("node.py")).unwrap(), "mine");
}

#[test]
fn shells_and_man_are_told_of_every_subcommand() {
    for args in [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]] {
        let output = run(messenger(args), b"");
        let told = text(&output.stdout);
        assert!(output.status.success());
        for word in ["explore", "grade", "new", "completions"] {
            assert!(told.contains(word), "{args:?}: {word} is not in\n{told}");
        }
    }
}
