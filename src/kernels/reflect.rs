//! What naga says about a shader, held against its catalogue row; and translations to the other shader languages.
//! No device is needed: tests run this over every row, `validate --shader` before an edited file reaches a device.

use super::shader::{self, Assembled};
use super::{Access, AnyKernel, Class, Elem, Scalar, diagnostic};
use naga::valid::Capabilities;
use naga::{AddressSpace, ScalarKind, ShaderStage, StorageAccess, TypeInner};

/// Most invocations of a workgroup that every WebGPU device offers.
pub const MAX_WORKGROUP: u32 = 256;
/// Bytes of workgroup memory that every WebGPU device offers.
pub const MAX_WORKGROUP_BYTES: u32 = 16 * 1024;
/// Storage buffers of one stage that every WebGPU device offers.
pub const MAX_STORAGE_BUFFERS: usize = 8;

/// A parsed and validated WGSL module.
#[derive(Debug)]
pub struct Shader {
    pub(super) module: naga::Module,
    pub(super) info: naga::valid::ModuleInfo,
    /// It uses the optional features of [`Class::Lanes`].
    pub(super) lanes: bool,
}

/// What only [`Class::Lanes`] needs of a device.
const LANES: Capabilities = Capabilities::SUBGROUP.union(Capabilities::SHADER_INT64);

impl Shader {
    /// Parses and validates WGSL: without optional capabilities, except a text that broadcasts within subgroups. It gets
    /// those of [`Class::Lanes`], and no other language than newer SPIR-V.
    ///
    /// # Errors
    /// naga's message, with the file and line as they were written and the source line.
    pub fn parse(wgsl: &Assembled) -> Result<Self, String> {
        Shader::parse_with(wgsl, Capabilities::empty())
    }

    /// [`Shader::parse`] that also accepts 16-bit floats (`enable f16;`).
    ///
    /// # Errors
    /// As [`Shader::parse`].
    pub fn parse_half(wgsl: &Assembled) -> Result<Self, String> {
        Shader::parse_with(wgsl, Capabilities::SHADER_FLOAT16)
    }

    fn parse_with(wgsl: &Assembled, capabilities: Capabilities) -> Result<Self, String> {
        let lanes = wgsl.text().contains("subgroupBroadcast");
        let capabilities = if lanes { LANES | capabilities } else { capabilities };
        let mut options = naga::front::wgsl::Options::new();
        options.capabilities = capabilities;
        let module = naga::front::wgsl::Frontend::new_with_options(options)
            .parse(wgsl.text())
            .map_err(|e| diagnostic::parse(&e, wgsl))?;
        let flags = naga::valid::ValidationFlags::all();
        let info = naga::valid::Validator::new(flags, capabilities)
            .validate(&module)
            .map_err(|e| diagnostic::validation(&e, wgsl))?;
        Ok(Shader { module, info, lanes })
    }

    /// True if it uses the optional features of [`Class::Lanes`].
    pub fn needs_lanes(&self) -> bool {
        self.lanes
    }

    /// naga's module.
    pub fn module(&self) -> &naga::Module {
        &self.module
    }

    /// What naga's validator found out about the module.
    pub fn info(&self) -> &naga::valid::ModuleInfo {
        &self.info
    }

    /// The module with compute entry point `entry` alone and its `override` constants replaced by values: `constants`, or their
    /// defaults.
    ///
    /// # Errors
    /// A constant without a value, of the wrong type, or with a value that the module does not allow.
    pub fn resolved(&self, entry: &str, constants: &[(String, f64)]) -> Result<Shader, String> {
        let values = self.keys(constants).into_iter().collect();
        let stage = Some((ShaderStage::Compute, entry));
        naga::back::pipeline_constants::process_overrides(&self.module, &self.info, stage, &values)
            .map(|(module, info)| Shader { module: module.into_owned(), info: info.into_owned(), lanes: self.lanes })
            .map_err(|e| diagnostic::chain(&e))
    }

    /// `override` constants by the names that a pipeline knows them by: the number of a constant with `@id`.
    pub fn keys(&self, constants: &[(String, f64)]) -> Vec<(String, f64)> {
        let id = |name: &String| {
            let found = self.module.overrides.iter().find(|(_, o)| o.name.as_ref() == Some(name));
            found.and_then(|(_, o)| o.id).map_or_else(|| name.clone(), |id| id.to_string())
        };
        constants.iter().map(|(name, value)| (id(name), *value)).collect()
    }

