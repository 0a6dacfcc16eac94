//! What a compute shader says about itself: entry point, workgroup, constants, and the layout of every variable it binds.

use crate::gpu::program::{Slot, Use};
use crate::kernels::reflect::Shader;
use crate::kernels::shader::Assembled;
use naga::{AddressSpace, ArraySize, Handle, ScalarKind, StorageAccess, Type, TypeInner};
use std::collections::BTreeMap;

/// Most scalars of a type of fixed size.
const MOST_LEAVES: usize = 1 << 20;

/// The type of a scalar in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// Unsigned 32-bit integer.
    U32,
    /// Signed 32-bit integer.
    I32,
}

impl Scalar {
    /// As in WGSL.
    pub fn name(self) -> &'static str {
        match self {
            Scalar::F32 => "f32",
            Scalar::F16 => "f16",
            Scalar::U32 => "u32",
            Scalar::I32 => "i32",
        }
    }

    /// True for floats.
    pub fn is_float(self) -> bool {
        matches!(self, Scalar::F32 | Scalar::F16)
    }

    /// Size in bytes.
    pub fn bytes(self) -> usize {
        if self == Scalar::F16 { 2 } else { 4 }
    }
}

/// One scalar of a type.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Where it lies, in bytes from the start.
    pub offset: usize,
    /// Its type.
    pub scalar: Scalar,
    /// How to reach it: `.position.x`, `[3]`; empty for a plain scalar.
    pub path: String,
}

/// A variable's memory: a part of fixed size, then maybe an array whose length the binding decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The scalars of the fixed part.
    pub head: Vec<Leaf>,
    /// Bytes before the array; without an array, of all.
    pub head_bytes: usize,
    /// The array.
    pub array: Option<Elements>,
}

/// The elements of an array without a length.
#[derive(Clone, Debug, PartialEq)]
pub struct Elements {
    /// Bytes from one element to the next.
    pub stride: usize,
    /// The scalars of one element.
    pub leaves: Vec<Leaf>,
    /// What counts towards a shape in one element: its scalars, or 1 for a struct.
    pub counts: usize,
}

/// What a shader does with a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `var<uniform>`.
    Uniform,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
}

/// A variable that the entry point uses.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name in WGSL.
    pub name: String,
    /// Its bind group.
    pub group: u32,
    /// Its number in the group.
    pub binding: u32,
    /// How it is used.
    pub access: Access,
    /// Its memory.
    pub layout: Layout,
}

impl Variable {
    /// Where it is bound, and what for.
    pub fn slot(&self) -> Slot {
        let access = match self.access {
            Access::Uniform => Use::Uniform,
            Access::Read => Use::Read,
            Access::ReadWrite => Use::ReadWrite,
        };
        Slot { group: self.group, binding: self.binding, access }
    }
}

/// A shader's interface for given values of its constants.
#[derive(Clone, Debug)]
pub struct Interface {
    /// The entry point.
    pub entry: String,
    /// Threads of a workgroup along x, y and z.
    pub workgroup: [u32; 3],
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// The variables that the entry point uses, in the order of their bindings.
    pub variables: Vec<Variable>,
    /// The `override` constants of the module.
    pub overrides: Vec<String>,
    /// Whether the module asks for the length of an array: such an array is bound at its exact length.
    pub asks_length: bool,
    /// Whether the module uses 16-bit floats.
    pub half: bool,
}

/// The `override` constants that a module declares, with the defaults that are plain numbers.
pub fn overrides(shader: &Shader) -> BTreeMap<String, Option<f64>> {
    let module = shader.module();
    let default = |o: &naga::Override| match &module.global_expressions[o.init?] {
        naga::Expression::Literal(literal) => number(literal),
        _ => None,
    };
    module.overrides.iter().filter_map(|(_, o)| Some((o.name.clone()?, default(o)))).collect()
}

/// The kind of an `override` constant.
fn override_kind(shader: &Shader, name: &str) -> Option<ScalarKind> {
    let module = shader.module();
    let (_, found) = module.overrides.iter().find(|(_, o)| o.name.as_deref() == Some(name))?;
    module.types[found.ty].inner.scalar_kind()
}

