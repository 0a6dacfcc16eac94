// Sums over the coordinates of a slice for 4 x 4 pairs of clients, one matrix entry per pair: column i, row j holds the pair of
// client i of the tile's first four and client j of its second four. Lane l takes coordinates l, l + 64, ... of the slice, then a
// tree adds the lanes: the order depends on nothing but the numbers of clients and coordinates.
//
// A shader that includes this file declares the parameters `p` with `clients`, `n` and `x_stride`, and the output `y`,
// [slices][clients][clients].

const THREADS: u32 = 64;
const LX: u32 = 1;
// Coordinates of a slice.
const SLICE: u32 = 4096;
// Clients of a tile's side.
const SIDE: u32 = 4;
alias T = mat4x4<f32>;

//#include lib/tree.wgsl
//#include lib/pair_sides.wgsl

// Offsets in x of the four clients from `first`; beyond the last client that one is read again, and nothing is written.
fn offsets(first: u32) -> vec4<u32> {
    return min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.clients - 1u)) * p.x_stride;
}

// Adds the lanes and writes both (i, j) and (j, i).
fn write_tile(slice: u32, side: vec2<u32>, lane: u32, sums: T) {
    add_lanes(lane, sums);
    let i = side.x + lane / 4u;
    let j = side.y + lane % 4u;
    if lane < 16u && i <= j && j < p.clients {
        let sum = part[0][lane / 4u][lane % 4u];
        y[(slice * p.clients + i) * p.clients + j] = sum;
        y[(slice * p.clients + j) * p.clients + i] = sum;
    }
}
