//! Shader texts through the writers of all backends, and through other programs that read shaders.

use super::{VariantSummary, strides};
use crate::check::Repro;
use crate::kernels::reflect::Shader;
use crate::kernels::shader::{self, Assembled};
use crate::kernels::writers::Language;
use crate::kernels::writers::WriterConfig;
use crate::kernels::{AnyKernel, Class};
use crate::{Error, Result};
use rayon::prelude::*;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// One assembled shader.
#[derive(Debug)]
pub struct Text {
    /// Kernel, file and variant.
    pub name: String,
    /// The WGSL.
    pub wgsl: Assembled,
    /// False for rolled loops.
    expanded: bool,
    /// Some class that runs on every device builds it.
    portable: bool,
    /// The row that it must match; `None` for a foreign shader.
    kernel: Option<&'static dyn AnyKernel>,
    /// The module parsed by naga, or naga's error.
    shader: std::result::Result<Shader, String>,
}

impl Text {
    /// Parses `wgsl`, a shader of `kernel` with its marked loops unrolled or not.
    pub fn new(name: impl Into<String>, kernel: &'static dyn AnyKernel, wgsl: Assembled, expanded: bool) -> Self {
        Text { name: name.into(), expanded, portable: true, kernel: Some(kernel), shader: Shader::parse(&wgsl), wgsl }
    }

    /// A shader that no row declares, as the writers expect it ([`Shader::renumbered`]).
    pub fn foreign(name: impl Into<String>, wgsl: Assembled, shader: &Shader) -> Self {
        let shader = Ok(shader.renumbered());
        Text { name: name.into(), expanded: false, portable: false, kernel: None, shader, wgsl }
    }

    /// False for a form that no device takes which can run the shader.
    fn suits(&self, form: WriterConfig) -> bool {
        self.shader.as_ref().map_or(true, |shader| shader.suits(form))
    }

    fn write(&self, form: WriterConfig) -> std::result::Result<Vec<u8>, String> {
        let shader = self.shader.as_ref().map_err(String::clone)?;
        shader.write(form)
    }

    fn failure(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {}", self.name, what.to_string().trim())
    }
}

/// Every distinct text that `repros` run, in every class, unrolled and rolled.
///
/// # Errors
/// A shader that cannot be assembled (a bug).
pub fn of(repros: &[Repro]) -> Result<Vec<Text>> {
    let mut seen = std::collections::BTreeSet::new();
    let mut texts = Vec::new();
    for repro in repros {
        for class in Class::ALL {
            let build = repro.kernel.build(&repro.params, class);
            for (form, unroll) in [("expanded", true), ("loops", false)] {
                let wgsl = shader::assemble_file(build.file, &build.consts, unroll).map_err(Error::internal)?;
                if seen.insert((build.file, wgsl.text().to_string())) {
                    let name = format!("{} {:?} ({form})", build.file, build.consts);
                    texts.push((name, repro.kernel, wgsl, unroll, Class::PORTABLE.contains(&class)));
                }
            }
        }
    }
    let parse = |(name, kernel, wgsl, unroll, portable): (String, _, _, _, _)| Text {
        portable,
        ..Text::new(name, kernel, wgsl, unroll)
    };
    Ok(texts.into_par_iter().map(parse).collect())
}

/// Checks every text against its row's declaration and WebGPU's minimum limits: bindings, parameters, threads, and
/// workgroup memory, which wgpu 30 does not check. Unrolled texts must not index registers at run time.
pub fn declarations(texts: &[Text]) -> VariantSummary {
    let mut row = VariantSummary::new("declarations and minimum limits", "texts");
    for text in texts {
        let found = match &text.shader {
            Err(what) => Some(what.clone()),
            Ok(shader) => Some(against(text, shader).join("; ")).filter(|found| !found.is_empty()),
        };
        row.add(found.map(|what| text.failure(what)));
    }
    row
}

fn against(text: &Text, shader: &Shader) -> Vec<String> {
    let mut found = text.kernel.map_or_else(Vec::new, |kernel| shader.disagreements(kernel));
    if text.portable && shader.needs_lanes() {
        found.push("it needs subgroups, which not every device has".to_string());
    }
    if text.expanded {
        let registers = shader.indexed_registers();
        found.extend(registers.iter().map(|name| format!("`{name}` is written at an index known at run time only")));
    }
    found
}