fn number(literal: &naga::Literal) -> Option<f64> {
    Some(match literal {
        naga::Literal::F64(v) | naga::Literal::AbstractFloat(v) => *v,
        naga::Literal::F32(v) => f64::from(*v),
        naga::Literal::U32(v) => f64::from(*v),
        naga::Literal::I32(v) => f64::from(*v),
        naga::Literal::AbstractInt(v) => *v as f64,
        naga::Literal::Bool(v) => f64::from(u8::from(*v)),
        _ => return None,
    })
}

/// Whether a module uses 16-bit floats.
pub fn uses_half(shader: &Shader) -> bool {
    let half = |ty: &Type| ty.inner.scalar().is_some_and(|s| s.kind == ScalarKind::Float && s.width == 2);
    shader.module().types.iter().any(|(_, ty)| half(ty))
}

/// The entry point that `wanted` names, or the only one.
///
/// # Errors
/// No such compute entry point, or several without a name.
pub fn entry(shader: &Shader, wanted: Option<&str>) -> Result<String, String> {
    let all = shader.module().entry_points.iter().filter(|e| e.stage == naga::ShaderStage::Compute);
    let names: Vec<&str> = all.map(|e| e.name.as_str()).collect();
    let list = names.join(", ");
    match (wanted, &names[..]) {
        (_, []) => Err("the shader has no entry point: expected a function with `@compute`".into()),
        (Some(name), _) if names.contains(&name) => Ok(name.to_string()),
        (Some(name), _) => Err(format!("the shader has no compute entry point `{name}`; there are: {list}")),
        (None, [only]) => Ok(only.to_string()),
        (None, _) => Err(format!("the shader has several entry points ({list}): name one with `entry`")),
    }
}

impl Interface {
    /// Reads the interface of `entry` with `constants` set.
    ///
    /// # Errors
    /// A constant that does not exist or has no value, and what a foreign kernel cannot have: textures, immediates, atomics of
    /// other widths.
    pub fn of(
        shader: &Shader,
        wgsl: &Assembled,
        entry: &str,
        constants: &[(String, f64)],
    ) -> Result<Interface, String> {
        let overrides: Vec<String> = overrides(shader).into_keys().collect();
        for (name, value) in constants {
            if !overrides.contains(name) {
                let known = if overrides.is_empty() { "none".into() } else { overrides.join(", ") };
                return Err(format!("{}: no `override {name}`; there are: {known}", wgsl.name()));
            }
            // naga would cut the fraction off.
            let (kind, value) = (override_kind(shader, name), *value);
            let whole = matches!(kind, Some(ScalarKind::Uint | ScalarKind::Sint));
            if whole && value.fract() != 0.0 || kind == Some(ScalarKind::Uint) && value < 0.0 {
                return Err(format!("{}: `override {name}` is {value}, expected a whole number", wgsl.name()));
            }
        }
        let resolved =
            shader.resolved(entry, constants).map_err(|e| format!("{}: setting the constants: {e}", wgsl.name()))?;
        let (module, info) = (resolved.module(), resolved.info());
        let at = module.entry_points.iter().position(|e| e.name == entry && e.stage == naga::ShaderStage::Compute);
        let at = at.ok_or_else(|| format!("{}: no entry point `{entry}`", wgsl.name()))?;
        let uses = info.get_entry_point(at);
        let mut variables = Vec::new();
        let mut workgroup_bytes = 0u32;
        for (_, global) in module.global_variables.iter().filter(|(handle, _)| !uses[*handle].is_empty()) {
            let name = global.name.clone().unwrap_or_default();
            let fail = |what: String| format!("{}: variable `{name}`: {what}", wgsl.name());
            let access = match global.space {
                AddressSpace::Uniform => Access::Uniform,
                AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Access::ReadWrite,
                AddressSpace::Storage { .. } => Access::Read,
                AddressSpace::WorkGroup => {
                    let bytes = module.types[global.ty].inner.size(module.to_ctx());
                    workgroup_bytes = workgroup_bytes.saturating_add(bytes);
                    continue;
                }
                AddressSpace::Private | AddressSpace::Function => continue,
                AddressSpace::Handle => return Err(fail("textures and samplers are not supported".into())),
                _ => return Err(fail(format!("address space {:?} is not supported", global.space))),
            };
            let Some(place) = global.binding else { return Err(fail("no @group and @binding".into())) };
            let layout = layout(module, global.ty).map_err(fail)?;
            variables.push(Variable { name, group: place.group, binding: place.binding, access, layout });
        }
        variables.sort_by_key(|v| (v.group, v.binding));
        let functions = module.functions.iter().map(|(_, f)| f).chain(module.entry_points.iter().map(|e| &e.function));
        let lengths =
            |f: &naga::Function| f.expressions.iter().any(|(_, e)| matches!(e, naga::Expression::ArrayLength(_)));
        Ok(Interface {
            entry: entry.to_string(),
            workgroup: module.entry_points[at].workgroup_size,
            workgroup_bytes,
            variables,
            overrides,
            asks_length: functions.into_iter().any(lengths),
            half: uses_half(shader),
        })
    }

