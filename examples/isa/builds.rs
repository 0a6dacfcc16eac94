//! The shaders to compile: builds of the catalogue, the probes of a device's ceilings, files of the user's own.

use fedgan::foreign::Manifest;
use fedgan::foreign::case::{Loaded, Problem};
use fedgan::foreign::expr::Names;
use fedgan::isa::{BuiltShader, joined, stem};
use fedgan::kernels::reflect::variants;
use fedgan::kernels::shader;
use fedgan::kernels::{CATALOGUE, Class};
use fedgan::{Error, Result};
use std::path::Path;

/// True for shaders whose work is multiply-adds: products of matrices, and the probe of their rate. Their loops are held to the
/// number of multiply-adds and to what these overlap.
pub fn is_product(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.starts_with("conv")
        || name.starts_with("winograd") && !name.contains("weights")
        || name.starts_with("fma_peak")
}

fn embedded(file: &str, consts: &[(&str, u32)]) -> Result<BuiltShader> {
    let text = shader::source(file).ok_or_else(|| Error::internal(format!("{file} is not embedded")))?;
    BuiltShader::assembled(file, text, consts).map_err(Error::internal)
}

/// Every distinct build of the catalogue's cases, for GPUs and software adapters, and the probes.
///
/// # Errors
/// A shader that cannot be assembled or translated, which the tests exclude.
pub fn all() -> Result<Vec<BuiltShader>> {
    let mut found: Vec<BuiltShader> = Vec::new();
    for kernel in CATALOGUE {
        for variant in variants(*kernel, &Class::PORTABLE) {
            let constants = joined(&variant.consts);
            let hardware = variant.classes.contains(&Class::Tiled);
            let same = |b: &&mut BuiltShader| b.shader == stem(variant.file) && b.constants == constants;
            if let Some(build) = found.iter_mut().find(same) {
                build.kernels.push(kernel.name());
                build.hardware |= hardware;
                continue;
            }
            let build = embedded(variant.file, &variant.consts)?;
            found.push(BuiltShader { hardware, kernels: vec![kernel.name()], ..build });
        }
    }
    for (file, _) in shader::files().iter().filter(|(file, _)| file.starts_with("perf/")) {
        found.push(embedded(file, &[])?);
    }
    found.sort_by(|a, b| (&a.shader, &a.constants).cmp(&(&b.shader, &b.constants)));
    Ok(found)
}

/// The builds that GPUs run.
///
/// # Errors
/// As [`all`].
pub fn for_hardware() -> Result<Vec<BuiltShader>> {
    Ok(all()?.into_iter().filter(|build| build.hardware).collect())
}

/// The builds that `names` select, those of GPUs if there is none: kernels, shaders by stem or path, kernel files, WGSL files on disk, which are
/// assembled with `consts`.
///
/// # Errors
/// A name that selects nothing, with the nearest name; a file that cannot be read or translated.
pub fn selected(names: &[String], consts: &[(String, u32)]) -> Result<Vec<BuiltShader>> {
    let (mut found, mut catalogue) = (Vec::new(), None);
    if names.is_empty() {
        return for_hardware();
    }
    for name in names {
        if name.ends_with(".wgsl") && Path::new(name).is_file() {
            let text = std::fs::read_to_string(name).map_err(|e| Error::file(Path::new(name), e))?;
            let consts: Vec<(&str, u32)> = consts.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            found.push(BuiltShader::assembled(name, &text, &consts).map_err(Error::input)?);
            continue;
        }
        if fedgan::foreign::is_kernel_file(name) {
            found.extend(of_kernel_file(Path::new(name))?);
            continue;
        }
        let all = match &mut catalogue {
            Some(all) => all,
            none => none.insert(all()?),
        };
        let wanted = stem(name);
        let own = |b: &&BuiltShader| {
            b.shader == wanted || b.shader.rsplit('/').next() == Some(wanted) || b.kernels.contains(&wanted)
        };
        let chosen: Vec<BuiltShader> = all.iter().filter(own).cloned().collect();
        if chosen.is_empty() {
            return Err(unknown(name, all));
        }
        found.extend(chosen);
    }
    found.dedup();
    Ok(found)
}

