//! The shader files as stored; `portable` checks the assembled shaders that run.

use fedgan::kernels::reflect::{Shader, variants};
use fedgan::kernels::{CATALOGUE, Class, shader};

#[test]
fn files_on_disk_are_valid() {
    let mut failures = Vec::new();
    for (file, text) in shader::kernel_files() {
        // An included library file is the only part that a file on disk may lack.
        if !text.contains("//#include") {
            failures.extend(Shader::parse(text).err().map(|e| format!("{file}: {e}")));
        }
        let users = CATALOGUE.iter().filter(|k| variants(**k, &Class::ALL).iter().any(|v| v.file == file)).count();
        if users == 0 {
            failures.push(format!("{file}: no case of any row builds it"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
