//! Networks in safetensors files, as `fedgan sample` and `fedgan eval` read them.

use super::{ORIGIN, Target};
use fedgan::Result;
use fedgan::model::{Architecture, NamedTensors, export, import, infer_generator};
use fedgan::report::safetensors;
use std::collections::BTreeMap;
use std::path::Path;

const WORDS: &[&str] = &[
    "\"dtype\":",
    "\"shape\":",
    "\"data_offsets\":",
    "\"__metadata__\":",
    "\"F32\"",
    "\"F64\"",
    "\"I64\"",
    "\"F16\"",
    "\"F4\"",
    "\"BOOL\"",
    "[0,0]",
    "[0,4]",
    "[1,1,4,4]",
    "[2,32768,4,4]",
    "\"main.0.weight\":",
    "\"main.3.weight\":",
    "main.1.running_mean",
    "num_batches_tracked",
    "latents",
    ",",
    "\":{",
    "}}",
];

pub(super) const TARGETS: &[Target] =
    &[Target { name: "safetensors", seeds, words: WORDS, most: 8192, repair: Some(header_length), run }];

/// Sets the header's length to the end of its JSON.
pub(super) fn header_length(input: &mut [u8]) {
    // Data rarely starts with a brace.
    let Some(end) = input.windows(2).rposition(|w| w == b"}}").map(|i| i + 2).filter(|end| *end > 8) else { return };
    let spaces = input[end..].iter().take_while(|b| **b == b' ').count();
    let length = (end + spaces - 8) as u64;
    input[..8].copy_from_slice(&length.to_le_bytes());
}

fn seeds() -> Result<Vec<Vec<u8>>> {
    let net = Architecture { image_size: 16, channels: 1, width: 1, latent: 2 }.generator();
    let row = |n: usize| (0..n).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
    let network = export(&net, &row(net.stride), &row(net.running_stride));
    let few =
        NamedTensors::from([("latents".to_string(), (vec![2, 2, 1, 1], row(4))), ("s".to_string(), (vec![], row(1)))]);
    let metadata = BTreeMap::from([("key".to_string(), "value".to_string())]);
    Ok(vec![
        safetensors::encode(&network, &BTreeMap::new())?,
        safetensors::encode(&few, &metadata)?,
        safetensors::encode(&NamedTensors::new(), &metadata)?,
    ])
}

fn run(input: &[u8]) -> Result<()> {
    let file = safetensors::decode(input, Path::new(ORIGIN))?;
    let tensors = file.tensors.keys().filter(|name| !name.ends_with("num_batches_tracked"));
    let tensors: NamedTensors = tensors.map(|name| Ok((name.clone(), file.f32_any(name)?))).collect::<Result<_>>()?;
    if tensors.keys().any(|name| name.starts_with("main.")) {
        let architecture = infer_generator(&tensors, ORIGIN)?;
        import(&architecture.generator(), &tensors, ORIGIN)?;
    }
    Ok(())
}
