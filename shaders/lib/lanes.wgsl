// Shared by the shaders for software adapters whose subgroup is one vector register of 8 lanes.
//
// llvmpipe compiles a load from a storage buffer into a loop over the lanes that inserts each word into a vector through the
// stack, about 15 cycles a word whatever its width, while a multiply-add of a vector takes one. A value of a known lane
// costs one shuffle. So each lane loads words of its own, in units of 64 bits, and the others get them by broadcasts.

// Four adjacent words as they are loaded; vec4<u64> would be eight, but Mesa 22.3 loads it wrongly.
alias Pair = vec2<u64>;

// The four words as floats.
fn quad(words: Pair) -> vec4<f32> {
    let low = vec2<u32>(words);
    let high = vec2<u32>(words >> vec2<u32>(32u));
    return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}

// The value of each lane, on every lane; the lane of a broadcast must be a constant, which a loop's counter is not.
fn spread(v: vec4<f32>) -> array<vec4<f32>, 8> {
    return array<vec4<f32>, 8>(
        subgroupBroadcast(v, 0u), subgroupBroadcast(v, 1u), subgroupBroadcast(v, 2u), subgroupBroadcast(v, 3u),
        subgroupBroadcast(v, 4u), subgroupBroadcast(v, 5u), subgroupBroadcast(v, 6u), subgroupBroadcast(v, 7u),
    );
}