    /// The variable of that name.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().find(|v| v.name == name)
    }
}

/// The memory of a variable of type `ty`.
fn layout(module: &naga::Module, ty: Handle<Type>) -> Result<Layout, String> {
    match &module.types[ty].inner {
        TypeInner::Array { base, size: ArraySize::Dynamic, stride } => {
            Ok(Layout { head: Vec::new(), head_bytes: 0, array: Some(elements(module, *base, *stride)?) })
        }
        TypeInner::Struct { members, span } => {
            let (mut head, mut head_bytes, mut array) = (Vec::new(), *span as usize, None);
            for member in members {
                let name = format!(".{}", member.name.as_deref().unwrap_or("?"));
                match &module.types[member.ty].inner {
                    TypeInner::Array { base, size: ArraySize::Dynamic, stride } => {
                        head_bytes = member.offset as usize;
                        array = Some(elements(module, *base, *stride)?);
                    }
                    _ => leaves(module, member.ty, member.offset as usize, &name, &mut head)?,
                }
            }
            Ok(Layout { head, head_bytes, array })
        }
        inner => {
            let mut head = Vec::new();
            leaves(module, ty, 0, "", &mut head)?;
            Ok(Layout { head, head_bytes: inner.size(module.to_ctx()) as usize, array: None })
        }
    }
}

fn elements(module: &naga::Module, base: Handle<Type>, stride: u32) -> Result<Elements, String> {
    let mut out = Vec::new();
    leaves(module, base, 0, "", &mut out)?;
    let whole = matches!(module.types[base].inner, TypeInner::Struct { .. });
    Ok(Elements { stride: stride as usize, counts: if whole { 1 } else { out.len() }, leaves: out })
}

