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

/// Where there still are circles, of parents and children that import each other.
const CIRCLES_LEFT: [&str; 2] = ["workbench::history_file", "workbench::workload::kafka"];

/// The files, by module path, and what is said in each but for its tests.
fn sources(folder: &Path, module: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let inner = if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") };
        if path.is_dir() {
            sources(&path, &inner, found);
        } else if !["lib", "main"].contains(&name) {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
            found.insert(if name == "mod" { module.to_owned() } else { inner }, text);
        }
    }
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
                        write_out(&format!("{prefix}{head}"), rest.trim_end().trim_end_matches('}'), paths);
                    }
                    None => paths.push(format!("{prefix}{part}")),
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The files that this one imports.
fn imports(module: &str, text: &str, files: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut paths = Vec::new();
    for tree in text.split("use ").skip(1).filter_map(|rest| rest.split(';').next()) {
        if ["crate::", "super::", "self::"].iter().any(|root| tree.starts_with(root)) {
            write_out("", tree, &mut paths);
        }
    }
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let absolute = paths.iter().map(|path| match path.split_once("::") {
        Some(("crate", rest)) => rest.to_owned(),
        Some(("super", rest)) => {
            let (mut above, mut rest) = (parent, rest);
            while let Some(further) = rest.strip_prefix("super::") {
                (above, rest) = (above.rsplit_once("::").map_or("", |(above, _)| above), further);
            }
            format!("{above}::{rest}")
        }
        Some((_, rest)) => format!("{module}::{rest}"),
        None => path.clone(),
    });
    let file_of = |path: String| {
        let mut path = path.as_str();
        while !files.contains_key(path) {
            path = path.rsplit_once("::")?.0;
        }
        (path != module).then(|| path.to_owned())
    };
    absolute.filter_map(file_of).collect()
}

#[test]
fn layers_import_downward_only_and_in_no_circle() {
    let mut files = BTreeMap::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    let room = |module: &str| ROOMS.iter().position(|room| Some(*room) == module.split("::").next());
    let mut graph: BTreeMap<_, _> =
        files.iter().map(|(module, text)| (module.clone(), imports(module, text, &files))).collect();
    assert!(graph.values().map(BTreeSet::len).sum::<usize>() > 100, "imports are found");
    for (module, imports) in &graph {
        let own = room(module).unwrap_or_else(|| panic!("{module} has no place among the layers"));
        for import in imports {
            assert!(room(import).unwrap() <= own, "{module} imports {import}, which is above it");
        }
    }
    let is_exempt = |module: &String| {
        let is_in = |place: &&str| {
            module.strip_prefix(*place).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        CIRCLES_LEFT.iter().any(is_in)
    };
    graph.retain(|module, _| !is_exempt(module));
    for imports in graph.values_mut() {
        imports.retain(|import| !is_exempt(import));
    }
    // Whoever imports nothing that is left is in no circle.
    while let Some(module) =
        graph.iter().find(|(_, imports)| imports.is_empty()).map(|(module, _)| module.clone())
    {
        graph.remove(&module);
        for imports in graph.values_mut() {
            imports.remove(&module);
        }
    }
    // Nor is who is imported by nothing that is left.
    while let Some(module) = graph.keys().find(|module| !graph.values().any(|i| i.contains(*module))).cloned()
    {
        graph.remove(&module);
    }
    assert!(graph.is_empty(), "these import each other: {:?}", graph.keys());
}

/// The core, the simulator and the checkers compile where there is no Unix: `.ci/run` checks that by a compiler, too.
#[test]
fn only_the_shells_need_unix() {
    let mut files = BTreeMap::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    let needs_unix = |text: &str| {
        ["mio::", "rustix::", "signal_hook", "os::unix", "os::fd"].iter().any(|word| text.contains(word))
    };
    let shells = ["cli", "reactor", "workbench::driver::processes"];
    let found: Vec<_> =
        files.iter().filter(|(_, text)| needs_unix(text)).map(|(module, _)| &**module).collect();
    assert!(found.len() > 3, "they are found");
    for module in found {
        assert!(shells.iter().any(|shell| module.starts_with(shell)), "{module} needs Unix");
    }
}
