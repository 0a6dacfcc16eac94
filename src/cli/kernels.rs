//! `fedgan kernels`: the catalogue as a table or as `shaders/README.md`, or the assembled text of one shader.

use super::parse::{CLASSES, word};
use crate::kernels::reflect::{Shader, Variant, variants};
use crate::kernels::writers::Language;
use crate::kernels::{Access, AnyKernel, CATALOGUE, Class, Elem, find, shader};
use crate::report::outputs::{self, OutputKind, output};
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

/// The first line of the catalogue.
const MARK: &str = "<!-- written by fedgan kernels --markdown, which replaces this file -->\n";

/// Languages by the words of `--as`.
const LANGUAGES: &[(&str, Language)] = &[
    ("wgsl", Language::Wgsl),
    ("spirv", Language::Spirv),
    ("msl", Language::Msl),
    ("hlsl", Language::Hlsl),
    ("glsl", Language::Glsl),
];

/// Arguments of `fedgan kernels`.
#[derive(Debug, clap::Args)]
pub struct KernelsArgs {
    /// Write the catalogue as Markdown (the content of shaders/README.md) to FILE, or to standard output.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-", conflicts_with = "show")]
    pub markdown: Option<PathBuf>,
    /// Print the file of a shader as it was written, the text to edit for --shader: conv2d_direct, or its path in `shaders`.
    #[arg(long, value_name = "SHADER", conflicts_with_all = ["show", "markdown"])]
    pub source: Option<String>,
    /// Write KERNEL.wgsl and KERNEL.kernel.toml to the current folder: a kernel file for `validate` and `bench`, as a start for one
    /// of your own.
    #[arg(long, value_name = "KERNEL", conflicts_with_all = ["show", "markdown", "source"])]
    pub manifest: Option<String>,
    /// Print the shader of this kernel, assembled and expanded as it runs.
    #[arg(long, value_name = "KERNEL")]
    pub show: Option<String>,
    /// Output language; spirv is binary.
    #[arg(long = "as", value_name = "LANGUAGE", default_value = "wgsl", requires = "show", value_parser = word(LANGUAGES))]
    pub language: Language,
    /// Shader variant: tiled for hardware GPUs, direct for software adapters.
    #[arg(long, value_name = "VARIANT", default_value = "tiled", requires = "show", value_parser = word(CLASSES))]
    pub variant: Class,
    /// Number of the build, from 1, if the kernel's cases need several.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "show")]
    pub build: usize,
    /// Leave marked loops rolled instead of unrolling them.
    #[arg(long, requires = "show")]
    pub loops: bool,
}

/// Prints the catalogue or the shader, according to `args`.
///
/// # Errors
/// An unknown kernel, shader or build, SPIR-V to a terminal, a file that cannot be written.
pub fn run(args: KernelsArgs) -> Result<()> {
    if let Some(name) = &args.source {
        return super::print(source(name)?);
    }
    if let Some(path) = &args.markdown {
        return write_markdown(path);
    }
    if let Some(name) = &args.manifest {
        return manifest(name);
    }
    match &args.show {
        Some(name) => show(name, &args),
        None => super::print(table()),
    }
}

fn write_markdown(path: &Path) -> Result<()> {
    if path == Path::new("-") {
        return super::print(markdown());
    }
    outputs::check(&[output("--markdown", Some(path), OutputKind::Text(MARK))], &[])?;
    outputs::write(path, OutputKind::Text(MARK), markdown().as_bytes())
}

/// Writes a kernel's shader and kernel file; files that exist stay.
fn manifest(name: &str) -> Result<()> {
    let kernel = find(name).ok_or_else(|| unknown(name))?;
    let exported = crate::foreign::export::export(kernel).map_err(Error::internal)?;
    let files = [(format!("{name}.wgsl"), exported.wgsl), (format!("{name}.kernel.toml"), exported.manifest)];
    for (file, _) in &files {
        if Path::new(file).symlink_metadata().is_ok() {
            return Err(Error::input(format!("{file}: exists already")));
        }
    }
    for (file, text) in &files {
        std::fs::write(file, text).map_err(|e| Error::output(Path::new(file), e))?;
    }
    super::print(format!("wrote {0}.wgsl and {0}.kernel.toml; try: fedgan validate {0}.kernel.toml\n", name))
}

