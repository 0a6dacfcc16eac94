// The direction of a client's update in one coordinate, by the bits of the numbers: drivers may flush differences of subnormal
// numbers to 0, and may assume that arithmetic never sees NaN.

//#include lib/bits.wgsl

// -1, 0 or 1 from `origin` to `to`.
fn direction(origin: f32, to: f32) -> i32 {
    return i32(place(to) > place(origin)) - i32(place(to) < place(origin));
}
