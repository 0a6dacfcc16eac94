//! `--isa`: what compilers for real GPUs make of the timed kernels.

use super::rows::compiled_text;
use crate::foreign::Workbench;
use crate::foreign::bench::{Contender, ForeignRow};
use crate::foreign::manifest::Case;
use crate::isa::{self, BuiltShader, Measurements, Unavailable, WORKER};
use crate::{Error, Result};
use std::path::PathBuf;

/// The families of `--isa`, which the driver knows.
pub(super) struct Compiler {
    manifest: PathBuf,
    families: Vec<String>,
}

impl Compiler {
    /// `None` without families. Starts the driver once, so that nothing is measured before a mistake is found.
    ///
    /// # Errors
    /// Without driver or loader, and with a family that the driver does not know.
    pub(super) fn of(families: &[String]) -> Result<Option<Compiler>> {
        if families.is_empty() {
            return Ok(None);
        }
        let manifest = isa::manifest().map_err(|why| Error::input(format!("--isa: {why}")))?;
        let mut families = families.to_vec();
        families.dedup();
        let compiler = Compiler { manifest, families };
        compiler.measure(&[])?;
        Ok(Some(compiler))
    }

    fn measure(&self, builds: &[BuiltShader]) -> Result<Measurements> {
        let families: Vec<&str> = self.families.iter().map(String::as_str).collect();
        isa::measure(WORKER, &self.manifest, &families, builds, None).map_err(|unavailable| match unavailable {
            Unavailable::Missing(why) => Error::input(format!("--isa: {why}")),
            Unavailable::Broken(Error::Input(why)) => Error::input(format!("--isa: {why}")),
            Unavailable::Broken(error) => error,
        })
    }

    /// Compiles what was timed in `case`, adds it to its rows, and returns the table. A kernel that the driver refuses keeps its times.
    pub(super) fn compile(
        &self,
        bench: &Workbench,
        case: &Case,
        contenders: &[Contender],
        rows: &mut [ForeignRow],
    ) -> Result<String> {
        let timed = |row: &ForeignRow| row.timed.is_some();
        let right: Vec<Contender> =
            contenders.iter().zip(&*rows).filter(|(_, row)| timed(row)).map(|(c, _)| c.clone()).collect();
        let modules = bench.modules(case, &right)?;
        let found = match self.measure(&modules) {
            Ok(found) => found,
            Err(Error::Verdict(why)) => return Ok(format!("not compiled: {why}\n")),
            Err(error) => return Err(error),
        };
        // Family by family, the modules in the order of the rows.
        for (at, row) in rows.iter_mut().filter(|row| timed(row)).enumerate() {
            row.compiled = found.rows.iter().skip(at).step_by(modules.len()).cloned().collect();
        }
        Ok(compiled_text(&found.driver, rows))
    }
}
