//! Removes array strides that SPIR-V does not allow.
//!
//! naga 30 gives every array type an `ArrayStride`, including those in workgroup memory and local variables. Vulkan
//! allows it only in memory with a layout (VUID-StandaloneSpirv-None-10684); drivers ignore it, and `spirv-val` has
//! reported it since 2025. All programs on wgpu are affected, and a shader cannot avoid it, so the validator gets
//! modules without these strides: otherwise it would stop there and report nothing else.

use std::collections::{BTreeMap, BTreeSet};

const HEADER: usize = 5;
const TYPE_ARRAY: u32 = 28;
const TYPE_RUNTIME_ARRAY: u32 = 29;
const TYPE_STRUCT: u32 = 30;
const TYPE_POINTER: u32 = 32;
const DECORATE: u32 = 71;
const ARRAY_STRIDE: u32 = 6;
/// Memory with a layout: uniforms, push constants and storage buffers.
const LAID_OUT: [u32; 3] = [2, 9, 12];

/// The instructions after the header, each with its operation; stops at one with a wrong length.
fn instructions(words: &[u32]) -> impl Iterator<Item = (u32, &[u32])> {
    let mut rest = words.get(HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let (now, later) = rest.split_at_checked((first >> 16) as usize).filter(|(now, _)| !now.is_empty())?;
        rest = later;
        Some((first & 0xffff, now))
    })
}

/// `module` (little-endian words) without the strides of arrays that no pointer into laid-out memory reaches.
pub(super) fn only_where_allowed(module: &[u8]) -> Vec<u8> {
    let words: Vec<u32> = module.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let mut parts: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut open = Vec::new();
    for (operation, now) in instructions(&words) {
        match (operation, now) {
            (TYPE_ARRAY | TYPE_RUNTIME_ARRAY, [_, id, element, ..]) => drop(parts.insert(*id, vec![*element])),
            (TYPE_STRUCT, [_, id, members @ ..]) => drop(parts.insert(*id, members.to_vec())),
            (TYPE_POINTER, [_, _, storage, pointee]) if LAID_OUT.contains(storage) => open.push(*pointee),
            _ => {}
        }
    }
    let mut laid_out = BTreeSet::new();
    while let Some(id) = open.pop() {
        if laid_out.insert(id) {
            open.extend(parts.get(&id).into_iter().flatten());
        }
    }
    let stray = |now: &[u32]| matches!(now, [_, id, ARRAY_STRIDE, ..] if !laid_out.contains(id));
    let kept = instructions(&words).filter(|(operation, now)| *operation != DECORATE || !stray(now));
    let body = kept.flat_map(|(_, now)| now.iter());
    words.iter().take(HEADER).chain(body).flat_map(|w| w.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reflect::Shader;
    use crate::kernels::shader::Assembled;
    use crate::kernels::writers::Language;
    use crate::kernels::writers::WriterConfig;

    fn strides(module: &[u8]) -> usize {
        let words: Vec<u32> = module.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
        instructions(&words).filter(|(op, now)| *op == DECORATE && now[2] == ARRAY_STRIDE).count()
    }

    #[test]
    fn only_strides_of_workgroup_memory_are_removed() {
        let buffer = "@group(0) @binding(0) var<storage, read_write> y: array<u32>;
            @compute @workgroup_size(1) fn main() { y[0] = 1u; }";
        let tile = "@group(0) @binding(0) var<storage, read_write> y: array<u32>;
            var<workgroup> t: array<u32, 64>;
            @compute @workgroup_size(1) fn main() { t[y[1] & 63u] = 1u; y[0] = t[3]; }";
        let write = |text: &str| {
            Shader::parse(&Assembled::plain("test", text)).unwrap().write(WriterConfig::shown(Language::Spirv)).unwrap()
        };
        let (plain, tiled) = (write(buffer), write(tile));
        assert_eq!(only_where_allowed(&plain), plain);
        let (before, after) = (strides(&tiled), strides(&only_where_allowed(&tiled)));
        assert_eq!((before, after), (2, 1));
        assert_eq!(only_where_allowed(&tiled).len(), tiled.len() - 16, "one decoration of four words");
        // For an invalid module the readable part is returned.
        assert_eq!(only_where_allowed(&tiled[..7]), tiled[..4]);
    }
}