/// The text of a shader file: by its stem, by its path, or by the name of a kernel that has one file.
fn source(name: &str) -> Result<&'static str> {
    let stem = |file: &str| Path::new(file).file_stem().is_some_and(|stem| stem == name);
    if let Some((_, text)) = shader::files().iter().find(|(file, _)| *file == name || stem(file)) {
        return Ok(text);
    }
    let Some(kernel) = find(name) else {
        let stems = shader::files().iter().filter_map(|(file, _)| Path::new(file).file_stem()?.to_str());
        let nearest =
            stems.max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b))).unwrap_or("-");
        return Err(Error::input(format!("no shader `{name}`, the nearest is `{nearest}`; shaders/README.md has all")));
    };
    let files: BTreeSet<&str> = variants(kernel, &Class::ALL).iter().map(|variant| variant.file).collect();
    match files.iter().collect::<Vec<_>>()[..] {
        [file] => shader::source(file).ok_or_else(|| Error::internal(format!("{file} is not embedded"))),
        _ => Err(Error::input(format!("`{name}` has several shaders: {}", Vec::from_iter(files).join(", ")))),
    }
}

fn show(name: &str, args: &KernelsArgs) -> Result<()> {
    let kernel = find(name).ok_or_else(|| unknown(name))?;
    let builds = variants(kernel, &[args.variant]);
    let build = args.build.checked_sub(1).and_then(|i| builds.get(i)).ok_or_else(|| {
        Error::input(format!(
            "--build {}: `{name}` has builds 1 to {} as {}",
            args.build,
            builds.len(),
            args.variant.name()
        ))
    })?;
    if args.language == Language::Spirv && std::io::stdout().is_terminal() {
        return Err(Error::input("SPIR-V is binary: redirect it to a file, e.g. `> kernel.spv` (spirv-dis reads it)"));
    }
    let wgsl = build.assemble(!args.loops).map_err(Error::internal)?;
    let text = Shader::parse(&wgsl).and_then(|shader| shader.translate(wgsl.text(), args.language));
    if builds.len() > 1 {
        for (i, other) in builds.iter().enumerate() {
            let mark = if i + 1 == args.build { "this one" } else { "--build" };
            let _ = writeln!(std::io::stderr(), "build {} ({mark}): {}", i + 1, describe(other));
        }
    }
    super::print(text.map_err(|e| Error::internal(format!("{name}: {e}")))?)
}

fn unknown(name: &str) -> Error {
    let names: Vec<&str> = CATALOGUE.iter().map(|k| k.name()).collect();
    let nearest = names.iter().max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    Error::input(format!("no kernel `{name}`, the nearest is `{}`; all: {}", nearest.unwrap_or(&"-"), names.join(", ")))
}

fn describe(variant: &Variant) -> String {
    let consts: Vec<String> = variant.consts.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    if consts.is_empty() { variant.file.to_string() } else { format!("{} with {}", variant.file, consts.join(", ")) }
}

