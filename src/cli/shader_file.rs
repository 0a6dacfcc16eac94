//! `--shader FILE.wgsl`: an edited kernel shader.

use crate::kernels::shader;
use crate::{Error, Result, input};
use std::path::Path;

/// The replaced shader: its path under `shaders/` and its text.
pub type Replacement = (&'static str, String);

/// Reads the file and finds the shader of the same name.
pub fn read_shader(path: &Path) -> Result<Replacement> {
    let text = input::read_text(path, input::SHADER).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    let own = |name: &str| Path::new(name).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = own(&path.to_string_lossy());
    let kernels = || shader::kernel_files().map(|f| f.0);
    match kernels().find(|file| own(file) == stem) {
        Some(file) => Ok((file, text)),
        None => {
            let stems: Vec<String> = kernels().map(own).collect();
            Err(Error::file(path, format!("no kernel shader is called `{stem}`; there are: {}", stems.join(", "))))
        }
    }
}
