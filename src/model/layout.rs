//! PyTorch names, shapes and layouts at the interfaces; NHWC and `[Co][k][k][Ci]` rows inside.

use super::{Architecture, Network};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Tensors by PyTorch name: shape and values in PyTorch's layout.
pub type NamedTensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Rearranges `[a][b][hw]` to `[a][hw][b]` (`to_last`) or back.
fn swap_middle(from: &[f32], a: usize, b: usize, hw: usize, to_last: bool) -> Vec<f32> {
    let mut out = vec![0.0; from.len()];
    for i in 0..a {
        for j in 0..b {
            for k in 0..hw {
                let (middle, last) = ((i * b + j) * hw + k, (i * hw + k) * b + j);
                if to_last { out[last] = from[middle] } else { out[middle] = from[last] }
            }
        }
    }
    out
}

/// `[n][c][h][w]` to `[n][h][w][c]`; also OIHW to `[O][k][k][I]` and IOHW to `[I][k][k][O]`.
pub fn nchw_to_nhwc(x: &[f32], n: usize, c: usize, hw: usize) -> Vec<f32> {
    swap_middle(x, n, c, hw, true)
}

/// `[n][h][w][c]` to `[n][c][h][w]`.
pub fn nhwc_to_nchw(x: &[f32], n: usize, c: usize, hw: usize) -> Vec<f32> {
    swap_middle(x, n, c, hw, false)
}

fn dims(shape: &[usize]) -> Option<(usize, usize, usize)> {
    (shape.len() == 4).then(|| (shape[0], shape[1], shape[2] * shape[3]))
}

/// One client's rows of weights and running statistics as named PyTorch tensors.
pub fn export(net: &Network, weights: &[f32], running: &[f32]) -> NamedTensors {
    let params = net.params.iter().map(|s| (s, weights));
    let specs = params.chain(net.running.iter().map(|s| (s, running)));
    specs
        .map(|(spec, row)| {
            let values = &row[spec.offset..spec.offset + spec.words()];
            let values = match dims(&spec.shape) {
                Some((a, b, hw)) => nhwc_to_nchw(values, a, b, hw),
                None => values.to_vec(),
            };
            (spec.name.clone(), (spec.shape.clone(), values))
        })
        .collect()
}

/// Rows of weights and running statistics from named PyTorch tensors. `num_batches_tracked` is ignored.
///
/// # Errors
/// Names `source` and the tensor that is missing, unknown or has a wrong shape.
pub fn import(net: &Network, tensors: &NamedTensors, source: &str) -> Result<(Vec<f32>, Vec<f32>)> {
    // All shapes first: a few sizes in a file can claim more memory than there is.
    for spec in net.params.iter().chain(&net.running) {
        let Some((shape, values)) = tensors.get(&spec.name) else {
            return Err(Error::input(format!("{source}: tensor `{}` of the {} is missing", spec.name, net.name)));
        };
        if *shape != spec.shape || values.len() != spec.words() {
            return Err(Error::input(format!(
                "{source}: tensor `{}` has shape {shape:?}, the {} needs {:?}",
                spec.name, net.name, spec.shape
            )));
        }
    }
    let mut rows = (vec![0.0; net.stride], vec![0.0; net.running_stride]);
    let params = net.params.iter().map(|s| (s, true));
    for (spec, trainable) in params.chain(net.running.iter().map(|s| (s, false))) {
        let Some((shape, values)) = tensors.get(&spec.name) else { continue };
        let values = match dims(shape) {
            Some((a, b, hw)) => nchw_to_nhwc(values, a, b, hw),
            None => values.clone(),
        };
        let row = if trainable { &mut rows.0 } else { &mut rows.1 };
        row[spec.offset..spec.offset + values.len()].copy_from_slice(&values);
    }
    let known = |name: &str| {
        name.ends_with("num_batches_tracked") || net.params.iter().chain(&net.running).any(|s| s.name == name)
    };
    match tensors.keys().find(|name| !known(name)) {
        Some(name) => Err(Error::input(format!("{source}: unknown tensor `{name}` for this {}", net.name))),
        None => Ok(rows),
    }
}

/// The sizes of a generator from its tensors' shapes: latent size and widest level from the first weight, one level for
/// each further 4x4 transposed convolution, channels from the last.
///
/// # Errors
/// Names `source` and the property that does not match a generator of this project.
pub fn infer_generator(tensors: &NamedTensors, source: &str) -> Result<Architecture> {
    let fail = |what: String| Error::input(format!("{source}: not a generator: {what}"));
    let mut convs: Vec<(usize, &Vec<usize>)> = tensors
        .iter()
        .filter(|(_, (shape, _))| shape.len() == 4)
        .filter_map(|(name, (shape, _))| {
            Some((name.strip_prefix("main.")?.strip_suffix(".weight")?.parse().ok()?, shape))
        })
        .collect();
    convs.sort();
    let (Some(first), Some(last)) = (convs.first(), convs.last()) else {
        return Err(fail("no 4-dimensional `main.N.weight`".into()));
    };
    let levels = convs.len() as u32 - 1;
    if !(2..=6).contains(&levels) {
        return Err(fail(format!("{} transposed convolutions, 3 to 7 are possible", convs.len())));
    }
    let widest = first.1[1] as u32;
    if !widest.is_multiple_of(1 << (levels - 1)) {
        return Err(fail(format!("`main.0.weight` gives {widest} channels, not a multiple of {}", 1 << (levels - 1))));
    }
    let arch = Architecture {
        image_size: 4 << levels,
        channels: last.1[1] as u32,
        width: widest >> (levels - 1),
        latent: first.1[0] as u32,
    };
    arch.check().map_err(|e| fail(e.to_string()))?;
    if !matches!(arch.channels, 1 | 3) {
        return Err(fail(format!("it makes images of {} channels, pictures have 1 or 3", arch.channels)));
    }
    Ok(arch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_and_import_are_inverse_and_sizes_are_inferred() {
        let arch = Architecture { image_size: 32, channels: 3, width: 4, latent: 10 };
        let net = arch.generator();
        let mut weights = vec![0.0f32; net.stride];
        let mut running = vec![0.0f32; net.running_stride];
        for (i, spec) in net.params.iter().enumerate() {
            for j in 0..spec.words() {
                weights[spec.offset + j] = (i * 10_000 + j) as f32;
            }
        }
        for spec in &net.running {
            running[spec.offset] = spec.offset as f32 + 1.0;
        }
        let named = export(&net, &weights, &running);
        assert_eq!(infer_generator(&named, "test").unwrap(), arch);
        assert_eq!(import(&net, &named, "test").unwrap(), (weights, running));
        let mut missing = named.clone();
        missing.remove("main.1.running_var");
        assert!(import(&net, &missing, "g.safetensors").unwrap_err().to_string().contains("main.1.running_var"));
    }
}
