//! Measured choices among the tiled variants, and the file that stores them for an adapter and its driver.

use super::AdapterFacts;
use crate::kernels::{AnyKernel, Build, grid_fits};
use crate::{Error, Result, input};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Version of the file format; files of other versions are not used.
const FORMAT: u32 = 1;
/// Identifies files of `fedgan tune`.
pub const MARK: &str = "fedgan tune --out";
/// Maximum length of a file's name in characters, without its extension.
const NAME: usize = 150;

/// The variant of each launch, and where it was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// [`MARK`]; empty in files of version 0.1.0.
    #[serde(default)]
    written_by: String,
    format: u32,
    /// Version of fedgan; another version may have other shaders.
    pub version: String,
    /// The adapter's name.
    pub adapter: String,
    /// The API used for the measurement.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// Names of [`crate::kernels::Kernel::variants`] by [`key`].
    pub picks: BTreeMap<String, String>,
}

/// The key of a launch: the kernel and its parameters without the number of clients and the client strides. Chunks of
/// clients therefore get the same variant.
pub fn key(kernel: &dyn AnyKernel, words: &[u32]) -> String {
    let fields = kernel.fields().iter().zip(words);
    let kept = fields.filter(|(f, _)| f.name != "clients" && !f.draw.is_stride());
    let pairs: Vec<String> = kept.map(|(f, word)| format!("{}={word}", f.name)).collect();
    format!("{}:{}", kernel.name(), pairs.join(","))
}

impl Tuning {
    /// An empty set of choices for this version on that adapter.
    pub fn new(facts: &AdapterFacts) -> Tuning {
        Tuning {
            written_by: MARK.into(),
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            adapter: facts.name.clone(),
            backend: format!("{:?}", facts.backend),
            driver: facts.driver.clone(),
            picks: BTreeMap::new(),
        }
    }

    /// Chooses `variant` for all launches with the same key as this one.
    pub fn pick(&mut self, kernel: &dyn AnyKernel, words: &[u32], variant: &str) {
        self.picks.insert(key(kernel, words), variant.into());
    }

    /// The chosen build; `None` if nothing was chosen, or if this launch does not have the chosen variant.
    pub fn build(&self, kernel: &dyn AnyKernel, words: &[u32]) -> Option<Build> {
        let variants = kernel.variants(words);
        if variants.is_empty() {
            return None;
        }
        let pick = self.picks.get(&key(kernel, words))?;
        let build = variants.into_iter().find(|(name, _)| name == pick)?.1;
        grid_fits(&build).is_ok().then_some(build)
    }

