//! Layers import downward only, and no file imports another that imports it, however long the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The rooms of `src`, from the bottom up: each may use those before it.
const ROOMS: [&str; 18] = [
    "time",
    "assertions",
    "json",
    "messages",
    "wire",
    "timer",
    "rpc",
    "telemetry",
    "boundary",
    "store",
    "node",
    "kv",
    "reactor",
    "args",
    "workbench",
    "nodes",
    "cli",
    "guide",
];

/// The files of a folder, by module path, each with its code but for tests, comments and texts.
fn sources(folder: &Path, module: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let inner = if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") };
        if path.is_dir() {
            sources(&path, &inner, found);
        } else if path.extension().is_some_and(|of| of == "rs") && !["lib", "main", "tests"].contains(&name) {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            found.insert(if name == "mod" { module.to_owned() } else { inner }, code(text));
        }
    }
}

/// A file without its comments, and without what is quoted on one line. Within a module that it has inline, `super` is
/// the file itself.
fn code(text: &str) -> String {
    let (mut code, mut is_inline) = (String::new(), false);
    for line in text.lines() {
        let unquoted: Vec<_> = line.replace("\\\"", "").split('"').step_by(2).map(str::to_owned).collect();
        let joined = unquoted.join("");
        let bare = joined.split("//").next().unwrap();
        is_inline = line != "}"
            && (is_inline || !bare.starts_with(' ') && bare.contains("mod ") && bare.ends_with(" {"));
        code += &if is_inline { bare.replacen("super::", "self::", 1) } else { bare.to_owned() };
        code.push('\n');
    }
    code
}

