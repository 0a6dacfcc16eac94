//! Networks and golden cases as safetensors files.
//!
//! Writing is deterministic: metadata and tensors in name order, no padding except the header's. Reading errors name
//! the file, the tensor, the value found and the values allowed.

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Error, Result, input};

/// Tensors to be written: name to shape (outermost dimension first) and values.
pub type NamedTensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// One tensor from a file, its values widened to f64 (exact for F32; I64 beyond 2^53 is rounded).
#[derive(Clone, Debug, PartialEq)]
pub struct TensorData {
    /// Shape, outermost dimension first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f64>,
    /// The type in the file: "F16", "F32", "F64", "I32", "I64" (PyTorch's counters) or "U32".
    pub dtype: String,
}

/// The contents of a safetensors file.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorFile {
    /// The file's path; named in every error.
    pub path: PathBuf,
    /// The `__metadata__` of the file.
    pub metadata: BTreeMap<String, String>,
    /// The tensors by name.
    pub tensors: BTreeMap<String, TensorData>,
}

/// The bytes of a safetensors file holding these f32 tensors and this metadata.
///
/// # Errors
/// [`Error::Internal`] if a shape does not fit its values.
pub fn encode(tensors: &NamedTensors, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    for (name, (shape, values)) in tensors {
        if shape.iter().product::<usize>() != values.len() || name == "__metadata__" {
            return Err(Error::internal(format!("tensor '{name}': shape {shape:?} with {} values", values.len())));
        }
    }
    let mut bytes = header(tensors.iter().map(|(name, (shape, _))| (name.as_str(), shape.as_slice())), metadata)?;
    for (_, values) in tensors.values() {
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(bytes)
}

/// The bytes before the values of a safetensors file of f32 tensors, starting with the length of the header.
pub(super) fn header<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a [usize])>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    // The crate's own writer keeps metadata in a HashMap, whose order changes from run to run, so the header is built
    // here.
    let mut entries = Vec::new();
    if !metadata.is_empty() {
        entries.push(format!("\"__metadata__\":{}", json(metadata)?));
    }
    let mut end = 0usize;
    for (name, shape) in tensors {
        let start = end;
        end += shape.iter().product::<usize>() * size_of::<f32>();
        entries.push(format!(
            "{}:{{\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[{start},{end}]}}",
            json(name)?,
            json(shape)?
        ));
    }
    let mut header = format!("{{{}}}", entries.join(",")).into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    Ok(bytes)
}

/// Reads a safetensors file whose tensors are F16, F32, F64, I32, I64 or U32.
///
/// # Errors
/// [`Error::Input`] naming the file (and the tensor): missing, truncated, not a safetensors file, wrong type, or larger
/// than [`input`] allows.
pub fn load(path: &Path) -> Result<TensorFile> {
    let bytes = input::read(path, input::TENSORS).map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
    decode(&bytes, path)
}

/// [`load`] from bytes; `path` is named in errors.
pub fn decode(bytes: &[u8], path: &Path) -> Result<TensorFile> {
    check_length(bytes, path)?;
    let many = |what: String| Error::file(path, what);
    input::check_tensor_header(bytes).map_err(many)?;
    let bad = |e| Error::file(path, broken(&e, bytes.len()));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(bad)?;
    let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    let file = SafeTensors::deserialize(bytes).map_err(bad)?;
    input::check_tensors(&file).map_err(many)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let (values, dtype): (Vec<f64>, _) = match view.dtype() {
            Dtype::F32 => (words(view.data()).map(|w| f64::from(f32::from_le_bytes(w))).collect(), "F32"),
            Dtype::F64 => (words(view.data()).map(f64::from_le_bytes).collect(), "F64"),
            Dtype::F16 => (words(view.data()).map(|w| half::f16::from_le_bytes(w).to_f64()).collect(), "F16"),
            Dtype::I64 => (words(view.data()).map(|w| i64::from_le_bytes(w) as f64).collect(), "I64"),
            Dtype::I32 => (words(view.data()).map(|w| f64::from(i32::from_le_bytes(w))).collect(), "I32"),
            Dtype::U32 => (words(view.data()).map(|w| f64::from(u32::from_le_bytes(w))).collect(), "U32"),
            other => {
                let what = format!("tensor '{name}' has type {other:?}; allowed are F16, F32, F64, I32, I64 and U32");
                return Err(Error::file(path, what));
            }
        };
        let data = TensorData { shape: view.shape().to_vec(), values, dtype: dtype.to_string() };
        tensors.insert(name.to_string(), data);
    }
    Ok(TensorFile { path: path.to_path_buf(), metadata, tensors })
}

