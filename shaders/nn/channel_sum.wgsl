// channel_sum: y[c] (+)= sum over rows of x[row, c]
//
// x      [clients][rows][c], client stride x_stride
// y      [clients][c], client stride y_stride; accumulate 1 adds to what is there
// grid   x: 8 channels a workgroup, z: client
// owner  LX lanes side by side along the channels, the other 256 / LX share the rows; a tree of fixed order joins them

const V: u32 = 4; // words a load: 4 where c is a multiple of 4, else 1
//#if V == 4
alias E = vec4<f32>;
//#else
//# alias E = f32;
//#endif
const LX: u32 = 2; // lanes along the channels, a power of two
const LR = 256u / LX; // lanes along the rows

struct Params {
    clients: u32,
    rows: u32,
    c: u32,
    x_stride: u32,
    y_stride: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read_write> y: array<E>;

var<workgroup> part: array<E, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let vectors = p.c / V;
    let channel = tile.x * LX + lane % LX;
    var sum = E(0.0);
    if channel < vectors {
        let base = tile.z * p.x_stride / V + channel;
        for (var row = lane / LX; row < p.rows; row += LR) {
            sum += x[base + row * vectors];
        }
    }
    part[lane] = sum;
    workgroupBarrier();
    for (var width = 128u; width >= LX; width /= 2u) {
        if lane < width {
            part[lane] += part[lane + width];
        }
        workgroupBarrier();
    }
    if lane < LX && channel < vectors {
        let to = tile.z * p.y_stride / V + channel;
        if p.accumulate == 1u {
            y[to] += part[lane];
        } else {
            y[to] = part[lane];
        }
    }
}