    /// The module as the writers expect it ([`Shader::write`]): the one entry point is called `main`, and its variables are
    /// numbered in group 0 in the order of their bindings.
    pub fn renumbered(&self) -> Shader {
        let mut module = self.module.clone();
        module.entry_points.iter_mut().for_each(|entry| entry.name = "main".into());
        let mut places: Vec<_> = module.global_variables.iter().filter_map(|(_, g)| g.binding).collect();
        places.sort();
        for (_, global) in module.global_variables.iter_mut() {
            if let Some(place) = &mut global.binding {
                let number = places.iter().position(|p| p == place).unwrap_or_default() as u32;
                *place = naga::ResourceBinding { group: 0, binding: number };
            }
        }
        Shader { module, info: self.info.clone(), lanes: self.lanes }
    }

    /// Threads of a workgroup of `main`, x * y * z; 0 without such an entry point.
    pub fn workgroup_size(&self) -> u32 {
        self.main().map_or(0, |e| e.workgroup_size.iter().product())
    }

    /// Bytes of workgroup memory that the module declares.
    pub fn workgroup_bytes(&self) -> u32 {
        let globals = self.module.global_variables.iter().filter(|(_, g)| g.space == AddressSpace::WorkGroup);
        globals.map(|(_, g)| self.module.types[g.ty].inner.size(self.module.to_ctx())).sum()
    }

    fn main(&self) -> Option<&naga::EntryPoint> {
        self.module.entry_points.iter().find(|e| e.name == "main" && e.stage == ShaderStage::Compute)
    }

    /// Every way in which the shader disagrees with `kernel`'s declaration or exceeds the portable limits; empty if none.
    pub fn disagreements(&self, kernel: &dyn AnyKernel) -> Vec<String> {
        let mut found = Vec::new();
        if self.main().is_none() || self.module.entry_points.len() != 1 {
            found.push("must have exactly one entry point, `@compute fn main`".to_string());
        }
        let threads = self.workgroup_size();
        if threads > MAX_WORKGROUP {
            found.push(format!("workgroup of {threads} threads, at most {MAX_WORKGROUP} allowed"));
        }
        let bytes = self.workgroup_bytes();
        if bytes > MAX_WORKGROUP_BYTES {
            found.push(format!("{bytes} bytes of workgroup memory, at most {MAX_WORKGROUP_BYTES} allowed"));
        }
        self.check_params(kernel, &mut found);
        self.check_bindings(kernel, &mut found);
        found
    }

    /// Local variables of which an element is written whose index is only known at run time. GPUs keep such variables in memory
    /// instead of registers, and FXC refuses many of them (X3500); expanded shaders have none.
    pub fn indexed_registers(&self) -> Vec<String> {
        let functions = self.module.functions.iter().map(|(_, f)| f);
        let functions = functions.chain(self.module.entry_points.iter().map(|e| &e.function));
        let mut found = Vec::new();
        for function in functions {
            indexed_stores(&function.body, function, &mut found);
        }
        found.sort();
        found.dedup();
        found
    }

    /// The uniform block at binding 0 against the row's parameter fields.
    fn check_params(&self, kernel: &dyn AnyKernel, found: &mut Vec<String>) {
        let Some(global) = self.bound(0) else {
            return found.push("no variable at @group(0) @binding(0): expected `var<uniform> p: Params`".into());
        };
        let ty = &self.module.types[global.ty];
        let TypeInner::Struct { members, .. } = &ty.inner else {
            return found.push("binding 0 is not a struct".into());
        };
        if global.space != AddressSpace::Uniform || ty.name.as_deref() != Some("Params") {
            found.push("binding 0 must be `var<uniform> p: Params`".into());
        }
        let fields = kernel.fields();
        if members.len() != fields.len() {
            found.push(format!("Params has {} members, the row declares {}", members.len(), fields.len()));
        }
        for (i, (member, field)) in members.iter().zip(fields).enumerate() {
            let name = member.name.as_deref().unwrap_or("?");
            let kind = match field.ty {
                Scalar::u32 => ScalarKind::Uint,
                Scalar::f32 => ScalarKind::Float,
            };
            let inner = &self.module.types[member.ty].inner;
            let same_type = matches!(inner, TypeInner::Scalar(s) if s.kind == kind && s.width == 4);
            if name != field.name || !same_type || member.offset != 4 * i as u32 {
                let at = member.offset;
                found.push(format!(
                    "Params member {i}: `{name}` at byte {at}, the row declares `{}: {:?}` at byte {}",
                    field.name,
                    field.ty,
                    4 * i
                ));
            }
        }
    }

