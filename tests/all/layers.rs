//! The layers of the crate: a module imports only modules of lower layers, and wgpu is named in one module.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules by layer; modules of one layer do not import each other. `error`, `input` and `key` are free.
const LAYERS: &[&[&str]] = &[
    &["kernels"],
    &["exec", "isa"],
    &["gpu"],
    &["model", "data"],
    &["fed"],
    &["metric"],
    &["check"],
    &["report"],
    &["perf"],
    &["config"],
    &["session", "foreign"],
    &["mpi"],
    &["cli"],
];

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("src/ is readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The code of a formatted file, without comments and without the items after `#[cfg(test)]`: tests may import
/// anything.
fn code(text: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut kept = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push(line.split("//").next().unwrap_or_default());
            continue;
        }
        // More attributes, then the item: one line, or up to its closing brace.
        let depth = indent(line);
        let item = lines.by_ref().find(|l| !l.trim_start().starts_with("#[")).unwrap_or_default();
        if !item.trim_end().ends_with([';', '}', ',']) {
            lines.by_ref().find(|l| indent(l) == depth && l.trim_start().starts_with('}'));
        }
    }
    kept.join("\n")
}

#[test]
fn only_test_items_are_excluded() {
    let text = "use a;\n#[cfg(test)]\nmod b;\nuse crate::c; // d\n#[cfg(test)]\n#[path = \"e\"]\nmod f {\n    use crate::g;\n}\nuse crate::h;\n";
    assert_eq!(code(text), "use a;\nuse crate::c; \nuse crate::h;");
}

/// The first path segments after `crate::`, including grouped imports.
fn imports(code: &str) -> Vec<String> {
    code.split("crate::").skip(1).flat_map(heads).collect()
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first segment of the path that `text` starts with; of a group `{a::b, c}` the heads at depth one.
fn heads(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else { return vec![word(text)] };
    let (mut out, mut depth, mut head) = (Vec::new(), 0, true);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => head = true,
            c if head && c.is_alphabetic() => {
                out.push(word(&group[i..]));
                head = false;
            }
            _ => {}
        }
    }
    out
}

/// Modules of the same crate that a file names by `super::` or `crate::`, as files. Names that a `mod.rs` hands on are
/// not followed.
fn named_modules(root: &Path, file: &Path, code: &str) -> Vec<PathBuf> {
    let at = |folder: &Path, name: &str| {
        [folder.join(name).with_extension("rs"), folder.join(name).join("mod.rs")].into_iter().find(|p| p.is_file())
    };
    let mut out = Vec::new();
    for (i, _) in code.match_indices("super::").filter(|(i, _)| !code[..*i].ends_with("super::")) {
        let rest = code[i..].trim_start_matches("super::");
        let mut folder = file.parent().expect("below src/");
        let up = (code[i..].len() - rest.len()) / "super::".len() - usize::from(!file.ends_with("mod.rs"));
        for _ in 0..up {
            folder = folder.parent().unwrap_or(folder);
        }
        out.extend(heads(rest).iter().filter_map(|name| at(folder, name)));
    }
    for part in code.split("crate::").skip(1) {
        let (mut folder, mut found, mut rest) = (root.to_path_buf(), None, part);
        loop {
            let name = word(rest);
            let Some(path) = at(&folder, &name).filter(|_| !name.is_empty()) else { break };
            (found, folder) = (Some(path), folder.join(&name));
            let Some(next) = rest[name.len()..].strip_prefix("::") else { break };
            rest = next;
        }
        // `crate::a::b::{c, d}` may name modules in its group.
        let group: Vec<PathBuf> = heads(rest).iter().filter_map(|name| at(&folder, name)).collect();
        out.extend(if group.is_empty() { found.into_iter().collect() } else { group });
    }
    out
}

/// A circle of files, from a file through its imports back to it.
fn circle(edges: &BTreeMap<PathBuf, Vec<PathBuf>>) -> Option<Vec<PathBuf>> {
    let mut done = BTreeSet::new();
    fn walk(
        at: &PathBuf,
        edges: &BTreeMap<PathBuf, Vec<PathBuf>>,
        path: &mut Vec<PathBuf>,
        done: &mut BTreeSet<PathBuf>,
    ) -> bool {
        if let Some(start) = path.iter().position(|p| p == at) {
            path.drain(..start);
            return true;
        }
        if !done.insert(at.clone()) {
            return false;
        }
        path.push(at.clone());
        if edges.get(at).into_iter().flatten().any(|next| walk(next, edges, path, done)) {
            return true;
        }
        path.pop();
        false
    }
    edges.keys().find_map(|start| {
        let mut path = Vec::new();
        walk(start, edges, &mut path, &mut done).then_some(path)
    })
}

