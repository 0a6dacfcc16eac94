// Shared by the convolutions: a "large" side [n][h][w][ci], a "small" side [n][oh][ow][co], weights [co][k][k][ci].

struct Params {
    clients: u32, n: u32,
    h: u32, w: u32, ci: u32,
    oh: u32, ow: u32, co: u32,
    k: u32, stride: u32, pad: u32,
    large_stride: u32, weight_stride: u32, small_stride: u32,
    splits: u32, accumulate: u32,
}
