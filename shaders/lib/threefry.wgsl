// Threefry-4x32 with 20 rounds (Salmon et al., SC 2011): only additions, rotations and xor, so bit-equal on every device.

fn threefry_rotate(x: u32, bits: u32) -> u32 {
    return (x << bits) | (x >> (32u - bits));
}

// One round mixes words (0, 1) and (2, 3). Words 1 and 3 are returned exchanged: odd rounds pair (0, 3) and (2, 1), and an
// even number of rounds restores the order.
fn threefry_round(x: vec4<u32>, left: u32, right: u32) -> vec4<u32> {
    let sum = x.xz + x.yw;
    let mixed = vec2<u32>(threefry_rotate(x.y, left), threefry_rotate(x.w, right)) ^ sum;
    return vec4<u32>(sum.x, mixed.y, sum.y, mixed.x);
}

fn threefry_first(x: vec4<u32>) -> vec4<u32> {
    return threefry_round(threefry_round(threefry_round(threefry_round(x, 10u, 26u), 11u, 21u), 13u, 27u), 23u, 5u);
}

fn threefry_second(x: vec4<u32>) -> vec4<u32> {
    return threefry_round(threefry_round(threefry_round(threefry_round(x, 6u, 20u), 17u, 11u), 25u, 10u), 18u, 20u);
}

// The four words of block `counter` under `key`. Every four rounds the next rotation of the five key words is added.
fn threefry(key: vec4<u32>, counter: vec4<u32>) -> vec4<u32> {
    let parity = 0x1BD11BDAu ^ key.x ^ key.y ^ key.z ^ key.w;
    var x = threefry_first(counter + key);
    x = threefry_second(x + vec4<u32>(key.y, key.z, key.w, parity + 1u));
    x = threefry_first(x + vec4<u32>(key.z, key.w, parity, key.x + 2u));
    x = threefry_second(x + vec4<u32>(key.w, parity, key.x, key.y + 3u));
    x = threefry_first(x + vec4<u32>(parity, key.x, key.y, key.z + 4u));
    return x + vec4<u32>(key.x, key.y, key.z, key.w + 5u);
}
