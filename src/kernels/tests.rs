//! Every shader that a catalogue case can assemble is valid, portable WGSL and matches its row. No device is needed.

use super::{Access, CATALOGUE, Class, Scalar, shader};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::collections::BTreeSet;

#[test]
fn every_shader_parses_validates_and_matches_its_row() {
    let mut seen = BTreeSet::new();
    for kernel in CATALOGUE {
        for params in kernel.cases() {
            for class in Class::ALL {
                let build = kernel.build(&params, class);
                assert!(build.grid.iter().all(|g| (1..=65535).contains(g)), "{}: {:?}", kernel.name(), build.grid);
                for unroll in [false, true] {
                    let name = format!("{} {:?} unroll {unroll}", build.file, build.consts);
                    if seen.insert(name.clone()) {
                        let text = shader::assemble_file(build.file, &build.consts, unroll).unwrap();
                        check(*kernel, &name, text.text(), class);
                    }
                }
            }
        }
    }
    assert!(seen.len() >= 2 * CATALOGUE.len());
}

fn check(kernel: &dyn super::AnyKernel, name: &str, text: &str, class: Class) {
    let module = naga::front::wgsl::parse_str(text).unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(text)));
    let mut validator = Validator::new(
        ValidationFlags::all(),
        match class {
            Class::Tiled | Class::Direct => Capabilities::empty(),
            Class::Lanes => Capabilities::SUBGROUP | Capabilities::SHADER_INT64,
        },
    );
    validator.validate(&module).unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(text)));
    assert!(module.entry_points[0].workgroup_size.iter().product::<u32>() <= 256, "{name}");
    let bound = |index: u32| {
        let found = module.global_variables.iter().find(|(_, v)| v.binding.is_some_and(|b| b.binding == index));
        found.unwrap_or_else(|| panic!("{name}: no binding {index}")).1
    };
    let naga::TypeInner::Struct { members, .. } = &module.types[bound(0).ty].inner else {
        panic!("{name}: parameters")
    };
    let fields: Vec<_> = members
        .iter()
        .map(|m| match module.types[m.ty].inner {
            naga::TypeInner::Scalar(naga::Scalar::U32) => (m.name.as_deref().unwrap(), Scalar::u32),
            naga::TypeInner::Scalar(naga::Scalar::F32) => (m.name.as_deref().unwrap(), Scalar::f32),
            ref other => panic!("{name}: parameter of type {other:?}"),
        })
        .collect();
    assert_eq!(fields, kernel.fields().iter().map(|f| (f.name, f.ty)).collect::<Vec<_>>(), "{name}");
    for (i, binding) in kernel.bindings().iter().enumerate() {
        let variable = bound(i as u32 + 1);
        assert_eq!(variable.name.as_deref(), Some(binding.name), "{name}");
        let writes = naga::AddressSpace::Storage { access: naga::StorageAccess::LOAD | naga::StorageAccess::STORE };
        assert_eq!(variable.space == writes, binding.access == Access::ReadWrite, "{name}: {}", binding.name);
    }
    let count = module.global_variables.iter().filter(|(_, v)| v.binding.is_some()).count();
    assert_eq!(count, kernel.bindings().len() + 1, "{name}");
}
