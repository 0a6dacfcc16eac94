//! The kernel file `NAME.kernel.toml`: a shader that no catalogue row declares, with its inputs, its truth and its cases.

mod parse;

use super::document::Document;
use super::expr::{Expr, Names};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A kernel file, checked as far as that goes without its shaders.
#[derive(Clone, Debug)]
pub struct Manifest {
    document: Document,
    /// Numbers that expressions use: lengths, mostly.
    pub sizes: Names,
    /// The kernel, then its candidates.
    pub builds: Vec<Build>,
    /// Storage variables by name.
    pub bindings: BTreeMap<String, Binding>,
    /// How far outputs of floats may be from the truth, unless a binding says otherwise.
    pub tolerance: Option<Tolerance>,
    /// What the outputs are compared with.
    pub truth: Truth,
    /// Operations and bytes of a launch.
    pub cost: CostSpec,
    /// The cases, at least one.
    pub cases: Vec<Case>,
    /// Constants to tune, with the values to try.
    pub tune: Vec<(String, Vec<f64>)>,
    /// Mutants that no case can tell from the kernel, by their changes.
    pub equivalent: Vec<String>,
    /// Whether two runs must give the same bits: not if floats are added by atomics.
    pub repeatable: bool,
}

/// A shader and how to launch it.
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    /// Its name in tables.
    pub name: String,
    /// The key of the file that declares it.
    key: Vec<String>,
    /// Its files, joined in this order.
    pub files: Vec<PathBuf>,
    /// The entry point, if the shader has several.
    pub entry: Option<String>,
    /// Values of `override` constants.
    pub constants: BTreeMap<String, Expr>,
    /// The constants that this build sets itself: they must exist.
    pub own: Vec<String>,
    /// Contents of variables by field.
    pub values: BTreeMap<String, Values>,
    /// The grid.
    pub grid: Grid,
}

/// The grid of a launch.
#[derive(Clone, Debug, PartialEq)]
pub enum Grid {
    /// Workgroups along x, y and z.
    Workgroups([Expr; 3]),
    /// Threads along x, y and z, rounded up to whole workgroups.
    Threads([Expr; 3]),
}

/// Values by field: a number, a list for a vector or an array, a table for a struct.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// One scalar.
    One(Expr),
    /// The components in order.
    List(Vec<Values>),
    /// The fields by name.
    Fields(BTreeMap<String, Values>),
}

/// A storage variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Lengths, outermost first; their product is the number of elements of the array.
    pub shape: Vec<Expr>,
    /// Contents before the launch.
    pub fill: Option<Fill>,
    /// How far an output may be from the truth.
    pub tolerance: Option<Tolerance>,
    /// Written, but not compared.
    pub scratch: bool,
}

/// Contents of a variable.
#[derive(Clone, Debug, PartialEq)]
pub enum Fill {
    /// Normally distributed.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// Evenly distributed.
    Uniform {
        /// The least.
        from: f64,
        /// The limit.
        to: f64,
    },
    /// Random whole numbers.
    Integers {
        /// The least.
        from: i64,
        /// The greatest.
        to: i64,
    },
    /// `start + i * step` in element `i`.
    Range {
        /// The first.
        start: f64,
        /// The difference of neighbours.
        step: f64,
    },
    /// These numbers, again and again.
    List(Vec<f64>),
    /// A tensor of a safetensors file.
    File {
        /// The path; `{case}` stands for the case's name.
        path: String,
        /// The tensor's name; the variable's if absent.
        tensor: Option<String>,
    },
    /// Each field of a struct, by name.
    Fields(Vec<(String, Fill)>),
}

/// How far an output may be from the truth.
#[derive(Clone, Debug, PartialEq)]
pub enum Tolerance {
    /// Equal values.
    Exact,
    /// `abs + rel * |truth| + ulp * (distance of neighbouring floats at the truth)`.
    Near {
        /// Absolute.
        abs: f64,
        /// Relative to the truth.
        rel: f64,
        /// In units of the last place.
        ulp: f64,
    },
    /// The rounding bound of a sum of this many products of inputs, in any order.
    Sum(Expr),
}

