//! The tuning file of a run's adapter, if one exists and fits.

use super::Observer;
use crate::Result;
use crate::gpu::{AdapterFacts, DeviceTarget, GpuOptions, Tuning, choose, tuning};
use crate::kernels::Class;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Choices of variants, and the file that they come from.
#[derive(Debug)]
pub(super) struct Tuned {
    pub file: PathBuf,
    tuning: Arc<Tuning>,
}

impl Tuned {
    /// The tuning file of the adapter that `request` selects. Engines without an adapter and direct shaders have no variants to
    /// choose. A file that does not fit is not used, and the observer is warned.
    ///
    /// # Errors
    /// As [`choose`].
    pub(super) fn find(request: &str, observer: &mut dyn Observer) -> Result<Option<Tuned>> {
        let DeviceTarget::Gpu(adapter) = choose(request)?.target else { return Ok(None) };
        if adapter.facts.class() != Class::Tiled {
            return Ok(None);
        }
        Ok(tuning::file(&adapter.facts).and_then(|file| Tuned::read(&file, &adapter.facts, observer)))
    }

    fn read(file: &Path, facts: &AdapterFacts, observer: &mut dyn Observer) -> Option<Tuned> {
        let tuning = match Tuning::load(file) {
            Ok(tuning) => tuning?,
            Err(error) => {
                observer.warning(&format!("{error}; not used; `fedgan tune` writes it again"));
                return None;
            }
        };
        match tuning.matches(facts) {
            Ok(()) => Some(Tuned { file: file.into(), tuning: Arc::new(tuning) }),
            Err(why) => {
                observer.warning(&format!("{}: {why}; not used; `fedgan tune` measures again", file.display()));
                None
            }
        }
    }

    /// Options of an engine for training.
    pub(super) fn options(tuned: Option<&Tuned>) -> GpuOptions {
        GpuOptions { tuning: tuned.map(|t| t.tuning.clone()), ..GpuOptions::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::Heard;

    #[test]
    fn a_file_that_does_not_fit_is_a_warning_and_no_failure() {
        let DeviceTarget::Gpu(adapter) = choose("gpu").unwrap().target else { panic!("no adapter") };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        let mut heard = Heard::default();
        let mut read = |facts: &AdapterFacts| Tuned::read(&path, facts, &mut heard);
        assert!(read(&adapter.facts).is_none(), "no file is nothing to warn of");
        let tuning = Tuning::new(&adapter.facts);
        tuning.save(&path).unwrap();
        let tuned = read(&adapter.facts).unwrap();
        assert!(tuned.file == path);
        assert_eq!(*Tuned::options(Some(&tuned)).tuning.unwrap(), tuning);
        assert!(Tuned::options(None).tuning.is_none());
        assert!(read(&AdapterFacts { driver: "another".into(), ..adapter.facts.clone() }).is_none());
        std::fs::write(&path, "{").unwrap();
        assert!(read(&adapter.facts).is_none());
        let heard = heard.warnings;
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert!(heard[0].contains("t.json") && heard[0].contains("`another` now"), "{heard:?}");
        assert!(heard[1].contains("t.json: not a tuning file") && !heard[1].contains('\n'), "{heard:?}");
    }

    #[test]
    fn engines_without_variants_have_no_file() {
        let mut silent = Heard::default();
        for request in ["cpu", "reference"] {
            assert!(Tuned::find(request, &mut silent).unwrap().is_none());
        }
        assert_eq!(Tuned::find("no such adapter", &mut silent).unwrap_err().exit_code(), 2);
        assert!(silent.warnings.is_empty());
    }
}
