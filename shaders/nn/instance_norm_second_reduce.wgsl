// instance_norm_second_reduce: moments[4] = sum (u - avg u) (t - avg t) over each image's pixels
//
// u, t     [clients][n][rows][c], client stride x_stride: the delta and the tangent of one place in the network
// moments  [clients][n][5][c], client stride moment_stride; reads the sums of t in 0 and of u in 2, writes 4 only
// grid   x: 8 channels per workgroup, y: image, z: client
// owner  LX lanes along the channels times 256 / LX lanes along the image's pixels; fixed-order trees
//        add their sums
// why    centred before the product: sum u t - sum u sum t / rows would cancel

//#include lib/channel_tree.wgsl
//#include lib/instance.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> u: array<E>;
@group(0) @binding(2) var<storage, read> t: array<E>;
@group(0) @binding(3) var<storage, read_write> moments: array<E>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let vectors = p.c / V;
    let channel = tile.x * LX + lane % LX;
    let base = tile.z * p.x_stride / V + tile.y * p.rows * vectors + channel;
    let moment = tile.z * p.moment_stride / V + tile.y * p.places * vectors + channel;
    let n = f32(p.rows);
    var sum = E(0.0);
    if channel < vectors {
        let avg_t = moments[moment] / n;
        let avg_u = moments[moment + 2u * vectors] / n;
        for (var row = lane / LX; row < p.rows; row += LR) {
            let at = base + row * vectors;
            sum += (u[at] - avg_u) * (t[at] - avg_t);
        }
    }
    add_lanes(lane, sum);
    if lane < LX && channel < vectors {
        moments[moment + 4u * vectors] = part[lane];
    }
}
