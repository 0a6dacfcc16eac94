//! Embeds every file under `shaders/` so that one binary carries all kernels.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=shaders");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let shaders = Path::new(&root).join("shaders");
    let mut files = Vec::new();
    for folder in fs::read_dir(&shaders).expect("shaders/ exists").flatten().filter(|e| e.path().is_dir()) {
        for file in fs::read_dir(folder.path()).expect("readable folder").flatten() {
            if file.path().extension().is_some_and(|e| e == "wgsl") {
                files.push(format!("{}/{}", folder.file_name().to_string_lossy(), file.file_name().to_string_lossy()));
            }
        }
    }
    files.sort();
    let mut text = String::from("static FILES: &[(&str, &str)] = &[\n");
    for name in &files {
        // Not the path of today: a copied or shared target folder may belong to a tree elsewhere.
        let path = format!("concat!(env!(\"CARGO_MANIFEST_DIR\"), {:?})", format!("/shaders/{name}"));
        text.push_str(&format!("    ({name:?}, include_str!({path})),\n"));
    }
    text.push_str("];\n");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("shader_files.rs");
    fs::write(out, text).expect("OUT_DIR is writable");
}
