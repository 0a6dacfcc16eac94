//! naga (and tint, where installed) read every shader text that any case of any row runs, and hold it against the row.
//! No device is needed.

use fedgan::kernels::reflect::{Language, Shader, Variant, variants};
use fedgan::kernels::{CATALOGUE, Class, shader};
use rayon::prelude::*;
use std::path::Path;
use std::process::Command;

/// Every distinct text: loop form and expanded form of each variant of each row.
fn texts() -> Vec<(&'static dyn fedgan::kernels::Kernel, Variant, bool, String)> {
    let mut out = Vec::new();
    for kernel in CATALOGUE {
        for variant in variants(*kernel, &Class::ALL) {
            for unroll in [false, true] {
                let text = variant.assemble(unroll).unwrap_or_else(|e| panic!("{}: {e}", kernel.name()));
                if !out.iter().any(|(_, v, _, t): &(_, Variant, _, String)| v.file == variant.file && *t == text) {
                    out.push((*kernel, variant.clone(), unroll, text));
                }
            }
        }
    }
    out
}

#[test]
fn every_shader_agrees_with_its_row_and_translates() {
    let failures: Vec<String> = texts()
        .par_iter()
        .flat_map_iter(|(kernel, variant, unroll, text)| {
            let found = match Shader::parse(text) {
                Err(error) => vec![error],
                Ok(shader) => {
                    let mut found = shader.disagreements(*kernel);
                    for language in [Language::Spirv, Language::Msl, Language::Hlsl] {
                        found.extend(shader.translate(text, language).err());
                    }
                    found
                }
            };
            let form = if *unroll { "expanded" } else { "loops" };
            found.into_iter().map(move |f| format!("{}: {} ({form}): {f}", kernel.name(), variant.file))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn files_on_disk_are_valid_as_they_stand() {
    let mut failures = Vec::new();
    for (file, text) in shader::files().iter().filter(|(file, _)| !file.starts_with("lib/")) {
        // An included library file is the one thing that a file on disk may lack.
        if !text.contains("//#include") {
            failures.extend(Shader::parse(text).err().map(|e| format!("{file}: {e}")));
        }
        let users = CATALOGUE.iter().filter(|k| variants(**k, &Class::ALL).iter().any(|v| v.file == *file)).count();
        if users == 0 {
            failures.push(format!("{file}: no case of any row builds it"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn tint_accepts_every_shader_where_it_is_installed() {
    if Command::new("tint").arg("--help").output().is_err() {
        eprintln!("tint: not on the PATH, not run");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let texts = texts();
    let failures: Vec<String> = texts
        .par_iter()
        .enumerate()
        .filter_map(|(i, (kernel, variant, unroll, text))| {
            let path = folder.path().join(format!("{i}.wgsl"));
            std::fs::write(&path, text).expect("a writable folder");
            let error = tint(&path)?;
            Some(format!("{}: {} (expanded: {unroll}): {error}", kernel.name(), variant.file))
        })
        .collect();
    eprintln!("tint: checked {} shader texts", texts.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What tint has against the file; `None` if nothing.
fn tint(path: &Path) -> Option<String> {
    // WGSL out of WGSL: the one format that every build of tint can write.
    let output = Command::new("tint").args(["--format", "wgsl"]).arg(path).output().expect("tint starts");
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}
