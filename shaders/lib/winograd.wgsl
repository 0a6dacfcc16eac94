// Shared by the convolutions in Winograd's form (kernel 4, stride 2, padding 1): a "large" side [n][h][w][ci], a "small" side
// [n][h/2][w/2][co]. A tile is 2 x 2 pixels of the small side, or of one phase of the large side: 9 products, its components.

struct Params {
    clients: u32, n: u32,
    h: u32, w: u32, ci: u32, co: u32,
    large_stride: u32, weight_stride: u32, small_stride: u32,
    accumulate: u32,
}

// Four neighbouring channels.
alias V = vec4<f32>;
// 2 x 2 and 3 x 3 values, row by row.
alias Four = array<V, 4>;
alias Nine = array<V, 9>;

// Components of a 3 x 3 window: (x0 - x1, x1, x2 - x1) along both axes.
fn window(x: Nine) -> Nine {
    let r = Nine(x[0] - x[3], x[1] - x[4], x[2] - x[5], x[3], x[4], x[5], x[6] - x[3], x[7] - x[4], x[8] - x[5]);
    return Nine(r[0] - r[1], r[1], r[2] - r[1], r[3] - r[4], r[4], r[5] - r[4], r[6] - r[7], r[7], r[8] - r[7]);
}

// The 2 x 2 results of nine products: (m0 + m1, m1 + m2) along both axes.
fn results(m: Nine) -> Four {
    let above = array<V, 3>(m[0] + m[3], m[1] + m[4], m[2] + m[5]);
    let below = array<V, 3>(m[3] + m[6], m[4] + m[7], m[5] + m[8]);
    return Four(above[0] + above[1], above[1] + above[2], below[0] + below[1], below[1] + below[2]);
}
