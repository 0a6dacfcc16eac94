//! What a real GPU compiler makes of the shaders, without a GPU: Mesa's RADV with its null device, which compiles for a family of AMD
//! GPUs and executes nothing. A child process compiles for one family; its assembly is counted here. These are statistics of a
//! compiler, not times.

pub mod assembly;
mod build;
mod driver;
mod measured;
mod worker;

pub use build::{BuiltShader, joined, label, stem};
pub use measured::{Measured, table};
pub use worker::{Unavailable, manifest, serve};

#[cfg(test)]
use build::{SPIRV, words};

use crate::{Error, Result};
use std::path::{Path, PathBuf};
use worker::Worker;

/// The argument with which `fedgan` starts itself as a worker ([`serve`]).
pub const WORKER: &str = "--isa-worker";

/// Measurements of builds, and the version of the driver.
#[derive(Clone, Debug, Default)]
pub struct Measurements {
    /// Driver and version.
    pub driver: String,
    /// Family by family, the builds in their order.
    pub rows: Vec<Measured>,
}

/// Compiles every build for every family, the families at the same time. The worker is this program with the single argument
/// `worker`, with which it must call [`serve`]; `dump`: a folder for the assembly, as `FAMILY/BUILD.s`.
///
/// # Errors
/// Without driver or loader; with a family that the driver does not know; builds that it refuses, each with its reason.
pub fn measure(
    worker: &str,
    manifest: &Path,
    families: &[&str],
    builds: &[BuiltShader],
    dump: Option<&Path>,
) -> Result<Measurements, Unavailable> {
    let broken = |what: String| Unavailable::Broken(Error::device(what));
    let folder = tempfile::tempdir().map_err(|e| broken(format!("no temporary folder: {e}")))?;
    let mut modules = Vec::new();
    for (i, build) in builds.iter().enumerate() {
        let path = folder.path().join(format!("{i}.spv"));
        std::fs::write(&path, &build.spirv).map_err(|e| Unavailable::Broken(Error::output(&path, e)))?;
        modules.push((build, path));
    }
    let results: Vec<Result<Measurements, Unavailable>> = std::thread::scope(|scope| {
        let modules = &modules;
        let start = |family: &&str| {
            let family = family.to_string();
            scope.spawn(move || of_family(worker, manifest, &family, modules, dump))
        };
        let threads: Vec<_> = families.iter().map(start).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    let mut all = Measurements::default();
    for result in results {
        let one = result?;
        all.driver = one.driver;
        all.rows.extend(one.rows);
    }
    Ok(all)
}

fn of_family(
    program: &str,
    manifest: &Path,
    family: &str,
    modules: &[(&BuiltShader, PathBuf)],
    dump: Option<&Path>,
) -> Result<Measurements, Unavailable> {
    let mut worker = Worker::start(program, manifest, family)?;
    let (driver, mut rows, mut faults) = (worker.driver.clone(), Vec::new(), Vec::new());
    for (build, path) in modules {
        let compiled = match worker.compile(path) {
            Ok(compiled) => compiled,
            Err(fault) => {
                faults.push(format!("{family} {build}: {}", fault.as_ref().unwrap_or_else(|why| why)));
                // The other builds are still compiled, by a new process if this one ended.
                if fault.is_err() {
                    worker = Worker::start(program, manifest, family)?;
                }
                continue;
            }
        };
        if let Some(folder) = dump {
            write_assembly(&folder.join(family), build, &compiled.assembly).map_err(Unavailable::Broken)?;
        }
        match Measured::new(family, build, &compiled) {
            Ok(row) => rows.push(row),
            Err(why) => faults.push(format!("{family} {build}: {why}")),
        }
    }
    match faults.is_empty() {
        true => Ok(Measurements { driver, rows }),
        false => Err(Unavailable::Broken(Error::Verdict(faults.join("\n")))),
    }
}

fn write_assembly(folder: &Path, build: &BuiltShader, text: &str) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::output(folder, e))?;
    let parts = [build.shader.as_str(), build.constants.as_str()].join(" ");
    let name = parts.trim().trim_start_matches(['.', '/']).replace(['/', ' '], ".");
    let path = folder.join(format!("{name}.s"));
    std::fs::write(&path, text).map_err(|e| Error::output(&path, e))
}
