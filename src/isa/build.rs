//! The modules to compile.

use crate::kernels::reflect::Shader;
use crate::kernels::shader::{self, Source};
use crate::kernels::writers::{Checks, Language, WriterConfig};

/// SPIR-V as wgpu writes it for hardware of Vulkan 1.3.
pub const SPIRV: WriterConfig = WriterConfig { language: Language::Spirv, version: (1, 6), checks: Checks::None };

/// One shader text: a file with constants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltShader {
    /// The path under `shaders/` without its ending, or the path or name of the user's own.
    pub shader: String,
    /// `NAME=VALUE`, separated by blanks.
    pub constants: String,
    /// False for builds that only software adapters run: their register tiles are too large for a GPU.
    pub hardware: bool,
    /// Kernels of the catalogue that use it.
    pub kernels: Vec<&'static str>,
    /// The module.
    pub spirv: Vec<u8>,
}

impl BuiltShader {
    /// A module with one entry point, for hardware.
    ///
    /// # Errors
    /// What cannot be written as SPIR-V.
    pub fn of(shader: &str, constants: String, module: &Shader) -> Result<BuiltShader, String> {
        let spirv = module.write(SPIRV)?;
        Ok(BuiltShader { shader: shader.into(), constants, hardware: true, kernels: Vec::new(), spirv })
    }

    /// The file `file` with the text `text` and the constants `consts`.
    ///
    /// # Errors
    /// A text that cannot be assembled, parsed or written.
    pub fn assembled(file: &str, text: &str, consts: &[(&str, u32)]) -> Result<BuiltShader, String> {
        let wgsl = shader::assemble(&Source::new(file, text), consts, true)?;
        BuiltShader::of(stem(file), joined(consts), &Shader::parse(&wgsl)?)
    }
}

impl std::fmt::Display for BuiltShader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&label(&self.shader, &self.constants))
    }
}

/// A path without `.wgsl`.
pub fn stem(file: &str) -> &str {
    file.strip_suffix(".wgsl").unwrap_or(file)
}

/// `NAME=VALUE`, separated by blanks.
pub fn joined<N: std::fmt::Display, V: std::fmt::Display>(consts: &[(N, V)]) -> String {
    consts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// A shader with its constants, for messages.
pub fn label(shader: &str, constants: &str) -> String {
    if constants.is_empty() { shader.to_string() } else { format!("{shader} [{constants}]") }
}

/// The words of a module.
pub(super) fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