/// The kernel of a kernel file and its candidates, with the constants of every case.
fn of_kernel_file(path: &Path) -> Result<Vec<BuiltShader>> {
    let manifest = Manifest::read(path)?;
    let mut found: Vec<BuiltShader> = Vec::new();
    for build in &manifest.builds {
        let loaded = Loaded::read(&manifest, build)?;
        for case in &manifest.cases {
            let problem = Problem::new(&manifest, &loaded, case, &Names::new())?;
            found.push(problem.module(&loaded, &build.name)?);
        }
    }
    found.sort_by(|a, b| (&a.shader, &a.constants).cmp(&(&b.shader, &b.constants)));
    found.dedup();
    Ok(found)
}

fn unknown(name: &str, all: &[BuiltShader]) -> Error {
    let shaders = all.iter().filter_map(|b| b.shader.rsplit('/').next());
    let names = shaders.chain(all.iter().flat_map(|b| b.kernels.iter().copied()));
    let nearest = names.max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    let nearest = nearest.unwrap_or("-");
    Error::input(format!(
        "no kernel, shader or file `{name}`, the nearest is `{nearest}`; `fedgan kernels` lists all kernels"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_build_is_listed_once() {
        let all = all().unwrap();
        let mut names: Vec<String> = all.iter().map(BuiltShader::to_string).collect();
        assert!(names.len() > 100 && names.contains(&"perf/fma_peak".into()), "{}", names.len());
        names.dedup();
        assert_eq!(names.len(), all.len());
        for kernel in CATALOGUE {
            assert!(all.iter().any(|b| b.kernels.contains(&kernel.name())), "{}", kernel.name());
        }
        let find = |shader: &'static str| all.iter().filter(move |b| b.shader == shader);
        assert!(find("nn/conv2d_tiled").all(|b| is_product(&b.shader) && b.hardware));
        assert!(find("optim/adam").all(|b| !is_product(&b.shader) && b.hardware));
        assert!(find("nn/conv2d_direct").any(|b| !b.hardware));
    }

    #[test]
    fn names_select_kernels_shaders_and_files() {
        let of = |name: &str| selected(&[name.to_string()], &[]);
        let kernel = of("conv2d").unwrap();
        assert!(kernel.iter().any(|b| b.shader == "nn/conv2d_tiled"));
        let shader = of("conv2d_tiled").unwrap();
        assert!(shader.len() < kernel.len() && shader.iter().all(|b| b.shader == "nn/conv2d_tiled"));
        assert_eq!(of("nn/conv2d_tiled.wgsl").unwrap(), shader);
        let error = of("conv2d_tilde").unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("nearest is `conv2d_tiled`"), "{error}");

        let file = tempfile::Builder::new().suffix(".wgsl").tempfile().unwrap();
        std::fs::write(file.path(), format!("const N: u32 = 1;\n{}", shader::source("util/fill.wgsl").unwrap()))
            .unwrap();
        let path = file.path().display().to_string();
        let own = selected(std::slice::from_ref(&path), &[("N".into(), 3)]).unwrap();
        assert_eq!((own.len(), own[0].constants.as_str()), (1, "N=3"));
        let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kernels/matmul.kernel.toml");
        let own = of(&kernel.display().to_string()).unwrap();
        let names: Vec<String> = own.iter().map(BuiltShader::to_string).collect();
        assert_eq!(names, ["matmul_tiled", "matmul_tiled [TILE=16]", "register"]);
        std::fs::write(file.path(), "fn main( {").unwrap();
        let error = selected(&[path], &[]).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(":1:"), "{error}");
    }
}
