// The direction of a client's update in one coordinate, by the bits of the numbers: drivers may flush differences of subnormal
// numbers to 0, and may assume that arithmetic never sees NaN.

// Compares as |v| does, NaN above infinity.
fn magnitude(v: f32) -> u32 {
    return bitcast<u32>(v) & 0x7fffffffu;
}

// Compares as v does; both zeros are 0.
fn place(v: f32) -> i32 {
    let size = i32(magnitude(v));
    return select(size, -size, bitcast<i32>(v) < 0);
}

// -1, 0 or 1 from `origin` to `to`.
fn direction(origin: f32, to: f32) -> i32 {
    return i32(place(to) > place(origin)) - i32(place(to) < place(origin));
}
