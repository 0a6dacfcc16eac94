// The order of numbers by their bits: drivers may flush subnormal numbers to 0, and may assume that there is no NaN.

// Compares as |v| does, NaN above infinity.
fn magnitude(v: f32) -> u32 {
    return bitcast<u32>(v) & 0x7fffffffu;
}

// Compares as v does; both zeros are 0.
fn place(v: f32) -> i32 {
    let size = i32(magnitude(v));
    return select(size, -size, bitcast<i32>(v) < 0);
}
