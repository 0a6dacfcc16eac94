// bce_with_logits: loss[slot] = mean(max(x,0) - x t + log(1 + exp(-|x|))), dx = (sigmoid(x) - t) / n, t = label
//
// x      [clients][n], client stride x_stride
// dx     [clients][n], client stride dx_stride
// loss   [clients][more than slot], client stride loss_stride; only element `slot` of each client is written
// grid   z: client
// owner  one workgroup per client; a lane takes elements lane, lane + 256, ..., a fixed-order tree adds the sums
// why    no step cancels: max(x,0) - x t is |x| times (1 - t or t), sigmoid(x) - t is (1 - t) - q or q - t with
//        q = e / (1 + e), and log(1 + e) is 2 atanh(e / (2 + e)): WGSL's log is off by 2^-21 near 1

//#include lib/scalar_tree.wgsl

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    dx_stride: u32,
    loss_stride: u32,
    slot: u32,
    label: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;

// log(1 + e) for e in 0..=1: w = e / (2 + e) is at most 1/3, so w^17 / 17 and the later terms are below 2^-29 of the sum
fn log_one_plus(e: f32) -> f32 {
    let w = e / (2.0 + e);
    let z = w * w;
    var series = 1.0 / 15.0;
    series = series * z + 1.0 / 13.0;
    series = series * z + 1.0 / 11.0;
    series = series * z + 1.0 / 9.0;
    series = series * z + 1.0 / 7.0;
    series = series * z + 1.0 / 5.0;
    series = series * z + 1.0 / 3.0;
    return 2.0 * (w + w * (series * z));
}

// y, but NaN where v is NaN: by its bits, because drivers may assume that arithmetic never sees NaN, and min, max and select
// drop it
fn kept(v: f32, y: f32) -> f32 {
    return select(y, v, (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = f32(p.n);
    var sum = 0.0;
    for (var i = lane; i < p.n; i += THREADS) {
        let v = x[tile.z * p.x_stride + i];
        let above = v > 0.0;
        let weight = select(p.label, 1.0 - p.label, above);
        let e = exp(-min(abs(v), 87.0));
        let q = e / (1.0 + e);
        sum += kept(v, abs(v) * weight + log_one_plus(e));
        dx[tile.z * p.dx_stride + i] = kept(v, select(q - weight, weight - q, above) / n);
    }
    add_lanes(lane, sum);
    if lane == 0u {
        loss[tile.z * p.loss_stride + p.slot] = part[0] / n;
    }
}
