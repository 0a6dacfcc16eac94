//! Reading one golden case: a safetensors file with `op`, `params` and tensors `in.*`, `out.*`.

use crate::{Error, Result, input};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Maximum bytes of a case's file.
const FILE: u64 = 256 << 20;
/// Maximum elements of a tensor in a case, given or computed: half of the limit of the f32 bounds of sums (2^24 terms),
/// and small enough for the f64 analysis of every element.
pub const MOST_ELEMENTS: usize = 1 << 23;

/// A tensor of a case, widened to f64.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenTensor {
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f64>,
    /// True if the file stores f32.
    pub single: bool,
}

impl GoldenTensor {
    /// The values as f32 (exact for inputs, which are f32 in the file).
    pub fn f32(&self) -> Vec<f32> {
        self.values.iter().map(|v| *v as f32).collect()
    }
}

/// One case as read from its file.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file.
    pub path: PathBuf,
    /// The operation's name.
    pub op: String,
    /// Its parameters.
    pub params: serde_json::Map<String, serde_json::Value>,
    /// Inputs, without the `in.` prefix.
    pub inputs: BTreeMap<String, GoldenTensor>,
    /// Expected results, without the `out.` prefix.
    pub expected: BTreeMap<String, GoldenTensor>,
}

impl Case {
    /// Reads a file.
    ///
    /// # Errors
    /// Names the file and its fault: not safetensors, missing metadata, bad JSON, tensor types and names.
    pub fn read(path: &Path) -> Result<Case> {
        let bytes = input::read(path, FILE).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
        Case::decode(&bytes, path)
    }