fn json(value: &(impl serde::Serialize + ?Sized)) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal(format!("safetensors header: {e}")))
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// Truncation is the most common damage, so it has its own message, with the sizes.
fn check_length(bytes: &[u8], path: &Path) -> Result<()> {
    let Some(first) = bytes.first_chunk::<8>() else {
        let what = format!("truncated: {} bytes, less than the 8 of a safetensors header length", bytes.len());
        return Err(Error::file(path, what));
    };
    let header = u64::from_le_bytes(*first);
    if bytes.get(8) != Some(&b'{') && bytes.len() > 8 {
        return Err(Error::file(path, "not a safetensors file: no JSON header after the first 8 bytes"));
    }
    if header > (bytes.len() - 8) as u64 {
        let what = format!(
            "truncated header (or not a safetensors file): it should be {header} bytes long, the file has {} after its first 8",
            bytes.len() - 8
        );
        return Err(Error::file(path, what));
    }
    Ok(())
}

fn broken(error: &SafeTensorError, found: usize) -> String {
    match error {
        SafeTensorError::MetadataIncompleteBuffer => {
            format!("truncated, or followed by other data: its {found} bytes are not what its header lists ({error})")
        }
        _ => format!("not a valid safetensors file: {error}"),
    }
}

impl TensorFile {
    /// A required tensor.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file, the tensor and the tensors found.
    pub fn tensor(&self, name: &str) -> Result<&TensorData> {
        self.tensors.get(name).ok_or_else(|| {
            let mut found: Vec<&str> = self.tensors.keys().map(String::as_str).collect();
            let more = found.len().saturating_sub(12);
            found.truncate(12);
            let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
            Error::file(&self.path, format!("tensor '{name}' is missing; found {}{tail}", found.join(", ")))
        })
    }

