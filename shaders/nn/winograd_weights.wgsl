// winograd_weights: y[i,j; p,q; ci,co] = sum(a in taps(i), b in taps(j)) w[co, 2a+p, 2b+q, ci], taps = (0), (0,1), (1)
//
// w      [clients][co][4][4][ci]
// y      [clients][9][co/16][4][ci][16] for the convolution; [clients][9][4][ci/16][co][16], taps in reverse order, for the transposed
//        one. So the products of either form read 16 neighbouring channels of their result at a time.
// grid   x: words of a component / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation writes one word of each of the nine components

struct Params {
    clients: u32,
    ci: u32,
    co: u32,
    w_stride: u32,
    y_stride: u32,
    transposed: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let plane = 4u * p.ci * p.co;
    for (var i = id.x; i < plane; i += groups.x * 256u) {
        let lane = i % 16u;
        let row = i / 16u;
        // Row of the panel: phase and ci, or co.
        var phase = row / p.ci % 4u;
        var c = row % p.ci;
        var o = row / (4u * p.ci) * 16u + lane;
        if p.transposed == 1u {
            let panels = p.ci / 16u;
            phase = row / p.co / panels;
            c = row / p.co % panels * 16u + lane;
            o = row % p.co;
        }
        // Taps (0, 0), (0, 1), (1, 0), (1, 1) of the phase; reversed, the last comes first.
        let first = id.z * p.w_stride + ((o * 4u + phase / 2u) * 4u + phase % 2u) * p.ci + c;
        let column = 2u * p.ci;
        let down = 8u * p.ci;
        var t = vec4<f32>(w[first], w[first + column], w[first + down], w[first + down + column]);
        if p.transposed == 1u {
            t = t.wzyx;
        }
        let left = t.x + t.z;
        let right = t.y + t.w;
        let to = id.z * p.y_stride + i;
        y[to] = t.x;
        y[to + plane] = t.x + t.y;
        y[to + 2u * plane] = t.y;
        y[to + 3u * plane] = left;
        y[to + 4u * plane] = left + right;
        y[to + 5u * plane] = right;
        y[to + 6u * plane] = t.z;
        y[to + 7u * plane] = t.z + t.w;
        y[to + 8u * plane] = t.w;
    }
}