#[test]
fn no_files_import_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let is_test = |p: &Path| p.components().any(|c| c.as_os_str() == "tests" || c.as_os_str() == "tests.rs");
    let mut edges = BTreeMap::new();
    for file in files.into_iter().filter(|p| !is_test(p)) {
        let text = code(&std::fs::read_to_string(&file).expect("readable source"));
        // A folder's `mod.rs` is its face: the files below take names from it, and it hands theirs on.
        let named: Vec<PathBuf> = named_modules(&root, &file, &text)
            .into_iter()
            .filter(|other| *other != file && !(other.ends_with("mod.rs") && file.starts_with(other.parent().unwrap())))
            .collect();
        edges.insert(file, named);
    }
    let total: usize = edges.values().map(Vec::len).sum();
    assert!(total > 500, "only {total} imports found");
    assert_eq!(circle(&edges), None);

    // The circle of two files that was once there.
    let (a, b) = (root.join("fed/aggregate/krum.rs"), root.join("fed/aggregate/multi_krum.rs"));
    assert!(edges[&b].contains(&a), "{:?}", edges[&b]);
    edges.get_mut(&a).expect("a rule").push(b.clone());
    let found = circle(&edges).expect("a circle");
    assert!(found.len() == 2 && found.contains(&a) && found.contains(&b), "{found:?}");
}

#[test]
fn modules_import_only_layers_before_their_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut found, mut checked) = (Vec::new(), 0);
    for file in files {
        let relative = file.strip_prefix(&root).expect("below src/");
        let module = relative.iter().next().and_then(|s| s.to_str()).unwrap_or_default().trim_end_matches(".rs");
        let text = code(&std::fs::read_to_string(&file).expect("readable source"));
        let is_test_file = relative.iter().any(|part| part == "tests")
            || relative.file_stem().is_some_and(|s| s == "tests" || s.to_string_lossy().ends_with("_tests"));
        if is_test_file {
            continue;
        }
        if module != "gpu" && (text.contains("wgpu::") || text.contains("use wgpu")) {
            found.push(format!("{}: names wgpu", relative.display()));
        }
        let Some(own) = rank(module) else { continue };
        checked += 1;
        for import in imports(&text) {
            if import != module && rank(&import).is_some_and(|other| other >= own) {
                found.push(format!("{}: {module} imports {import}", relative.display()));
            }
        }
    }
    assert!(checked > 10, "only {checked} files checked");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// `pub mod` in src/cli/mod.rs declares a verb, `mod` what verbs share.
#[test]
fn verbs_import_no_verb() {
    let text = include_str!("../../src/cli/mod.rs");
    let verbs: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(verbs.len() > 8, "{verbs:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut found = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&root).expect("below src/cli");
        let own = relative.iter().next().and_then(|s| s.to_str()).unwrap_or_default().trim_end_matches(".rs");
        let text = code(&std::fs::read_to_string(&file).expect("readable source"));
        for verb in verbs.iter().filter(|verb| **verb != own && own != "mod") {
            // A verb's own folder may hold a module of a verb's name, such as validate/report.rs.
            let paths = [format!("cli::{verb}::"), format!("super::{verb}::"), format!("super::super::{verb}::")];
            // Files whose `super` is `cli`.
            let direct = relative.components().count() == 1 || relative.ends_with(format!("{own}/mod.rs"));
            if text.contains(&paths[0]) || direct && text.contains(&paths[1]) || text.contains(&paths[2]) {
                found.push(format!("src/cli/{} imports the verb {verb}", relative.display()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A module of several files is a folder with a `mod.rs`. Tests stand at the end of their file, or in `tests.rs` or `tests/` of
/// the module's folder.
#[test]
fn every_module_has_one_place() {
    let mut found = Vec::new();
    for root in ["src", "tests"].map(|root| Path::new(env!("CARGO_MANIFEST_DIR")).join(root)) {
        let mut files = Vec::new();
        sources(&root, &mut files);
        assert!(files.len() > 20, "{files:?}");
        for file in files {
            let name = file.display();
            if file.with_extension("").is_dir() {
                found.push(format!("{name}: move it into its folder, as mod.rs"));
            }
            if file.to_string_lossy().ends_with("_tests.rs") {
                found.push(format!("{name}: move it to tests.rs or tests/ in the folder of the module"));
            }
            let text = std::fs::read_to_string(&file).expect("readable source");
            if text.lines().count() > 500 {
                found.push(format!("{name}: {} lines; divide it, a file has at most 500", text.lines().count()));
            }
            if text.lines().any(|l| l.starts_with("#[path")) {
                found.push(format!("{name}: a module is found by its name, without #[path]"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_module_has_a_layer() {
    let lib = include_str!("../../src/lib.rs");
    let modules = lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in modules.filter(|m| !["error", "input", "key"].contains(m)) {
        assert!(rank(module).is_some(), "src/{module} has no layer");
    }
}

#[test]
fn imports_are_found() {
    let text = code(
        "use crate::{Error, fed::{a, b}, gpu};\nlet x = crate::cli::y(); // crate::model\n#[cfg(test)]\nuse crate::data;\n",
    );
    assert_eq!(imports(&text), ["Error", "fed", "gpu", "cli"]);
}

/// Results, names and retention do not depend on dates, so a clock that jumps changes nothing; durations come from
/// [`std::time::Instant`], which is monotonic. The wall times of TensorBoard's events are dates: one function reads them.
#[test]
fn nothing_reads_the_date() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 100);
    for file in files.iter().filter(|file| !file.ends_with("report/tensorboard/wall.rs")) {
        let text = std::fs::read_to_string(file).expect("readable source");
        for word in ["SystemTime", ".modified()", ".created()", ".accessed()", "chrono::", "UNIX_EPOCH"] {
            assert!(!text.contains(word), "{} reads dates: {word}", file.display());
        }
    }
}