    /// The storage variables against the row's bindings.
    fn check_bindings(&self, kernel: &dyn AnyKernel, found: &mut Vec<String>) {
        let declared = kernel.bindings();
        let bound = self.module.global_variables.iter().filter(|(_, g)| g.binding.is_some()).count();
        if bound != declared.len() + 1 {
            found.push(format!("{bound} bound variables, the row declares Params and {}", declared.len()));
        }
        if declared.len() > MAX_STORAGE_BUFFERS {
            found.push(format!("{} storage buffers, at most {MAX_STORAGE_BUFFERS} allowed", declared.len()));
        }
        for (i, binding) in declared.iter().enumerate() {
            let slot = i as u32 + 1;
            let Some(global) = self.bound(slot) else {
                found.push(format!("no variable at @group(0) @binding({slot}): expected `{}`", binding.name));
                continue;
            };
            let name = global.name.as_deref().unwrap_or("?");
            if name != binding.name {
                found.push(format!("binding {slot} is `{name}`, the row declares `{}`", binding.name));
            }
            let wanted = match binding.access {
                Access::Read => StorageAccess::LOAD,
                Access::ReadWrite => StorageAccess::LOAD | StorageAccess::STORE,
            };
            if global.space != (AddressSpace::Storage { access: wanted }) {
                found.push(format!(
                    "binding {slot} `{name}`: {:?}, the row declares {:?}",
                    global.space, binding.access
                ));
            }
            if !self.holds(global.ty, binding.elem) {
                found.push(format!("binding {slot} `{name}`: not an array of {:?} words", binding.elem));
            }
        }
    }

    fn bound(&self, binding: u32) -> Option<&naga::GlobalVariable> {
        let wanted = naga::ResourceBinding { group: 0, binding };
        self.module.global_variables.iter().map(|(_, g)| g).find(|g| g.binding == Some(wanted))
    }

    /// True if the words at the bottom of an array, vector or atomic are `elem`s, or integers that hold two words of any type.
    fn holds(&self, ty: naga::Handle<naga::Type>, elem: Elem) -> bool {
        match self.module.types[ty].inner {
            TypeInner::Array { base, .. } => self.holds(base, elem),
            TypeInner::Scalar(s) | TypeInner::Vector { scalar: s, .. } | TypeInner::Atomic(s) => match s.kind {
                ScalarKind::Float => s.width == 4 && elem == Elem::F32,
                ScalarKind::Uint => s.width == 8 || s.width == 4 && elem == Elem::U32,
                _ => false,
            },
            _ => false,
        }
    }
}

/// Names of the variables of [`Shader::indexed_registers`] that `block` writes.
fn indexed_stores(block: &naga::Block, function: &naga::Function, found: &mut Vec<String>) {
    use naga::{Expression, Statement};
    for statement in block.iter() {
        match statement {
            Statement::Block(inner) => indexed_stores(inner, function, found),
            Statement::If { accept, reject, .. } => {
                indexed_stores(accept, function, found);
                indexed_stores(reject, function, found);
            }
            Statement::Switch { cases, .. } => cases.iter().for_each(|c| indexed_stores(&c.body, function, found)),
            Statement::Loop { body, continuing, .. } => {
                indexed_stores(body, function, found);
                indexed_stores(continuing, function, found);
            }
            Statement::Store { pointer, .. } => {
                let (mut at, mut dynamic) = (*pointer, false);
                while let Expression::Access { base, .. } | Expression::AccessIndex { base, .. } =
                    function.expressions[at]
                {
                    dynamic |= matches!(function.expressions[at], Expression::Access { .. });
                    at = base;
                }
                if let (true, Expression::LocalVariable(local)) = (dynamic, &function.expressions[at]) {
                    found.push(function.local_variables[*local].name.clone().unwrap_or_default());
                }
            }
            _ => {}
        }
    }
}

/// One distinct shader text that a kernel's cases run: file and constants, with the classes that use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The file under `shaders/`.
    pub file: &'static str,
    /// Constants set by the assembler.
    pub consts: Vec<(&'static str, u32)>,
    /// Device classes whose cases build it.
    pub classes: Vec<Class>,
}