    /// [`Case::read`] from bytes; `path` is named in errors.
    ///
    /// # Errors
    /// As [`Case::read`].
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Case> {
        let fail = |what: String| Err(Error::file(path, what));
        input::check_tensor_header(bytes).map_err(|what| Error::file(path, what))?;
        let (_, header) = SafeTensors::read_metadata(bytes)
            .map_err(|e| Error::file(path, format!("not a complete safetensors file: {e}")))?;
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|e| Error::file(path, format!("not a complete safetensors file: {e}")))?;
        input::check_tensors(&tensors).map_err(|what| Error::file(path, what))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let entry = |key: &str| {
            let what = format!("the metadata has no `{key}`; a golden case needs `op` and `params`");
            metadata.get(key).cloned().ok_or_else(|| Error::file(path, what))
        };
        let (op, params) = (entry("op")?, entry("params")?);
        let params: serde_json::Value = serde_json::from_str(&params).map_err(|e| {
            Error::file(path, format!("metadata `params` is not JSON ({e}): {}", input::shorten(&params, 200)))
        })?;
        let serde_json::Value::Object(params) = params else {
            let found = input::shorten(&params.to_string(), 200);
            return fail(format!("metadata `params` is {found}, must be a JSON object"));
        };
        let mut case = Case { path: path.into(), op, params, inputs: BTreeMap::new(), expected: BTreeMap::new() };
        for (name, view) in tensors.iter() {
            let (list, bare, single_only) = match (name.strip_prefix("in."), name.strip_prefix("out.")) {
                (Some(bare), _) => (&mut case.inputs, bare, true),
                (_, Some(bare)) => (&mut case.expected, bare, false),
                _ => return fail(format!("tensor `{name}`: names must start with `in.` or `out.`")),
            };
            let tensor = widen(&view, single_only).map_err(|what| Error::file(path, format!("`{name}` {what}")))?;
            list.insert(bare.to_string(), tensor);
        }
        if case.expected.is_empty() {
            return fail("no tensor named `out.*`: nothing to compare".into());
        }
        Ok(case)
    }

    /// A malformed-case error for this file.
    pub fn malformed(&self, what: impl std::fmt::Display) -> Error {
        Error::file(&self.path, format!("{}: {what}", input::shorten(&self.op, 40)))
    }

    /// A required input.
    ///
    /// # Errors
    /// When it is missing.
    pub fn input(&self, name: &str) -> Result<&GoldenTensor> {
        self.inputs.get(name).ok_or_else(|| self.malformed(format!("tensor `in.{name}` is missing")))
    }

    /// A required input of exactly this shape.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn shaped(&self, name: &str, shape: &[usize]) -> Result<&GoldenTensor> {
        let tensor = self.input(name)?;
        if tensor.shape != shape {
            return Err(self.malformed(format!("`in.{name}` has shape {:?}, must be {shape:?}", tensor.shape)));
        }
        Ok(tensor)
    }

    /// A required input of that rank, without empty dimensions.
    ///
    /// # Errors
    /// When it is missing, has another rank or an empty dimension.
    pub fn ranked<const N: usize>(&self, name: &str, layout: &str) -> Result<(&GoldenTensor, [usize; N])> {
        let tensor = self.input(name)?;
        let shape: [usize; N] = tensor.shape.clone().try_into().map_err(|shape: Vec<usize>| {
            self.malformed(format!("`in.{name}` has shape {shape:?}, must be {layout}, {N} dimensions"))
        })?;
        if shape.contains(&0) {
            return Err(self.malformed(format!("`in.{name}` has shape {shape:?}: no dimension may be 0")));
        }
        Ok((tensor, shape))
    }

    /// A numeric parameter in `low..=high`, or `default` when absent.
    ///
    /// # Errors
    /// When it is missing without a default, not a number, or out of range.
    pub fn number(&self, key: &str, low: f64, high: f64, default: Option<f64>) -> Result<f64> {
        let range = if high.is_finite() { format!("{low} to {high}") } else { format!("at least {low}") };
        let Some(value) = self.params.get(key) else {
            return default
                .ok_or_else(|| self.malformed(format!("parameter `{key}` is missing; must be a number, {range}")));
        };
        match value.as_f64() {
            Some(v) if v >= low && v <= high => Ok(v),
            _ => Err(self.malformed(format!("parameter `{key}` is {value}, must be a number, {range}"))),
        }
    }

    /// An integer parameter in `low..=high`.
    ///
    /// # Errors
    /// When it is missing, not an integer, or out of range.
    pub fn whole(&self, key: &str, low: u32, high: u32) -> Result<u32> {
        let found = self.params.get(key).map_or("missing".into(), |v| v.to_string());
        match self.params.get(key).and_then(serde_json::Value::as_f64) {
            Some(v) if v.fract() == 0.0 && v >= f64::from(low) && v <= f64::from(high) => Ok(v as u32),
            _ => {
                let allowed = format!("must be a whole number, {low} to {high}");
                Err(self.malformed(format!("parameter `{key}` is {found}, {allowed}")))
            }
        }
    }
}

fn widen(view: &safetensors::tensor::TensorView, single_only: bool) -> std::result::Result<GoldenTensor, String> {
    let (data, elements) = (view.data(), view.shape().iter().product::<usize>());
    if elements > MOST_ELEMENTS {
        return Err(format!("has {elements} elements, at most {MOST_ELEMENTS} are read"));
    }
    let (values, single): (Vec<f64>, bool) = match view.dtype() {
        Dtype::F32 => {
            let chunks = data.chunks_exact(4);
            (chunks.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f64).collect(), true)
        }
        Dtype::F64 if !single_only => {
            let word = |b: &[u8]| b.iter().rev().fold(0u64, |w, byte| w << 8 | *byte as u64);
            (data.chunks_exact(8).map(|b| f64::from_bits(word(b))).collect(), false)
        }
        other => {
            let allowed = if single_only { "F32" } else { "F32 or F64" };
            return Err(format!("has type {other:?}, must be {allowed}"));
        }
    };
    Ok(GoldenTensor { shape: view.shape().to_vec(), values, single })
}
