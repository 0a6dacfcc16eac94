//! `--shader [NAME=]FILE.wgsl`: an edited kernel shader.

use crate::kernels::reflect::{Shader, variants};
use crate::kernels::shader::{self, Source};
use crate::kernels::{CATALOGUE, Class, find};
use crate::{Error, Result, input};
use std::path::Path;

/// The replaced shader: its path under `shaders/`, and the user's file.
pub type Replacement = (&'static str, Source);

/// Reads the file of `[NAME=]FILE`, finds the shader that NAME says (a shader's name, or that of a kernel with one shader; else the file's
/// own name), and checks every variant against the rows that build it, so that an error of the assembler, of naga or of this check is
/// reported once, before a device is opened.
///
/// # Errors
/// An unreadable file, a name that matches no kernel shader, or the first error in its text with file and line.
pub fn read_shader(argument: &str) -> Result<Replacement> {
    let own = |name: &str| Path::new(name).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    // A file whose name contains `=` may be there.
    let named =
        argument.split_once('=').filter(|(name, _)| !name.contains(['/', '\\']) && !Path::new(argument).exists());
    let (name, path) = match named {
        Some((name, path)) => (name.to_string(), Path::new(path)),
        None => (own(argument), Path::new(argument)),
    };
    let text = input::read_text(path, input::SHADER).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    let kernels = || shader::kernel_files().map(|f| f.0);
    let of_kernel = || {
        let kernel = find(&name)?;
        let mut files: Vec<&str> = variants(kernel, &Class::ALL).iter().map(|variant| variant.file).collect();
        files.dedup();
        if let [only] = files[..] { Some(only) } else { None }
    };
    match kernels().find(|file| own(file) == name).or_else(of_kernel) {
        Some(file) => {
            let source = Source::new(path.to_string_lossy(), text);
            compiles(file, &source).map_err(Error::Input)?;
            Ok((file, source))
        }
        None => {
            let stems: Vec<String> = kernels().map(own).collect();
            let hint = if named.is_some() { "" } else { "; NAME=FILE says which one the file replaces" };
            let what = format!("no kernel shader is called `{name}`; there are: {}{hint}", stems.join(", "));
            Err(Error::file(path, what))
        }
    }
}

/// Checks every variant of `file` with its text replaced by `source`, unrolled and rolled.
fn compiles(file: &str, source: &Source) -> std::result::Result<(), String> {
    for kernel in CATALOGUE {
        for variant in variants(*kernel, &Class::ALL).iter().filter(|variant| variant.file == file) {
            for unroll in [true, false] {
                let shader = Shader::parse(&shader::assemble(source, &variant.consts, unroll)?)?;
                let found = shader.disagreements(*kernel);
                if !found.is_empty() {
                    return Err(format!("{}: not a shader of `{}`: {}", source.name, kernel.name(), found.join("; ")));
                }
            }
        }
    }
    Ok(())
}