impl Variant {
    /// The assembled text: expanded (what runs) or in loop form.
    ///
    /// # Errors
    /// When the file is not embedded or cannot be assembled.
    pub fn assemble(&self, unroll: bool) -> Result<Assembled, String> {
        shader::assemble_file(self.file, &self.consts, unroll)
    }
}

/// The distinct shader texts of `kernel` over all its cases, for one class or both, in case order.
pub fn variants(kernel: &dyn AnyKernel, classes: &[Class]) -> Vec<Variant> {
    let mut found: Vec<Variant> = Vec::new();
    for case in kernel.cases() {
        for class in classes {
            let build = kernel.build(&case, *class);
            match found.iter_mut().find(|v| v.file == build.file && v.consts == build.consts) {
                Some(variant) if variant.classes.contains(class) => {}
                Some(variant) => variant.classes.push(*class),
                None => found.push(Variant { file: build.file, consts: build.consts, classes: vec![*class] }),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::util::fill::Fill;

    fn parse(wgsl: &str) -> Result<Shader, String> {
        Shader::parse(&Assembled::plain("test.wgsl", wgsl))
    }

    fn edited(from: &str, to: &str) -> Vec<String> {
        let text = shader::source("util/fill.wgsl").unwrap();
        assert!(text.contains(from), "the test must edit something");
        parse(&text.replace(from, to)).unwrap().disagreements(&Fill)
    }

    #[test]
    fn finds_what_disagrees() {
        assert_eq!(edited("// fill", "// fill"), Vec::<String>::new());
        assert!(edited("y_stride: u32,\n    value: f32", "value: f32,\n    y_stride: u32")[0].contains("member 2"));
        assert!(edited("@workgroup_size(256)", "@workgroup_size(512)")[0].contains("512 threads"));
        assert!(edited("fn main", "fn other")[0].contains("entry point"));
        assert!(edited("@binding(1)", "@binding(2)")[0].contains("@binding(1)"));
    }

    #[test]
    fn finds_names_types_access_and_memory() {
        let wgsl = "struct Params { clients: u32, m: u32, y_stride: f32, value: f32 }
            @group(0) @binding(0) var<uniform> p: Params;
            @group(0) @binding(1) var<storage, read> z: array<u32>;
            var<workgroup> tile: array<vec4<f32>, 1025>;
            @compute @workgroup_size(64) fn main() { tile[0].x = p.value + f32(z[0]); }";
        let found = parse(wgsl).unwrap().disagreements(&Fill).join("\n");
        for expected in ["16400 bytes", "member 1: `m`", "member 2: `y_stride`", "is `z`", "ReadWrite", "F32 words"] {
            assert!(found.contains(expected), "{expected} not in\n{found}");
        }
        let error = parse("struct A { x: u32 }\n\nfn main( {").unwrap_err();
        assert!(error.starts_with("test.wgsl:3:10: expected ") && error.contains("3 | fn main( {"), "{error}");
        // naga's validator, not its parser.
        let error = parse("fn f() {\n    var a: array<f32, 4>;\n    a[7] = 1.0;\n}").unwrap_err();
        assert!(error.starts_with("test.wgsl:3:") && error.contains("3 |     a[7] = 1.0;"), "{error}");
    }

    #[test]
    fn finds_registers_with_an_index_known_at_run_time() {
        let text = |store: &str| {
            format!(
                "@group(0) @binding(0) var<storage, read_write> y: array<u32>;
                @compute @workgroup_size(1) fn main() {{
                    var acc: array<vec4<u32>, 4>; var v: vec4<u32>; for (var i = 0u; i < y[3]; i++) {{ {store} }}
                    y[0] = acc[2][y[1] & 3u] + v.x; }}"
            )
        };
        let found = |store: &str| parse(&text(store)).unwrap().indexed_registers();
        assert_eq!(found("acc[1][2] = i; acc[3u] = vec4<u32>(i); v.y = 1u; y[i] = 2u;"), Vec::<String>::new());
        assert_eq!(found("acc[i & 3u][1] = 7u;"), ["acc"]);
        assert_eq!(found("if (i > 2u) { v[i & 3u] = 7u; acc[i & 1u] = v; }"), ["acc", "v"]);
    }

    #[test]
    fn lists_distinct_variants() {
        let found = variants(&Fill, &Class::ALL);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].classes, Class::ALL);
        assert!(found[0].assemble(true).unwrap().text().contains("fn main"));
    }
}