/// One row per configuration: every text must be writable.
pub fn writers(texts: &[Text]) -> Vec<VariantSummary> {
    let row = |form: WriterConfig| {
        let mut row = VariantSummary::new(format!("naga writes {form}"), "texts");
        let failures: Vec<Option<String>> = texts
            .par_iter()
            .filter(|text| text.suits(form))
            .map(|text| match text.write(form) {
                Ok(bytes) if bytes.is_empty() => Some(text.failure("the output is empty")),
                Ok(_) => None,
                Err(what) => Some(text.failure(what)),
            })
            .collect();
        failures.into_iter().for_each(|failure| row.add(failure));
        row
    };
    WriterConfig::ALL.into_iter().map(row).collect()
}

/// The first line of the output of `program VERSION_FLAG`; `None` if it is not on the PATH.
fn version(program: &str, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_string())
}

/// Khronos' `spirv-val` on the SPIR-V of every text in every configuration, for the matching Vulkan version; without
/// the strides that naga gives to arrays in workgroup memory, which newer versions reject and drivers ignore.
pub fn spirv_val(texts: &[Text]) -> VariantSummary {
    spirv_val_by("spirv-val", texts)
}

fn spirv_val_by(program: &str, texts: &[Text]) -> VariantSummary {
    let Some(version) = version(program, "--version") else {
        return VariantSummary::not_run(
            "spirv-val",
            "modules",
            format!("`{program}` is not on the PATH (Debian: spirv-tools)"),
        );
    };
    let version = version.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let mut row = VariantSummary::new(format!("spirv-val ({version})"), "modules");
    let jobs: Vec<(&Text, WriterConfig)> = texts
        .iter()
        .flat_map(|text| {
            let forms = WriterConfig::ALL.into_iter().filter(|f| f.language == Language::Spirv && text.suits(*f));
            forms.map(move |f| (text, f))
        })
        .collect();
    let failures: Vec<Option<String>> = jobs
        .par_iter()
        .map(|(text, form)| {
            let found = text
                .write(*form)
                .and_then(|module| validate(program, &strides::only_where_allowed(&module), form.spirv_environment()));
            found.err().map(|what| text.failure(format!("{form}: {what}")))
        })
        .collect();
    failures.into_iter().for_each(|failure| row.add(failure));
    row
}

