//! Properties of every catalogue row besides its shader.

use fedgan::kernels::{Access, CATALOGUE, Class};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn names_are_unique_and_are_the_file_stems() {
    let mut names = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for kernel in CATALOGUE {
        let (name, family) = (kernel.name(), kernel.family());
        assert!(names.insert(name), "two rows are called {name}");
        assert_eq!(kernel.stem(), format!("{family}/{name}"));
        for folder in ["src/kernels", "src/exec/cpu"] {
            let rust = root.join(format!("{folder}/{family}/{name}.rs"));
            assert!(rust.is_file(), "{name}: no {}", rust.display());
        }
        for case in kernel.cases() {
            for class in Class::ALL {
                let file = kernel.build(&case, class).file;
                let stem = file.strip_prefix(&format!("{family}/")).and_then(|f| f.strip_suffix(".wgsl"));
                let suffix = stem.and_then(|s| s.strip_prefix(name));
                let ok = suffix.is_some_and(|s| s.is_empty() || s.starts_with('_'));
                assert!(ok, "{name}: shader {file} is neither {family}/{name}.wgsl nor a variant of it");
            }
        }
    }
}

/// A file next to the kernels that the list does not declare would not be compiled.
#[test]
fn every_file_of_a_family_is_declared() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(root.join("src/kernels/mod.rs")).unwrap();
    for folder in ["src/kernels", "src/exec/cpu"] {
        let families: BTreeSet<&str> = CATALOGUE.iter().map(|k| k.family()).collect();
        for family in families {
            for file in std::fs::read_dir(root.join(folder).join(family)).unwrap().flatten() {
                let name = file.file_name().into_string().unwrap();
                let stem = name.strip_suffix(".rs").unwrap_or_else(|| panic!("{folder}/{family}/{name}: no Rust file"));
                let row = CATALOGUE.iter().any(|k| k.name() == stem && k.family() == family);
                let shared = folder == "src/kernels" && list.contains(&format!("mod {stem};"));
                assert!(row || shared, "{folder}/{family}/{name} is not in the list of src/kernels/mod.rs");
            }
        }
    }
}

#[test]
fn cases_exist_and_pass_the_shape_rule() {
    for kernel in CATALOGUE {
        let (name, bindings) = (kernel.name(), kernel.bindings());
        assert!(!kernel.cases().is_empty(), "{name}: no cases");
        assert!(bindings.iter().any(|b| b.access == Access::ReadWrite), "{name}: writes nothing");
        assert!(bindings.len() <= 7, "{name}: {} bindings, at most 7", bindings.len());
        for case in kernel.cases() {
            assert_eq!(case.len(), kernel.fields().len(), "{name}: words of a case");
            let extents = kernel.extents(&case).unwrap_or_else(|e| panic!("{name} {case:?}: {e}"));
            assert_eq!(extents.len(), bindings.len(), "{name} {case:?}: extents");
            assert_eq!(kernel.contents(&case).len(), bindings.len(), "{name} {case:?}: fills");
            assert!(extents.iter().all(|e| *e > 0), "{name} {case:?}: empty operand");
            let cost = kernel.cost(&case);
            assert!(cost.bytes > 0.0 && cost.flops >= 0.0 && cost.flops.is_finite(), "{name} {case:?}: {cost:?}");
            for class in Class::ALL {
                let grid = kernel.build(&case, class).grid;
                assert!(grid.iter().all(|g| (1..=65535).contains(g)), "{name} {case:?}: grid {grid:?}");
            }
        }
    }
}

#[test]
fn some_case_has_several_clients_and_some_has_one() {
    for kernel in CATALOGUE {
        let Some(at) = kernel.fields().iter().position(|f| f.name == "clients") else { continue };
        let clients: Vec<u32> = kernel.cases().iter().map(|c| c[at]).collect();
        assert!(clients.contains(&1) && clients.iter().any(|c| *c > 1), "{}: clients {clients:?}", kernel.name());
    }
}
