//! A shader with NaN in its workgroup memory before it starts. WebGPU zeroes that memory, other hosts do not, and a kernel that
//! reads what it has not written may pass with zeros.

use crate::kernels::reflect::Shader;
use crate::kernels::shader::Assembled;
use naga::proc::IndexableLength;
use naga::{AddressSpace, BuiltIn, Handle, ScalarKind, Type, TypeInner, VectorSize};
use std::fmt::Write as _;

/// The name of what is added.
const NAME: &str = "fedgan_fill_workgroup";

/// `wgsl` with a first statement of `entry` that fills its workgroup variables: NaN in floats, the same bits in integers.
///
/// # Errors
/// Why the text cannot be extended.
pub fn fill_workgroup(
    shader: &Shader,
    wgsl: &Assembled,
    entry: &str,
    constants: &[(String, f64)],
) -> Result<Assembled, String> {
    let resolved = shader.resolved(entry, constants)?;
    let (module, info) = (resolved.module(), resolved.info());
    let at = module.entry_points.iter().position(|e| e.name == entry).ok_or("no entry point")?;
    let uses = info.get_entry_point(at);
    let mut body = String::new();
    for (handle, global) in module.global_variables.iter() {
        if global.space == AddressSpace::WorkGroup && !uses[handle].is_empty() {
            let name = global.name.as_deref().ok_or("a variable without a name")?;
            stores(module, global.ty, name, 0, &mut body)?;
        }
    }
    let text = wgsl.text();
    let (open, brace) = signature(text, entry).ok_or("its signature was not found in the text")?;
    let (lane, parameter) = match lane(module, &module.entry_points[at].function) {
        Some(lane) => (lane, String::new()),
        None => ("fedgan_lane".to_string(), "@builtin(local_invocation_index) fedgan_lane: u32, ".to_string()),
    };
    let out = format!(
        "{}{parameter}{}\n    {NAME}({lane});\n    workgroupBarrier();{}\n\nfn {NAME}(fedgan_lane: u32) {{\n    if (fedgan_lane != 0u) {{ return; }}\n    \
         let fedgan_bits = 0x7fc00000u | fedgan_lane;\n{body}}}\n",
        &text[..open],
        &text[open..brace],
        &text[brace..]
    );
    let out = Assembled::plain(wgsl.name(), out);
    Shader::parse_half(&out).map(|_| out)
}

/// The byte behind the opening bracket of `entry`'s parameters, and the one behind the brace that opens its body.
fn signature(text: &str, entry: &str) -> Option<(usize, usize)> {
    // Comments as blanks, so that what they say is not taken for code.
    let code = without_comments(text);
    let mut from = 0;
    loop {
        let at = from + code[from..].find(entry)?;
        from = at + entry.len();
        let before = code[..at].trim_end();
        let after = code[from..].trim_start();
        if before.len() < at && before.ends_with("fn") && after.starts_with('(') {
            break;
        }
    }
    let open = from + code[from..].find('(')? + 1;
    let mut depth = 1;
    let close = code[open..].char_indices().find(|(_, c)| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth == 0
    })?;
    let brace = open + close.0 + code[open + close.0..].find('{')? + 1;
    Some((open, brace))
}

