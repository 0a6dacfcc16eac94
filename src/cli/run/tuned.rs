//! The tuning file of a run's adapter, where there is one that fits.

use crate::gpu::{AdapterFacts, GpuOptions, Target, Tuning, choose, tuning};
use crate::kernels::Class;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Switches tuning files off, where it is `off`.
const VARIABLE: &str = "FEDGAN_TUNING";

/// Choices of variants, and the file that they are from.
#[derive(Debug)]
pub(in crate::cli) struct Tuned {
    pub file: PathBuf,
    tuning: Arc<Tuning>,
}

/// Whether tuning files are used: not with the flag, nor where the environment says `off`.
///
/// # Errors
/// Another word in the environment.
pub(in crate::cli) fn wanted(switched_off: bool) -> Result<bool> {
    let value = std::env::var_os(VARIABLE).unwrap_or_default();
    Ok(on(&value.to_string_lossy())? && !switched_off)
}

fn on(value: &str) -> Result<bool> {
    match value {
        "" | "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Error::input(format!("{VARIABLE}=`{value}`: must be on or off"))),
    }
}

impl Tuned {
    /// The file of the adapter that `request` leads to. Engines without one and the direct shaders have no choice. A file that
    /// does not fit is not used, and `warn` hears why.
    ///
    /// # Errors
    /// As [`choose`].
    pub(in crate::cli) fn find(request: &str, warn: &dyn Fn(&str)) -> Result<Option<Tuned>> {
        let Target::Gpu(adapter) = choose(request)?.target else { return Ok(None) };
        if adapter.facts.class() != Class::Tiled {
            return Ok(None);
        }
        Ok(tuning::file(&adapter.facts).and_then(|file| Tuned::read(&file, &adapter.facts, warn)))
    }

    fn read(file: &Path, facts: &AdapterFacts, warn: &dyn Fn(&str)) -> Option<Tuned> {
        let tuning = match Tuning::load(file) {
            Ok(tuning) => tuning?,
            Err(error) => {
                warn(&format!("{error}; not used, `fedgan tune` writes it again"));
                return None;
            }
        };
        match tuning.matches(facts) {
            Ok(()) => Some(Tuned { file: file.into(), tuning: Arc::new(tuning) }),
            Err(why) => {
                warn(&format!("{}: {why}; not used, `fedgan tune` measures again", file.display()));
                None
            }
        }
    }

    /// What an engine for training is built with.
    pub(in crate::cli) fn options(tuned: Option<&Tuned>) -> GpuOptions {
        GpuOptions { tuning: tuned.map(|t| t.tuning.clone()), ..GpuOptions::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn a_file_that_does_not_fit_is_a_warning_and_no_failure() {
        let Target::Gpu(adapter) = choose("gpu").unwrap().target else { panic!("no adapter") };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        let heard = RefCell::new(Vec::new());
        let read = |facts: &AdapterFacts| Tuned::read(&path, facts, &|text| heard.borrow_mut().push(text.to_string()));
        assert!(read(&adapter.facts).is_none() && heard.borrow().is_empty(), "no file is nothing to warn of");
        let tuning = Tuning::new(&adapter.facts);
        tuning.save(&path).unwrap();
        let tuned = read(&adapter.facts).unwrap();
        assert!(tuned.file == path && heard.borrow().is_empty());
        assert_eq!(*Tuned::options(Some(&tuned)).tuning.unwrap(), tuning);
        assert!(Tuned::options(None).tuning.is_none());
        assert!(read(&AdapterFacts { driver: "another".into(), ..adapter.facts.clone() }).is_none());
        std::fs::write(&path, "{").unwrap();
        assert!(read(&adapter.facts).is_none());
        let heard = heard.borrow();
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert!(heard[0].contains("t.json") && heard[0].contains("`another` now"), "{heard:?}");
        assert!(heard[1].contains("t.json: no tuning file") && !heard[1].contains('\n'), "{heard:?}");
    }

    #[test]
    fn engines_without_variants_have_no_file() {
        let silent = |text: &str| panic!("{text}");
        for request in ["cpu", "reference"] {
            assert!(Tuned::find(request, &silent).unwrap().is_none());
        }
        assert_eq!(Tuned::find("no such adapter", &silent).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn the_environment_says_on_or_off() {
        assert!(on("").unwrap() && on("on").unwrap() && !on("off").unwrap());
        let error = on("0").unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("FEDGAN_TUNING=`0`: must be on or off"));
        assert!(!wanted(true).unwrap());
    }
}