    /// Rejects measurements from another version, adapter, API or driver.
    ///
    /// # Errors
    /// All differences.
    pub fn matches(&self, facts: &AdapterFacts) -> std::result::Result<(), String> {
        let now = Tuning::new(facts);
        let pairs = [
            ("fedgan", &self.version, &now.version),
            ("adapter", &self.adapter, &now.adapter),
            ("backend", &self.backend, &now.backend),
            ("driver", &self.driver, &now.driver),
        ];
        let differ: Vec<String> = pairs
            .iter()
            .filter(|(_, then, now)| then != now)
            .map(|(what, then, now)| format!("{what} `{then}` then, `{now}` now"))
            .collect();
        if differ.is_empty() { Ok(()) } else { Err(format!("measured elsewhere: {}", differ.join("; "))) }
    }

    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Input`], naming the file: unreadable, not a tuning file, or another format.
    pub fn load(path: &Path) -> Result<Option<Tuning>> {
        let text = match input::read_text(path, input::TUNING) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::file(path, format!("cannot be read: {e}"))),
        };
        Tuning::parse(path, &text).map(Some)
    }

    /// [`Tuning::load`] from text; `path` is named in errors.
    ///
    /// # Errors
    /// Not a tuning file, or another format.
    pub fn parse(path: &Path, text: &str) -> Result<Tuning> {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|e| Error::file(path, format!("not a tuning file: not JSON: {e}")))?;
        match value["format"].as_u64() {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => return Err(Error::file(path, format!("format {format}; this version reads {FORMAT}"))),
            None => return Err(Error::file(path, "not a tuning file: no format")),
        }
        serde_json::from_value(value).map_err(|e| Error::file(path, format!("not a tuning file: {e}")))
    }

    /// The text of a file.
    ///
    /// # Errors
    /// If it cannot be serialised.
    pub fn to_json(&self) -> Result<String> {
        let marked = Tuning { written_by: MARK.into(), ..self.clone() };
        let text = serde_json::to_string_pretty(&marked).map_err(|e| Error::internal(format!("JSON: {e}")))?;
        Ok(text + "\n")
    }

    /// Writes a file atomically, replacing an existing one: a reader sees either the old or the new file.
    ///
    /// # Errors
    /// [`Error::Output`], naming the file.
    pub fn save(&self, path: &Path) -> Result<()> {
        let fail = |e: std::io::Error| Error::output(path, e);
        let text = self.to_json()?;
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(fail)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
        file.write_all(text.as_bytes()).map_err(fail)?;
        file.persist(path).map_err(|e| fail(e.error))?;
        Ok(())
    }
}

/// The file for an adapter and its driver in the user's cache folder; `None` on a machine without a home directory.
pub fn file(facts: &AdapterFacts) -> Option<PathBuf> {
    file_from(facts, |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from))
}

fn file_from(facts: &AdapterFacts, var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // The XDG specification says to ignore relative paths.
    let xdg = var("XDG_CACHE_HOME").filter(|p| p.is_absolute());
    let home = || {
        let folder = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
        var("HOME").map(|home| home.join(folder))
    };
    let cache = xdg.or_else(|| var("LOCALAPPDATA")).or_else(home)?;
    let facts = format!("{} {:?} {}", facts.name, facts.backend, facts.driver);
    let words = facts.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').filter(|w| !w.is_empty());
    let name: String = words.collect::<Vec<_>>().join("-").chars().take(NAME).collect();
    Some(cache.join("fedgan").join("tuning").join(format!("{name}.json")))
}

#[cfg(test)]
mod tests {
    use super::super::adapter::tests::facts;
    use super::super::{AdapterKind, Backend};
    use super::*;
    use crate::kernels::Params;
    use crate::kernels::nn::conv::ConvParams;
    use crate::kernels::nn::conv2d::Conv2d;

    fn h100() -> AdapterFacts {
        facts("NVIDIA H100", AdapterKind::DiscreteGpu, Backend::Vulkan, "")
    }

    fn shape(clients: u32, n: u32) -> Vec<u32> {
        ConvParams::new(clients, n, [8, 8, 16], [4, 4, 32], 4, 2, 1).words()
    }

    #[test]
    fn keys_depend_on_shapes_and_not_on_clients_or_strides() {
        let mut other = ConvParams::from_words(&shape(5, 3));
        other.large_stride += 64;
        other.weight_stride += 128;
        other.small_stride += 192;
        assert_eq!(key(&Conv2d, &shape(1, 3)), key(&Conv2d, &other.words()));
        assert_eq!(key(&Conv2d, &shape(1, 3)).matches('=').count(), 12, "{}", key(&Conv2d, &shape(1, 3)));
        assert!(key(&Conv2d, &shape(1, 3)).contains("stride=2"), "the convolution's stride is not a client stride");
        assert_ne!(key(&Conv2d, &shape(1, 3)), key(&Conv2d, &shape(1, 4)));
        let mut tuning = Tuning::new(&h100());
        tuning.pick(&Conv2d, &shape(1, 3), "128x128");
        let build = tuning.build(&Conv2d, &shape(2, 3)).unwrap();
        assert!(build.consts.contains(&("SIDE", 128)) && build.grid == [1, 1, 2], "{build:?}");
        assert!(tuning.build(&Conv2d, &shape(1, 4)).is_none());
        tuning.pick(&Conv2d, &shape(1, 3), "256x256");
        assert!(tuning.build(&Conv2d, &shape(1, 3)).is_none(), "a variant that does not exist");
    }

    #[test]
    fn a_file_round_trips_and_replaces_the_previous_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder/t.json");
        assert!(Tuning::load(&path).unwrap().is_none());
        let mut tuning = Tuning::new(&h100());
        tuning.save(&path).unwrap();
        tuning.pick(&Conv2d, &shape(1, 3), "64x64");
        tuning.save(&path).unwrap();
        assert_eq!(Tuning::load(&path).unwrap().unwrap(), tuning);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file remains");
        std::fs::write(dir.path().join("plain"), "").unwrap();
        let error = tuning.save(&dir.path().join("plain/t.json")).unwrap_err();
        assert!(matches!(error, Error::Output(_)) && error.to_string().contains("t.json"), "{error}");
    }

    #[test]
    fn other_drivers_adapters_and_versions_are_refused_with_what_differs() {
        let tuning = Tuning::new(&h100());
        tuning.matches(&h100()).unwrap();
        tuning.matches(&AdapterFacts { pci: "0000:01:00.0".into(), ..h100() }).unwrap();
        let driver = tuning.matches(&AdapterFacts { driver: "e".into(), ..h100() }).unwrap_err();
        assert!(driver.contains("driver `d` then, `e` now") && !driver.contains("adapter"), "{driver}");
        let gl = tuning.matches(&facts("Old Card", AdapterKind::DiscreteGpu, Backend::Gl, "")).unwrap_err();
        assert!(gl.contains("adapter `NVIDIA H100`") && gl.contains("backend `Vulkan` then, `Gl` now"), "{gl}");
        let old = Tuning { version: "0.0.1".into(), ..tuning };
        assert!(old.matches(&h100()).unwrap_err().contains("fedgan `0.0.1` then"));
    }

    #[test]
    fn other_files_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        for (text, needle) in [
            ("{", "not JSON"),
            ("{}", "no format"),
            ("[1]", "no format"),
            (r#"{"format": 9}"#, "format 9; this version reads 1"),
            (r#"{"format": 1, "picks": 3}"#, "not a tuning file"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Tuning::load(&path).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("x.json"), "{error}");
            assert!(error.to_string().contains(needle), "{error}");
        }
    }

    #[test]
    fn the_file_follows_the_environment_and_has_a_plain_name() {
        let card = AdapterFacts { driver: "Mesa 22.3.6 (git/a b)".into(), ..h100() };
        let from = |vars: &'static [(&str, &str)]| {
            file_from(&card, |name| vars.iter().find(|v| v.0 == name).map(|v| PathBuf::from(v.1)))
        };
        let name = "fedgan/tuning/NVIDIA-H100-Vulkan-Mesa-22.3.6-git-a-b.json";
        assert_eq!(from(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]).unwrap(), Path::new("/c").join(name));
        let home = if cfg!(target_os = "macos") { "/h/Library/Caches" } else { "/h/.cache" };
        assert_eq!(from(&[("XDG_CACHE_HOME", "c"), ("HOME", "/h")]).unwrap(), Path::new(home).join(name));
        assert_eq!(from(&[]), None);
    }
}