/// The catalogue as aligned columns.
fn table() -> String {
    let mut rows = vec![["kernel", "family", "bindings", "cases", "formula"].map(String::from)];
    for kernel in CATALOGUE {
        let bindings: Vec<&str> = kernel.bindings().iter().map(|b| b.name).collect();
        rows.push([
            kernel.name().into(),
            kernel.family().into(),
            bindings.join(" "),
            kernel.cases().len().to_string(),
            kernel.formula().into(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 4] = std::array::from_fn(width);
    let mut out = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(out, "{cell:width$}  ");
        }
        let _ = writeln!(out, "{}", row[4]);
    }
    let _ = writeln!(
        out,
        "\n{} kernels; `fedgan kernels --show KERNEL` prints the shader that runs, \
         `--source SHADER` its file.",
        CATALOGUE.len()
    );
    out
}

/// The content of `shaders/README.md`.
pub fn markdown() -> String {
    let mut out = format!(
        "{MARK}# The kernels\n\n\
         Written by `fedgan kernels --markdown shaders/README.md` from the catalogue; a test fails when it is stale.\n\n\
         A kernel `K` of family `F` is `shaders/F/K.wgsl`, `src/kernels/F/K.rs` and `src/exec/cpu/F/K.rs`. Every tensor is an array of 32-bit\n\
         words; parameters are the uniform block `p` at binding 0, tensors follow in the order below. Strides are in words.\n\n\
         | kernel | family | formula | bindings |\n|---|---|---|---|\n",
    );
    for kernel in CATALOGUE {
        let (name, family) = (kernel.name(), kernel.family());
        let bindings: Vec<String> = kernel.bindings().iter().map(|b| format!("`{}`", b.name)).collect();
        let _ =
            writeln!(out, "| [`{name}`](#{name}) | {family} | {} | {} |", cell(kernel.formula()), bindings.join(", "));
    }
    for kernel in CATALOGUE {
        section(&mut out, *kernel);
    }
    library(&mut out);
    out
}

/// The files that the shaders include, with the first sentence of each.
fn library(out: &mut String) {
    let _ = writeln!(
        out,
        "\n## The library\n\n\
         Code shared by several shaders is in `lib/`; a line `//#include lib/x.wgsl` includes it, also in a file for \
         `--shader`.\n\n| file | what it is | in |\n|---|---|---|"
    );
    for (file, text) in shader::library_files() {
        let comment = text.lines().map_while(|line| line.strip_prefix("//")).take_while(|line| !line.is_empty());
        let comment = comment.map(str::trim).collect::<Vec<_>>().join(" ");
        let sentence = comment.split_once(". ").map_or(comment.trim_end_matches('.'), |(first, _)| first);
        let line = format!("//#include {file}\n");
        let includers: Vec<String> = shader::files()
            .iter()
            .filter(|(_, text)| text.contains(&line))
            .map(|(name, _)| format!("`{}`", name.trim_end_matches(".wgsl")))
            .collect();
        let _ = writeln!(out, "| [`{file}`]({file}) | {} | {} |", cell(sentence), includers.join(", "));
    }
}

fn section(out: &mut String, kernel: &dyn AnyKernel) {
    let _ = writeln!(out, "\n## {}\n\n`{}`\n", kernel.name(), kernel.formula());
    let _ = writeln!(out, "| binding | access | layout |\n|---|---|---|");
    for binding in kernel.bindings() {
        let access = match binding.access {
            Access::Read => "read",
            Access::ReadWrite => "read, write",
        };
        let elem = match binding.elem {
            Elem::F32 => "f32",
            Elem::U32 => "u32",
        };
        let _ = writeln!(out, "| `{}` | {access} {elem} | {} |", binding.name, cell(binding.doc));
    }
    let fields: Vec<String> = kernel.fields().iter().map(|f| format!("`{}: {:?}`", f.name, f.ty)).collect();
    let _ = writeln!(out, "\nParameters: {}", fields.join(", "));
    let _ = writeln!(out, "\nShaders: {}", files(kernel).join(", "));
}

/// The distinct shader files with the classes that use them.
fn files(kernel: &dyn AnyKernel) -> Vec<String> {
    let mut found: Vec<(&str, Vec<Class>)> = Vec::new();
    for variant in variants(kernel, &Class::ALL) {
        match found.iter_mut().find(|f| f.0 == variant.file) {
            Some((_, classes)) => classes.extend(variant.classes),
            None => found.push((variant.file, variant.classes)),
        }
    }
    found
        .into_iter()
        .map(|(file, classes)| {
            let all = Class::ALL.iter().all(|c| classes.contains(c));
            let names: Vec<&str> = Class::ALL.iter().filter(|c| classes.contains(c)).map(|c| c.name()).collect();
            let note = if all { String::new() } else { format!(" ({})", names.join(", ")) };
            format!("[`{file}`]({file}){note}")
        })
        .collect()
}

/// A table cell: `|` would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shaders_readme_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders/README.md");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        assert!(text == markdown(), "stale: run `cargo run -- kernels --markdown shaders/README.md`");
    }

    #[test]
    fn the_table_has_every_row_and_unknown_names_get_a_hint() {
        let text = table();
        for kernel in CATALOGUE {
            assert!(text.lines().any(|l| l.split_whitespace().next() == Some(kernel.name())), "{}", kernel.name());
        }
        let error = unknown("fil");
        assert!(error.to_string().contains("nearest is `fill`") && error.exit_code() == 2);
    }

    #[test]
    fn sources_are_found_by_file_and_by_kernel() {
        let direct = source("conv_transpose2d_direct").unwrap();
        assert!(direct.contains("//#unroll") && direct.contains("//#include lib/"), "the file as it was written");
        assert_eq!(source("nn/conv_transpose2d_direct.wgsl").unwrap(), direct);
        assert_eq!(source("lib/tile.wgsl").unwrap(), shader::source("lib/tile.wgsl").unwrap());
        let error = source("conv_transpose2d").unwrap_err();
        let files = ["direct", "lanes", "tiled"].map(|variant| format!("nn/conv_transpose2d_{variant}.wgsl"));
        let several = format!("several shaders: {}", files.join(", "));
        assert!(error.exit_code() == 2 && error.to_string().contains(&several), "{error}");
        let error = source("conv2d_drect").unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("nearest is `conv2d_direct`"), "{error}");
        for kernel in CATALOGUE {
            let several = source(kernel.name()).is_err_and(|e| e.to_string().contains("several"));
            assert!(several || source(kernel.name()).is_ok(), "{}", kernel.name());
        }
    }
}
