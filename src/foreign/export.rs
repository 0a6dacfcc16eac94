//! A kernel file for a kernel of the catalogue, as a start for one's own.

use crate::kernels::shader;
use crate::kernels::{Access, AnyKernel, Class, Contents, Elem, Scalar};
use std::fmt::Write as _;

/// Most numbers of a table in a kernel file.
const LONGEST: usize = 4096;

/// A kernel's shader and its kernel file.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The WGSL.
    pub wgsl: String,
    /// The kernel file, which names the shader `NAME.wgsl`.
    pub manifest: String,
}

/// The shader of `kernel` as its first case runs it on a software adapter, with the kernel file of all cases that use the same text.
///
/// # Errors
/// A shader that cannot be assembled, or a case that the kernel refuses (bugs).
pub fn export(kernel: &dyn AnyKernel) -> Result<Exported, String> {
    // A kernel file is a text to read: no tables of a million numbers.
    let short = |words: &Vec<u32>| {
        let long = |contents: &Contents| matches!(contents, Contents::Words(table) if table.len() > LONGEST);
        !kernel.contents(words).iter().any(long)
    };
    let cases: Vec<Vec<u32>> = kernel.cases().into_iter().filter(short).collect();
    let first = cases.first().ok_or("a kernel without cases")?;
    let build = kernel.build(first, Class::Direct);
    let wgsl = shader::assemble_file(build.file, &build.consts, false)?.text().to_string();
    let same = |words: &&Vec<u32>| {
        let other = kernel.build(words, Class::Direct);
        other.file == build.file && other.consts == build.consts
    };
    let name = kernel.name();
    let mut out = format!(
        "# Written by `fedgan kernels --manifest {name}` from the catalogue: {}\n\
         shader = \"{name}.wgsl\"\nworkgroups = [\"groups_x\", \"groups_y\", \"groups_z\"]\n\n",
        kernel.formula().lines().next().unwrap_or_default()
    );
    let fields = kernel.fields();
    out.push_str("# The parameters, the lengths of the variables and the grid; every case has its own.\n[sizes]\n");
    let write = |out: &mut String, words: &[u32]| -> Result<(), String> {
        for (field, word) in fields.iter().zip(words) {
            let value = match field.ty {
                Scalar::u32 => word.to_string(),
                Scalar::f32 => format!("{:?}", f32::from_bits(*word)),
            };
            let _ = writeln!(out, "{} = {value}", field.name);
        }
        for (binding, extent) in kernel.bindings().iter().zip(kernel.extents(words)?) {
            let _ = writeln!(out, "length_{} = {extent}", binding.name);
        }
        for (axis, groups) in ["x", "y", "z"].iter().zip(kernel.build(words, Class::Direct).grid) {
            let _ = writeln!(out, "groups_{axis} = {groups}");
        }
        Ok(())
    };
    write(&mut out, first)?;
    out.push_str("\n[values.p]\n");
    for field in fields {
        let _ = writeln!(out, "{0} = \"{0}\"", field.name);
    }
    let usual: Vec<Option<String>> = fills(kernel, first);
    out.push_str("\n[bindings]\n");
    for (binding, fill) in kernel.bindings().iter().zip(&usual) {
        let fill = fill.as_ref().map_or(String::new(), |fill| format!(", fill = {fill}"));
        let written = if binding.access == Access::ReadWrite { "  # written" } else { "" };
        let _ = writeln!(out, "{0} = {{ shape = \"length_{0}\"{fill} }}{written}", binding.name);
    }
    let _ = writeln!(
        out,
        "\n# The f64 reference of the catalogue, with its error bounds.\n[truth]\nkernel = \"{name}\"\n[truth.params]"
    );
    for field in fields {
        let _ = writeln!(out, "{0} = \"{0}\"", field.name);
    }
    for (i, words) in cases.iter().filter(same).enumerate() {
        let _ = writeln!(out, "\n[[cases]]\nname = \"case-{}\"", i + 1);
        if i > 0 {
            out.push_str("[cases.sizes]\n");
            write(&mut out, words)?;
            let own: Vec<Option<String>> = fills(kernel, words);
            let differing = kernel.bindings().iter().zip(&own).zip(&usual).filter(|((_, own), usual)| own != usual);
            let differing: Vec<String> = differing
                .filter_map(|((binding, own), _)| Some(format!("{} = {}", binding.name, own.as_ref()?)))
                .collect();
            if !differing.is_empty() {
                let _ = writeln!(out, "[cases.fills]\n{}", differing.join("\n"));
            }
        }
    }
    Ok(Exported { wgsl, manifest: out })
}

/// The fills of a case's bindings.
fn fills(kernel: &dyn AnyKernel, words: &[u32]) -> Vec<Option<String>> {
    kernel
        .contents(words)
        .iter()
        .zip(kernel.bindings())
        .map(|(contents, binding)| fill(contents, binding.elem))
        .collect()
}

/// Contents as a fill; `None`: nothing before the launch.
fn fill(contents: &Contents, elem: Elem) -> Option<String> {
    Some(match contents {
        Contents::Nan => return None,
        Contents::Real { scale, shift } if *scale == 0.0 => format!("{shift:?}"),
        Contents::Real { scale, shift } => format!("{{ kind = \"normal\", mean = {shift:?}, std = {scale:?} }}"),
        Contents::Positive { scale } => {
            format!("{{ kind = \"uniform\", from = {:?}, to = {:?} }}", 1e-3 * scale, 2.0 * scale)
        }
        Contents::Below(n) => format!("{{ kind = \"integers\", from = 0, to = {} }}", n.saturating_sub(1)),
        Contents::Words(table) if elem == Elem::F32 => {
            format!("{:?}", table.iter().map(|w| f32::from_bits(*w)).collect::<Vec<f32>>()).replace("NaN", "nan")
        }
        Contents::Words(table) => format!("{table:?}"),
    })
}