/// Appends the scalars of type `ty` that starts at byte `at` and is reached by `path`.
fn leaves(module: &naga::Module, ty: Handle<Type>, at: usize, path: &str, out: &mut Vec<Leaf>) -> Result<(), String> {
    let mut push = |offset: usize, scalar: naga::Scalar, path: String| -> Result<(), String> {
        let scalar = match (scalar.kind, scalar.width) {
            (ScalarKind::Float, 4) => Scalar::F32,
            (ScalarKind::Float, 2) => Scalar::F16,
            (ScalarKind::Uint, 4) => Scalar::U32,
            (ScalarKind::Sint, 4) => Scalar::I32,
            (kind, width) => return Err(format!("{kind:?} of {width} bytes; f32, f16, u32 and i32 are supported")),
        };
        if out.len() == MOST_LEAVES {
            return Err(format!("a type of more than {MOST_LEAVES} scalars"));
        }
        out.push(Leaf { offset, scalar, path });
        Ok(())
    };
    match &module.types[ty].inner {
        TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => push(at, *scalar, path.to_string()),
        TypeInner::Vector { size, scalar } => (0..*size as usize).try_for_each(|i| {
            push(at + i * scalar.width as usize, *scalar, format!("{path}.{}", ["x", "y", "z", "w"][i]))
        }),
        TypeInner::Matrix { columns, rows, scalar } => {
            // Columns of three are as far apart as columns of four.
            let column = (*rows as usize).next_power_of_two() * scalar.width as usize;
            (0..*columns as usize * *rows as usize).try_for_each(|i| {
                let (c, r) = (i / *rows as usize, i % *rows as usize);
                push(at + c * column + r * scalar.width as usize, *scalar, format!("{path}[{c}][{r}]"))
            })
        }
        TypeInner::Array { base, size: ArraySize::Constant(n), stride } => (0..n.get() as usize)
            .try_for_each(|i| leaves(module, *base, at + i * *stride as usize, &format!("{path}[{i}]"), out)),
        TypeInner::Struct { members, .. } => members.iter().try_for_each(|m| {
            let path = format!("{path}.{}", m.name.as_deref().unwrap_or("?"));
            leaves(module, m.ty, at + m.offset as usize, &path, out)
        }),
        _ => Err("a type that memory cannot hold; scalars, vectors, matrices, arrays and structs are supported".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, constants: &[(&str, f64)]) -> Result<Interface, String> {
        let wgsl = Assembled::plain("k.wgsl", text);
        let shader = Shader::parse_half(&wgsl).unwrap();
        let entry = entry(&shader, None)?;
        let constants: Vec<(String, f64)> = constants.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        Interface::of(&shader, &wgsl, &entry, &constants)
    }

    #[test]
    fn layouts_are_those_of_memory() {
        let interface = read(
            "enable f16;
            override TILE: u32 = 4u;
            struct Inner { a: vec3<f32>, b: u32 }
            struct Mixed { n: i32, m: mat2x3<f32>, list: array<Inner> }
            @group(0) @binding(3) var<storage, read> mixed: Mixed;
            @group(1) @binding(0) var<uniform> p: vec2<u32>;
            @group(0) @binding(1) var<storage, read_write> out: array<vec4<f16>>;
            @group(0) @binding(2) var<storage, read_write> unused: array<f32>;
            var<workgroup> shared_tile: array<f32, TILE>;
            @compute @workgroup_size(TILE, 2) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                shared_tile[0] = f32(mixed.n) * mixed.m[0].x * mixed.list[0].a.x;
                out[id.x] = vec4<f16>(f16(shared_tile[0]) + f16(p.x));
            }",
            &[("TILE", 8.0)],
        )
        .unwrap();
        assert_eq!((interface.workgroup, interface.workgroup_bytes), ([8, 2, 1], 32));
        assert!(interface.half && !interface.asks_length);
        assert_eq!(interface.overrides, ["TILE"]);
        let names: Vec<(&str, Access)> = interface.variables.iter().map(|v| (v.name.as_str(), v.access)).collect();
        assert_eq!(names, [("out", Access::ReadWrite), ("mixed", Access::Read), ("p", Access::Uniform)]);
        let mixed = &interface.variable("mixed").unwrap().layout;
        let offsets: Vec<(usize, &str)> = mixed.head.iter().map(|l| (l.offset, l.path.as_str())).collect();
        let columns = [(16, ".m[0][0]"), (20, ".m[0][1]"), (24, ".m[0][2]"), (32, ".m[1][0]")];
        assert_eq!(offsets[..5], [&[(0, ".n")][..], &columns].concat());
        assert_eq!(mixed.head_bytes, 48);
        let list = mixed.array.as_ref().unwrap();
        assert_eq!((list.stride, list.leaves.len()), (16, 4));
        assert_eq!(
            (list.leaves[3].offset, list.leaves[3].scalar, list.leaves[3].path.as_str()),
            (12, Scalar::U32, ".b")
        );
        let out = interface.variable("out").unwrap().layout.array.clone().unwrap();
        assert_eq!((out.stride, out.leaves[3].offset), (8, 6));
    }

    #[test]
    fn refusals_name_what_is_there() {
        const PLAIN: &str = "override A: u32; @group(0) @binding(0) var<storage, read_write> y: array<u32>;
            @compute @workgroup_size(1) fn main() { y[0] = A; }";
        assert!(read(PLAIN, &[("B", 1.0)]).unwrap_err().contains("no `override B`; there are: A"));
        assert!(read(PLAIN, &[]).unwrap_err().contains("setting the constants"));
        let two = PLAIN.to_string() + "@compute @workgroup_size(1) fn other() {}";
        let wgsl = Assembled::plain("k.wgsl", two.as_str());
        let shader = Shader::parse_half(&wgsl).unwrap();
        assert!(entry(&shader, None).unwrap_err().contains("several entry points (main, other)"));
        assert!(entry(&shader, Some("third")).unwrap_err().contains("no compute entry point `third`"));
        assert_eq!(entry(&shader, Some("other")).unwrap(), "other");
        let texture = "@group(0) @binding(0) var t: texture_2d<f32>; @group(0) @binding(1) var<storage, read_write> y: array<f32>;
            @compute @workgroup_size(1) fn main() { y[0] = textureLoad(t, vec2<i32>(0), 0).x; }";
        assert!(read(texture, &[]).unwrap_err().contains("`t`: textures and samplers"));
    }
}