    /// A required floating-point tensor (F32 or F64) of this shape.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file, the tensor, the shape or type found and the one required.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<&[f64]> {
        self.typed(name, Some(shape), &["F32", "F64"]).map(|tensor| tensor.values.as_slice())
    }

    /// A required F32 tensor of this shape.
    ///
    /// # Errors
    /// As [`TensorFile::values`].
    pub fn f32_values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        // Exact: every value was widened from an f32.
        self.typed(name, Some(shape), &["F32"]).map(|tensor| tensor.values.iter().map(|v| *v as f32).collect())
    }

    /// An F32 tensor of any shape, with its shape.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file, the tensor and the type found.
    pub fn f32_any(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let tensor = self.typed(name, None, &["F32"])?;
        Ok((tensor.shape.clone(), tensor.values.iter().map(|v| *v as f32).collect()))
    }

    fn typed(&self, name: &str, shape: Option<&[usize]>, allowed: &[&str]) -> Result<&TensorData> {
        let tensor = self.tensor(name)?;
        if !allowed.contains(&tensor.dtype.as_str()) {
            let what = format!("tensor '{name}' has type {}; allowed: {}", tensor.dtype, allowed.join(", "));
            return Err(Error::file(&self.path, what));
        }
        match shape {
            Some(shape) if shape != tensor.shape => {
                let what = format!("tensor '{name}' has shape {:?}; expected {shape:?}", tensor.shape);
                Err(Error::file(&self.path, what))
            }
            _ => Ok(tensor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (NamedTensors, BTreeMap<String, String>) {
        let tensors = BTreeMap::from([
            ("main.1.weight".to_string(), (vec![2], vec![f32::MIN_POSITIVE, -0.0])),
            ("main.0.weight".to_string(), (vec![1, 2, 3], vec![1.0, -2.5, 3.0, 0.1, f32::NAN, f32::INFINITY])),
            ("scalar".to_string(), (vec![], vec![7.0])),
        ]);
        let metadata = (0..20).map(|i| (format!("key \"{i}\""), format!("value\n{i}"))).collect();
        (tensors, metadata)
    }

    /// A file with one tensor of any type, written by the crate's own writer.
    fn foreign(dtype: Dtype, shape: Vec<usize>, data: &[u8]) -> Vec<u8> {
        let view = safetensors::tensor::TensorView::new(dtype, shape, data).unwrap();
        safetensors::serialize([("t", view)], None).unwrap()
    }

    fn refusal(bytes: &[u8]) -> String {
        let error = decode(bytes, Path::new("some/case.safetensors")).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.starts_with("some/case.safetensors: "), "{text}");
        text
    }

    #[test]
    fn files_round_trip() {
        let (tensors, metadata) = example();
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("g.safetensors");
        std::fs::write(&path, encode(&tensors, &metadata).unwrap()).unwrap();
        let file = load(&path).unwrap();
        assert_eq!(file.metadata, metadata);
        assert_eq!(file.tensors.len(), 3);
        for (name, (shape, values)) in &tensors {
            let back = file.f32_values(name, shape).unwrap();
            let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&back), bits(values), "{name}");
            assert_eq!(file.tensors[name].dtype, "F32");
        }
        assert_eq!(file.f32_any("scalar").unwrap(), (vec![], vec![7.0]));
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let (tensors, metadata) = example();
        let bytes = encode(&tensors, &metadata).unwrap();
        for _ in 0..8 {
            let (tensors, metadata) = example();
            assert_eq!(encode(&tensors, &metadata).unwrap(), bytes);
        }
        let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        assert_eq!(header % 8, 0, "tensor data is aligned for readers that map the file");
        let text = std::str::from_utf8(&bytes[8..8 + header]).unwrap();
        assert!(text.find("main.0").unwrap() < text.find("main.1").unwrap());
        assert_eq!(bytes.len(), 8 + header + 4 * 9);
        assert_eq!(bytes[8 + header..][..4], 1.0f32.to_le_bytes());
    }

    #[test]
    fn files_without_metadata_or_tensors_work() {
        let bytes = encode(&BTreeMap::new(), &BTreeMap::new()).unwrap();
        let file = decode(&bytes, Path::new("x")).unwrap();
        assert!(file.tensors.is_empty() && file.metadata.is_empty());
    }

    #[test]
    fn a_shape_that_does_not_fit_is_a_program_error() {
        let tensors = BTreeMap::from([("w".to_string(), (vec![2, 2], vec![0.0; 3]))]);
        assert!(matches!(encode(&tensors, &BTreeMap::new()), Err(Error::Internal(_))));
    }

    #[test]
    fn doubles_and_counters_are_read_too() {
        let doubles: Vec<u8> = [0.1f64, -1e300].iter().flat_map(|v| v.to_le_bytes()).collect();
        let file = decode(&foreign(Dtype::F64, vec![2], &doubles), Path::new("x")).unwrap();
        assert_eq!(file.values("t", &[2]).unwrap(), [0.1, -1e300]);
        assert_eq!(file.tensors["t"].dtype, "F64");
        let error = file.f32_values("t", &[2]).unwrap_err().to_string();
        assert!(error.contains("'t'") && error.contains("F64") && error.contains("F32"), "{error}");
        let file = decode(&foreign(Dtype::I64, vec![], &41i64.to_le_bytes()), Path::new("x")).unwrap();
        assert_eq!(file.tensor("t").unwrap().values, [41.0]);
        assert!(file.values("t", &[]).is_err(), "a counter is not a weight");
    }

    #[test]
    fn other_types_are_refused_by_name() {
        let text = refusal(&foreign(Dtype::BF16, vec![2], &[0; 4]));
        assert!(text.contains("'t'") && text.contains("BF16") && text.contains("F32"), "{text}");
    }

    #[test]
    fn every_truncation_is_refused() {
        let (tensors, metadata) = example();
        let bytes = encode(&tensors, &metadata).unwrap();
        for length in 0..bytes.len() {
            let text = refusal(&bytes[..length]);
            assert!(text.contains("truncated"), "{length} bytes: {text}");
        }
        let longer = [bytes.as_slice(), &[0; 4]].concat();
        assert!(refusal(&longer).contains("followed by other data"));
    }

    #[test]
    fn other_files_are_refused() {
        assert!(refusal(b"\x89PNG\r\n\x1a\n and so on").contains("not a safetensors file"));
        let header = b"{\"t\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}  ";
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend([0; 8]);
        assert!(refusal(&bytes).contains("not a valid safetensors file"));
        let error = load(Path::new("no/such/file.safetensors")).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("no/such/file.safetensors"), "{error}");
    }

    #[test]
    fn missing_tensors_and_wrong_shapes_are_named() {
        let (tensors, metadata) = example();
        let file = decode(&encode(&tensors, &metadata).unwrap(), Path::new("gen.safetensors")).unwrap();
        let missing = file.tensor("main.9.weight").unwrap_err();
        assert_eq!(missing.exit_code(), 2);
        let text = missing.to_string();
        assert!(
            text.contains("gen.safetensors") && text.contains("main.9.weight") && text.contains("main.0"),
            "{text}"
        );
        let text = file.f32_values("main.0.weight", &[3, 2, 1]).unwrap_err().to_string();
        assert!(text.contains("main.0.weight") && text.contains("[1, 2, 3]") && text.contains("[3, 2, 1]"), "{text}");
    }
}