/// spirv-val on one module, passed through a pipe.
fn validate(program: &str, module: &[u8], environment: &str) -> std::result::Result<(), String> {
    let start = || -> std::io::Result<std::process::Output> {
        let mut child = Command::new(program)
            .args(["--target-env", environment, "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // It reads all input before it answers; one that ends early reports the reason itself.
        let _ = child.stdin.take().map(|mut pipe| pipe.write_all(module));
        child.wait_with_output()
    };
    let output = start().map_err(|e| format!("{program}: {e}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    match output.status.success() {
        true => Ok(()),
        false => Err([said(&output.stderr), said(&output.stdout)].join(" ").trim().to_string()),
    }
}

/// Google's `tint` (the WGSL reader of Chromium) on every text that is portable: it demands a directive for subgroups that
/// naga 30 does not know.
///
/// # Errors
/// If no temporary folder can be created.
pub fn tint(texts: &[Text]) -> Result<VariantSummary> {
    tint_by("tint", texts)
}

fn tint_by(program: &str, texts: &[Text]) -> Result<VariantSummary> {
    if version(program, "--help").is_none() {
        return Ok(VariantSummary::not_run("tint", "texts", format!("`{program}` is not on the PATH")));
    }
    let failed =
        |e: std::io::Error| Error::file(&std::env::temp_dir(), format!("cannot create a temporary folder: {e}"));
    let folder = tempfile::tempdir().map_err(failed)?;
    let mut row = VariantSummary::new("tint reads the WGSL", "texts");
    let failures: Vec<Option<String>> = texts
        .par_iter()
        .enumerate()
        .filter(|(_, text)| !text.shader.as_ref().is_ok_and(Shader::needs_lanes))
        .map(|(i, text)| {
            let path = folder.path().join(format!("{i}.wgsl"));
            let found =
                std::fs::write(&path, text.wgsl.text()).map_err(|e| e.to_string()).and_then(|()| read(program, &path));
            found.err().map(|what| text.failure(what))
        })
        .collect();
    failures.into_iter().for_each(|failure| row.add(failure));
    Ok(row)
}

/// WGSL from WGSL: the only format that every build of tint can write.
fn read(program: &str, path: &Path) -> std::result::Result<(), String> {
    let output = Command::new(program).args(["--format", "wgsl"]).arg(path).output().map_err(|e| e.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::kernels::util::fill::Fill;

    const GOOD: &str = "@group(0) @binding(0) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(1) fn main() { y[0] = 1u; }";

    /// One good text between two bad ones: unreadable, and with a binding outside all layouts.
    fn mixed() -> Vec<Text> {
        let bad = GOOD.replace("@group(0)", "@group(1)");
        let text = |name: &str, wgsl: &str| Text::new(name, &Fill, Assembled::plain(name, wgsl), true);
        vec![text("good", GOOD), text("unreadable", "fn main( {"), text("homeless", &bad)]
    }

    #[test]
    fn a_text_rejected_by_a_writer_is_named() {
        let rows = writers(&mixed());
        assert_eq!(rows.len(), WriterConfig::ALL.len());
        for row in &rows {
            assert_eq!((row.checked, row.failed, row.passed()), (3, 2, false), "{row:?}");
            assert!(
                row.first.as_ref().is_some_and(|f| f.starts_with("unreadable: unreadable:1:10: expected ")),
                "{row:?}"
            );
        }
        let rows = writers(&mixed()[2..]);
        assert!(
            rows[0].first.as_ref().is_some_and(|f| f.starts_with("homeless: SPIR-V 1.0 with checks: ")),
            "{rows:?}"
        );
        assert!(writers(&mixed()[..1]).iter().all(VariantSummary::passed));
        assert!(!writers(&[])[0].passed(), "no checks must not pass");
    }

    #[test]
    fn declarations_and_limits_are_checked() {
        let fill = shader::source("util/fill.wgsl").unwrap();
        let memory = "var<workgroup> big: array<vec4<f32>, 1025>;\n@compute";
        let texts = [fill.to_string(), fill.replace("@compute", memory), fill.replace("n: u32,", "m: u32, n: u32,")];
        let texts = texts.map(|text| Text::new("fill", &Fill, Assembled::plain("fill", text), true));
        let row = declarations(&texts);
        assert_eq!((row.checked, row.failed), (3, 2), "{row:?}");
        assert!(row.first.is_some_and(|f| f.contains("16400 bytes of workgroup memory")));
        assert!(declarations(&texts[..1]).passed());
    }

    /// spirv-val must reject a broken module if it is installed; otherwise the row reports that it is missing.
    #[test]
    fn spirv_val_runs_or_is_reported_missing() {
        let row = spirv_val_by("spirv-val-that-is-nowhere", &mixed());
        assert!(row.passed() && row.checked == 0, "{row:?}");
        assert!(row.not_run.is_some_and(|why| why.contains("not on the PATH")));
        let row = spirv_val(&mixed());
        if let Some(why) = &row.not_run {
            return eprintln!("spirv-val: {why}");
        }
        assert_eq!((row.checked, row.failed), (12, 8), "{row:?}");
        let mut module = mixed()[0].write(WriterConfig::shown(Language::Spirv)).unwrap();
        assert_eq!(validate("spirv-val", &module, "vulkan1.1"), Ok(()));
        // Truncated after the header and the first instruction: no entry point, no memory model.
        module.truncate(28);
        assert!(validate("spirv-val", &module, "vulkan1.1").is_err());
    }

    #[test]
    fn tint_runs_or_is_reported_missing() {
        let row = tint_by("tint-that-is-nowhere", &mixed()).unwrap();
        assert!(row.passed() && row.not_run.is_some(), "{row:?}");
        let row = tint(&mixed()).unwrap();
        match &row.not_run {
            Some(why) => eprintln!("tint: {why}"),
            None => assert_eq!((row.checked, row.failed), (3, 1), "{row:?}"),
        }
    }
}
