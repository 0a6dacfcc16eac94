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
