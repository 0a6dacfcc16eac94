//! The shader files as stored; `portable` checks the assembled shaders that run.

use fedgan::kernels::reflect::{Shader, variants};
use fedgan::kernels::shader::{self, Assembled};
use fedgan::kernels::{CATALOGUE, Class};

/// With its includes pasted a file is valid WGSL: its defaults are a variant, in loop form.
#[test]
fn files_on_disk_are_valid() {
    let mut failures = Vec::new();
    for (file, _) in shader::kernel_files() {
        let text = shader::with_includes(file).unwrap();
        failures.extend(Shader::parse(&Assembled::plain(file, text)).err());
        let users = CATALOGUE.iter().filter(|k| variants(**k, &Class::ALL).iter().any(|v| v.file == file)).count();
        if users == 0 {
            failures.push(format!("{file}: no case of any row builds it"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Files that `file` includes, at whatever depth.
fn included(file: &str) -> Vec<&str> {
    let text = shader::source(file).unwrap_or_default();
    let own = text.lines().filter_map(|line| line.trim().strip_prefix("//#include "));
    own.flat_map(|path| std::iter::once(path).chain(included(path))).collect()
}

#[test]
fn every_library_file_is_used_and_says_what_it_is() {
    let used: Vec<&str> = shader::files().iter().flat_map(|(file, _)| included(file)).collect();
    let mut checked = 0;
    for (file, text) in shader::library_files() {
        assert!(used.contains(&file), "{file}: no shader includes it");
        assert!(text.starts_with("// "), "{file}: the first line says what the file is");
        checked += 1;
    }
    assert!(checked > 5, "only {checked} files checked");
}

/// Where a condition stands in brackets as a whole: `if (a) {`.
fn bracketed(line: &str) -> bool {
    let Some((_, condition)) = line.split_once("if (") else { return false };
    let mut depth = 1;
    let close = condition.char_indices().find(|(_, c)| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth == 0
    });
    close.is_some_and(|(at, _)| condition[at + 1..].trim_start().starts_with('{'))
}

/// One style of conditions, so that a change of one line is one change in every shader that has it.
#[test]
fn conditions_stand_without_brackets() {
    assert!(bracketed("    } else if (lane < width) {") && bracketed("//# if ((a & b) == 1u) { return; }"));
    assert!(!bracketed("    if (a & b) == 1u {") && !bracketed("if a == (b) { f(); }"));
    let found: Vec<String> = shader::files()
        .iter()
        .flat_map(|(file, text)| text.lines().enumerate().map(move |(i, line)| (file, i, line)))
        .filter(|(_, _, line)| bracketed(line))
        .map(|(file, i, line)| format!("{file}:{}: {line}", i + 1))
        .collect();
    assert!(found.is_empty(), "write `if condition {{`:\n{}", found.join("\n"));
}