/// What the outputs are compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// Tensors of a safetensors file, by the variables' names; `{case}` stands for the case's name.
    File(String),
    /// Another shader with the same variables, run on the same inputs.
    Shader(Box<Build>),
    /// A kernel of the catalogue: its f64 reference with its error bounds.
    Kernel {
        /// Its name.
        name: String,
        /// Its parameters.
        params: BTreeMap<String, Expr>,
        /// The variable for each of its bindings.
        bindings: BTreeMap<String, String>,
    },
}

/// What a launch costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CostSpec {
    /// Floating-point operations; a multiply-add counts as two.
    pub flops: Option<Expr>,
    /// Bytes that must be read and written; if absent, all bytes of the storage variables.
    pub bytes: Option<Expr>,
}

/// When a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// In `validate` only.
    Validate,
    /// In `bench` and `tune` only.
    Bench,
}

/// Values of sizes and constants.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Sizes that differ from the file's.
    pub sizes: Names,
    /// Constants that differ from the file's.
    pub constants: Names,
    /// Contents of variables that differ from the file's.
    pub fills: BTreeMap<String, Fill>,
    /// Where it runs; `None`: everywhere.
    pub only: Option<Only>,
}

impl Manifest {
    /// Reads a kernel file.
    ///
    /// # Errors
    /// The first mistake, with file, line and key.
    pub fn read(path: &Path) -> Result<Manifest> {
        parse::manifest(Document::read(path)?)
    }

    /// Parses a text as if it stood in file `path`.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Manifest> {
        parse::manifest(Document::parse(path, text.to_string())?)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.document.path
    }

    /// A path of the file, relative to its folder, for case `case`.
    pub fn file(&self, path: &str, case: &str) -> PathBuf {
        self.document.folder().join(path.replace("{case}", case))
    }

    /// Every file that this one names and that exists for all cases: shaders.
    pub fn shader_files(&self) -> Vec<PathBuf> {
        let truth = match &self.truth {
            Truth::Shader(build) => Some(build.as_ref()),
            _ => None,
        };
        let mut files: Vec<PathBuf> = self.builds.iter().chain(truth).flat_map(|b| b.files.clone()).collect();
        files.sort();
        files.dedup();
        files
    }

    /// An error at `keys` of the file.
    pub fn fail(&self, keys: &[&str], what: impl std::fmt::Display) -> Error {
        let mut node = self.document.root();
        for key in keys {
            match node.get(key) {
                Some(next) => node = next,
                None => break,
            }
        }
        let key = keys.join(".");
        match key == node.name() || key.is_empty() {
            true => node.fail(what),
            false => node.fail(format!("`{key}`: {what}")),
        }
    }

    /// An error in a build.
    pub fn fail_in(&self, build: &Build, keys: &[&str], what: impl std::fmt::Display) -> Error {
        let keys: Vec<&str> = build.key.iter().map(String::as_str).chain(keys.iter().copied()).collect();
        self.fail(&keys, what)
    }

    /// The cases to time: those that are named, else those that are there to be timed, else all.
    ///
    /// # Errors
    /// As [`Manifest::select`].
    pub fn timed(&self, named: &[String]) -> Result<Vec<Case>> {
        let all = self.select(Only::Bench, named)?;
        let meant = named.is_empty() && all.iter().any(|case| case.only == Some(Only::Bench));
        Ok(all.into_iter().filter(|case| !meant || case.only == Some(Only::Bench)).cloned().collect())
    }

    /// The cases of a verb, or those that `wanted` names.
    ///
    /// # Errors
    /// An unknown name, with the names there are.
    pub fn select(&self, verb: Only, wanted: &[String]) -> Result<Vec<&Case>> {
        if wanted.is_empty() {
            return Ok(self.cases.iter().filter(|case| case.only.is_none_or(|only| only == verb)).collect());
        }
        let find = |name: &String| {
            self.cases.iter().find(|case| case.name == *name).ok_or_else(|| {
                let known: Vec<&str> = self.cases.iter().map(|case| case.name.as_str()).collect();
                Error::file(self.path(), format!("no case `{name}`; there are: {}", known.join(", ")))
            })
        };
        wanted.iter().map(find).collect()
    }
}
