//! What a compiler for real GPUs makes of a foreign kernel.

use super::bench::Contender;
use super::case::{Loaded, Problem};
use super::check::Workbench;
use super::manifest::Case;
use crate::isa::{BuiltShader, joined};
use crate::{Error, Result};

impl Problem {
    /// The module of a build with the constants of this launch, named `name`.
    ///
    /// # Errors
    /// What cannot be written as SPIR-V.
    pub fn module(&self, loaded: &Loaded, name: &str) -> Result<BuiltShader> {
        let resolved = loaded.shader.resolved(&loaded.entry, &self.constants);
        let built = resolved.and_then(|shader| BuiltShader::of(name, joined(&self.constants), &shader.renumbered()));
        built.map_err(|what| Error::input(format!("{name}: {what}")))
    }
}

impl Workbench {
    /// The modules of `contenders` in `case`, by their names.
    ///
    /// # Errors
    /// A case that does not fit a shader, and modules that cannot be written as SPIR-V.
    pub fn modules(&self, case: &Case, contenders: &[Contender]) -> Result<Vec<BuiltShader>> {
        let module = |c: &Contender| self.problem(c.build, case, &c.constants)?.module(&self.loaded[c.build], &c.name);
        contenders.iter().map(module).collect()
    }
}
