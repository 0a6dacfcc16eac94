//! Golden cases as editable drafts.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize_to_file};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The folder of the public cases.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// One tensor: type, shape, values.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// A case in memory that can be changed and written.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub metadata: Option<HashMap<String, String>>,
    pub tensors: BTreeMap<String, Tensor>,
}

impl Draft {
    /// An empty case of an operation.
    pub fn new(op: &str, params: &str) -> Self {
        let metadata = [("op", op), ("params", params)].map(|(k, v)| (k.to_string(), v.to_string()));
        Draft { metadata: Some(HashMap::from(metadata)), tensors: BTreeMap::new() }
    }

    /// Reads a case.
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let mut draft = Draft { metadata: header.metadata().clone(), tensors: BTreeMap::new() };
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            let values = match view.dtype() {
                Dtype::F32 => bytemuck::pod_collect_to_vec::<u8, f32>(view.data()).into_iter().map(f64::from).collect(),
                Dtype::F64 => bytemuck::pod_collect_to_vec::<u8, f64>(view.data()),
                other => panic!("{other:?}"),
            };
            draft.tensors.insert(name.into(), Tensor { dtype: view.dtype(), shape: view.shape().to_vec(), values });
        }
        draft
    }

    /// Adds or replaces an f32 input or (for names starting with `out.`) an f64 result.
    pub fn put(&mut self, name: &str, shape: &[usize], values: Vec<f64>) -> &mut Self {
        let dtype = if name.starts_with("out.") { Dtype::F64 } else { Dtype::F32 };
        self.tensors.insert(name.into(), Tensor { dtype, shape: shape.to_vec(), values });
        self
    }

    /// Sets a metadata entry.
    pub fn meta(&mut self, key: &str, value: &str) -> &mut Self {
        self.metadata.get_or_insert_default().insert(key.into(), value.into());
        self
    }

    pub fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }
    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.tensors[name].shape.clone()
    }
    pub fn values(&self, name: &str) -> Vec<f64> {
        self.tensors[name].values.clone()
    }
    pub fn values_mut(&mut self, name: &str) -> &mut Vec<f64> {
        &mut self.tensors.get_mut(name).unwrap().values
    }

    /// Writes the case to `path`.
    pub fn write_to(&self, path: &Path) {
        let bytes: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, t)| {
                let data = match t.dtype {
                    Dtype::F64 => bytemuck::cast_slice(&t.values).to_vec(),
                    Dtype::F32 => t.values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect(),
                    Dtype::I32 => t.values.iter().flat_map(|v| (*v as i32).to_le_bytes()).collect(),
                    other => panic!("{other:?}"),
                };
                (name.clone(), t.dtype, t.shape.clone(), data)
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, dtype, shape, data)| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
        serialize_to_file(views, self.metadata.clone(), path).unwrap();
    }

    /// Writes the case to a temporary file, deleted with the returned handle.
    pub fn write(&self) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".safetensors").tempfile().unwrap();
        self.write_to(file.path());
        file
    }
}
