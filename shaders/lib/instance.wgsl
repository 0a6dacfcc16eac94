// Shared by the kernels of instance norm: images of `rows` pixels and c channels; strides are client strides.

struct Params {
    clients: u32,
    n: u32,
    rows: u32,
    c: u32,
    x_stride: u32,
    stat_stride: u32,
    param_stride: u32,
    moment_stride: u32,
    places: u32, // sums of each image and channel in `moments`
    place: u32, // the first of the two sums that the launch writes or reads
    eps: f32,
    accumulate: u32,
}