/// The text with every byte of a comment, but no line break, replaced by a blank.
fn without_comments(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => text[at..].find('\n').map_or(bytes.len(), |i| at + i),
            [b'/', b'*', ..] => block_end(bytes, at),
            _ => {
                at += 1;
                continue;
            }
        };
        out[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        at = end;
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Where the block comment that starts at `at` ends; they nest.
fn block_end(bytes: &[u8], at: usize) -> usize {
    let (mut i, mut depth) = (at, 0);
    while i + 1 < bytes.len() {
        match &bytes[i..i + 2] {
            b"/*" => (depth, i) = (depth + 1, i + 2),
            b"*/" => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    bytes.len()
}

/// The expression of the invocation's number in its workgroup, if the entry point has it.
fn lane(module: &naga::Module, function: &naga::Function) -> Option<String> {
    let wanted = |binding: &Option<naga::Binding>| {
        matches!(binding, Some(naga::Binding::BuiltIn(BuiltIn::LocalInvocationIndex)))
    };
    function.arguments.iter().find_map(|argument| {
        let name = argument.name.as_deref()?;
        if wanted(&argument.binding) {
            return Some(name.to_string());
        }
        let TypeInner::Struct { members, .. } = &module.types[argument.ty].inner else { return None };
        members.iter().find(|m| wanted(&m.binding)).and_then(|m| Some(format!("{name}.{}", m.name.as_deref()?)))
    })
}

/// Statements that fill the variable at `path`, of type `ty`.
fn stores(module: &naga::Module, ty: Handle<Type>, path: &str, depth: usize, out: &mut String) -> Result<(), String> {
    let pad = "    ".repeat(depth + 1);
    let value = |scalar: &naga::Scalar| match (scalar.kind, scalar.width) {
        (ScalarKind::Float, 4) => Ok("bitcast<f32>(fedgan_bits)"),
        (ScalarKind::Float, 2) => Ok("f16(bitcast<f32>(fedgan_bits))"),
        (ScalarKind::Uint, 4) => Ok("fedgan_bits"),
        (ScalarKind::Sint, 4) => Ok("bitcast<i32>(fedgan_bits)"),
        (ScalarKind::Bool, _) => Ok("true"),
        (kind, width) => Err(format!("a {kind:?} of {width} bytes")),
    };
    let rows = |size: &VectorSize| *size as usize;
    match &module.types[ty].inner {
        TypeInner::Scalar(scalar) => {
            let _ = writeln!(out, "{pad}{path} = {};", value(scalar)?);
        }
        TypeInner::Atomic(scalar) => {
            let _ = writeln!(out, "{pad}atomicStore(&{path}, {});", value(scalar)?);
        }
        TypeInner::Vector { size, scalar } => {
            for i in 0..rows(size) {
                let _ = writeln!(out, "{pad}{path}[{i}] = {};", value(scalar)?);
            }
        }
        TypeInner::Matrix { columns, rows: height, scalar } => {
            for i in 0..rows(columns) * rows(height) {
                let (column, row) = (i / rows(height), i % rows(height));
                let _ = writeln!(out, "{pad}{path}[{column}][{row}] = {};", value(scalar)?);
            }
        }
        TypeInner::Array { base, size, .. } => {
            let n = match size.resolve(module.to_ctx()) {
                Ok(IndexableLength::Known(n)) => n,
                _ => return Err("an array without a length".into()),
            };
            let _ = writeln!(out, "{pad}for (var fedgan_i{depth} = 0u; fedgan_i{depth} < {n}u; fedgan_i{depth}++) {{");
            stores(module, *base, &format!("{path}[fedgan_i{depth}]"), depth + 1, out)?;
            let _ = writeln!(out, "{pad}}}");
        }
        TypeInner::Struct { members, .. } => {
            for member in members {
                let name = member.name.as_deref().ok_or("a field without a name")?;
                stores(module, member.ty, &format!("{path}.{name}"), depth, out)?;
            }
        }
        _ => return Err("a type that cannot be filled".into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, constants: &[(String, f64)]) -> Result<String, String> {
        let wgsl = Assembled::plain("k.wgsl", text);
        let shader = Shader::parse_half(&wgsl).unwrap();
        fill_workgroup(&shader, &wgsl, "main", constants).map(|out| out.text().to_string())
    }

    #[test]
    fn every_type_of_workgroup_memory_is_filled() {
        let text = "
            override TILE = 4u;
            var<workgroup> square: array<f32, TILE * TILE>;
            struct Pair { a: vec3<f32>, b: atomic<u32>, c: array<i32, 3> }
            var<workgroup> tile: array<array<f32, 5>, TILE>;
            var<workgroup> pair: Pair;
            var<workgroup> flag: bool;
            var<workgroup> turn: mat2x3<f32>;
            var<workgroup> unused: f32;
            @group(0) @binding(0) var<storage, read_write> y: array<f32>;
            // fn main( in a comment {
            /* fn main( /* nested */ { */
            fn domain(x: f32) -> f32 { return x; }
            @compute @workgroup_size(8)
            fn main(@builtin(local_invocation_id) id: vec3<u32>) {
                if (flag) { square[0] = 1.0; tile[0][id.x] = pair.a.x + f32(atomicLoad(&pair.b)) + turn[0].x; }
                workgroupBarrier();
                y[id.x] = domain(tile[0][id.x]);
            }";
        let out = filled(text, &[("TILE".into(), 6.0)]).unwrap();
        for part in [
            "fn main(@builtin(local_invocation_index) fedgan_lane: u32, @builtin(local_invocation_id) id: vec3<u32>) {\n    fedgan_fill_workgroup(fedgan_lane);",
            "for (var fedgan_i0 = 0u; fedgan_i0 < 6u; fedgan_i0++) {",
            "for (var fedgan_i0 = 0u; fedgan_i0 < 36u; fedgan_i0++) {\n        square[fedgan_i0] = bitcast<f32>(fedgan_bits);",
            "tile[fedgan_i0][fedgan_i1] = bitcast<f32>(fedgan_bits);",
            "atomicStore(&pair.b, fedgan_bits);",
            "pair.a[2] = bitcast<f32>(fedgan_bits);",
            "pair.c[fedgan_i0] = bitcast<i32>(fedgan_bits);",
            "flag = true;",
            "turn[1][2] = bitcast<f32>(fedgan_bits);",
        ] {
            assert!(out.contains(part), "{part}\n{out}");
        }
        assert!(!out.contains("unused = "), "{out}");
    }

    #[test]
    fn an_existing_lane_is_used() {
        let text = "struct In { @builtin(local_invocation_index) me: u32 }
            var<workgroup> x: f32;
            @group(0) @binding(0) var<storage, read_write> y: array<f32>;
            @compute @workgroup_size(8) fn main ( in: In ) { y[in.me] = x; }";
        assert!(filled(text, &[]).unwrap().contains("fedgan_fill_workgroup(in.me);"));
        let text = text.replace("in: In", "@builtin(local_invocation_index) k: u32").replace("in.me", "k");
        assert!(filled(&text, &[]).unwrap().contains("fedgan_fill_workgroup(k);"));
    }
}