/// Writes `a::{b, c::{d}}` out as `a::b` and `a::c::d`.
fn write_out(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let (mut start, mut depth) = (0, 0);
    for (at, c) in tree.char_indices().chain([(tree.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = tree[start..at].trim();
                match part.split_once('{') {
                    Some((head, rest)) => {
                        let inner = rest.trim_end().strip_suffix('}').unwrap();
                        write_out(&format!("{prefix}{head}"), inner, paths);
                    }
                    None if part.is_empty() => {}
                    None => paths.push(format!("{prefix}{part}")),
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// A path of a module, from the root; none for those of other crates.
fn absolute(module: &str, path: &str, scope: &BTreeMap<String, String>) -> Option<String> {
    let mut segments = path.split("::");
    let mut at: Vec<_> = match segments.next()? {
        "crate" => Vec::new(),
        "self" => module.split("::").collect(),
        "super" => module.rsplit_once("::").map_or(Vec::new(), |(parent, _)| parent.split("::").collect()),
        name => scope.get(name)?.split("::").collect(),
    };
    for segment in segments {
        match segment {
            "super" => drop(at.pop()),
            "self" | "*" => {}
            name => at.push(name),
        }
    }
    Some(at.join("::"))
}

/// The files that this one imports, by `use` or by a path in the middle of its code. What comes from the root, where
/// things are exported once more, comes from `lib`.
fn imports(module: &str, code: &str, files: &BTreeMap<String, String>) -> BTreeSet<String> {
    let (mut scope, mut trees, mut rest, mut in_use) = (BTreeMap::new(), String::new(), String::new(), false);
    for line in code.split_inclusive(['\n', ';']).map(str::trim) {
        let is_restricted = line.starts_with("pub(");
        let bare = if is_restricted { line.split_once(") ").map_or(line, |(_, bare)| bare) } else { line };
        let bare = bare.strip_prefix("pub ").unwrap_or(bare);
        if let Some(child) = bare.strip_prefix("mod ").and_then(|of| of.strip_suffix(';')) {
            scope.insert(child.to_owned(), format!("{module}::{child}"));
        }
        let tree = bare.strip_prefix("use ");
        in_use |= tree.is_some();
        let kept = if in_use { &mut trees } else { &mut rest };
        *kept += tree.unwrap_or(bare);
        kept.push(' ');
        in_use &= !line.ends_with(';');
    }
    let mut paths = Vec::new();
    for tree in trees.split(';') {
        write_out("", tree, &mut paths);
    }
    for path in &mut paths {
        let (whole, alias) = path.split_once(" as ").unwrap_or((path, path));
        let names_parent = whole.strip_suffix("::self").unwrap_or(whole);
        let alias = if alias == whole { names_parent.rsplit("::").next().unwrap() } else { alias };
        if let Some(target) = absolute(module, names_parent, &scope) {
            scope.insert(alias.to_owned(), target);
        }
        *path = names_parent.to_owned();
    }
    let words = rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    paths.extend(
        words.map(|word| word.trim_end_matches(':')).filter(|word| word.contains("::")).map(str::to_owned),
    );
    let file_of = |path: String| {
        let mut path = path.as_str();
        while !files.contains_key(path) {
            match path.rsplit_once("::") {
                Some((parent, _)) => path = parent,
                None => return "lib".to_owned(),
            }
        }
        path.to_owned()
    };
    let files = paths.iter().filter_map(|path| absolute(module, path, &scope)).map(file_of);
    files.filter(|file| file != module).collect()
}

#[test]
fn layers_import_downward_only_and_in_no_circle() {
    let mut files = BTreeMap::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    let room = |module: &str| {
        let place = ROOMS.iter().position(|room| Some(*room) == module.split("::").next());
        place.unwrap_or_else(|| panic!("{module} has no place among the layers"))
    };
    let mut graph: BTreeMap<_, _> =
        files.iter().map(|(module, code)| (module.clone(), imports(module, code, &files))).collect();
    assert!(graph.values().map(BTreeSet::len).sum::<usize>() > 1_000, "imports are found");
    for (module, imports) in &graph {
        let own = room(module);
        for import in imports {
            assert!(import != "lib", "{module} imports from the root what has a file of its own");
            assert!(room(import) <= own, "{module} imports {import}, which is above it");
        }
    }
    // Whoever imports nothing that is left is in no circle, nor is who is imported by nothing that is left.
    loop {
        let imported: BTreeSet<_> = graph.values().flatten().cloned().collect();
        let left: BTreeSet<_> = graph.keys().cloned().collect();
        for imports in graph.values_mut() {
            imports.retain(|import| left.contains(import));
        }
        graph.retain(|module, imports| !imports.is_empty() && imported.contains(module));
        if graph.len() == left.len() {
            break;
        }
    }
    assert!(graph.is_empty(), "these import each other, or are on the way between such: {graph:#?}");
}

/// The list of the rooms in the guide is in their order, and none is missing.
#[test]
fn the_tour_goes_through_the_rooms_from_the_bottom_up() {
    let tour = include_str!("../../src/guide/tour.rs");
    let (_, list) = tour.split_once("//! # The rooms").unwrap();
    let (list, _) = list.split_once("//! # ").unwrap();
    let items = list.lines().filter_map(|line| line.strip_prefix("//! - "));
    let named: Vec<_> = items.map(|item| item.split('`').nth(1).unwrap()).collect();
    assert_eq!(named, ROOMS);
}

/// What happens to messages does not depend on what clients want.
#[test]
fn the_cluster_of_a_test_knows_no_clients() {
    let mut files = BTreeMap::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    let of_cluster = |module: &&String| module.starts_with("workbench::cluster");
    assert!(files.keys().filter(of_cluster).count() > 3, "its files are found");
    for module in files.keys().filter(of_cluster) {
        for import in imports(module, &files[module], &files) {
            let above = ["clients", "history", "plan", "workload", "world", "driver", "test_cluster"];
            let is_above = above.iter().any(|room| import.starts_with(&format!("workbench::{room}")));
            assert!(!is_above, "{module} imports {import}");
        }
    }
}

/// The core, the simulator and the checkers compile where there is no Unix: `.ci/run` checks that by a compiler, too.
#[test]
fn only_the_shells_need_unix() {
    let mut files = BTreeMap::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    let needs_unix = |text: &str| {
        ["mio::", "rustix::", "signal_hook", "os::unix", "os::fd"].iter().any(|word| text.contains(word))
    };
    let driver = ["processes", "running", "stderr"].map(|file| format!("workbench::driver::{file}"));
    let shells = [&["cli".to_owned(), "reactor".to_owned()], &driver[..]].concat();
    let found: Vec<_> =
        files.iter().filter(|(_, text)| needs_unix(text)).map(|(module, _)| &**module).collect();
    assert!(found.len() > 3, "they are found");
    for module in found {
        assert!(shells.iter().any(|shell| module.starts_with(shell.as_str())), "{module} needs Unix");
    }
}
