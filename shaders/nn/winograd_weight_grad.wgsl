// winograd_weight_grad: dw[co,ky,kx,ci] (+)= sum(n,oy,ox) large[n, 2 oy+ky-1, 2 ox+kx-1, ci] small[n,oy,ox,co]: 9 products per 2 x 2
//                       pixels
//
// large  [clients][n][h][w][ci]     small [clients][n][h/2][w/2][co]     dw [clients][co][4][4][ci]
// The components of all tiles are added up before their 2 x 2 results, the taps of one phase, are formed.
// owner  one invocation: four neighbouring channels ci of one phase x four neighbouring channels co; a workgroup has 16, of which
//        there are always a multiple
// grid   x: phases * ci / 4 / 16, y: co / 4, z: client

//#include lib/winograd.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> large: array<V>;
@group(0) @binding(2) var<storage, read> small: array<V>;
@group(0) @binding(3) var<storage, read_write> dw: array<V>;

// Components of 2 x 2 taps: (w0, w0 + w1, w1) along both axes.
fn taps(w: Four) -> Nine {
    let left = w[0] + w[2];
    let right = w[1] + w[3];
    return Nine(w[0], w[0] + w[1], w[1], left, left + right, right, w[2], w[2] + w[3], w[3]);
}

@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let nl = p.ci / 4u;
    let kl = p.co / 4u;
    let phase = id.x / nl;
    let channel = id.x % nl;
    let across = p.w / 4u;
    let down = p.h / 4u;
    let large_base = id.z * (p.large_stride / 4u) + channel;
    let small_base = id.z * (p.small_stride / 4u) + id.y;

    // Row r holds the components of channel co 4 id.y + r.
    var m = array<V, 36>();
    var row = 0u;
    var column = 0u;
    for (var tile = 0u; tile < p.n * down * across; tile++) {
        // Row of the image, of all images one below the other; u32 wraps below zero, so one comparison tests both borders.
        let top = row % down * 4u + phase / 2u - 1u;
        let left = column * 4u + phase % 2u - 1u;
        let image = row / down * p.h;
        var x: Nine;
        //#unroll
        for (var i = 0u; i < 9u; i++) {
            let y = top + i / 3u * 2u;
            let z = left + i % 3u * 2u;
            let inside = y < p.h && z < p.w;
            x[i] = select(V(), large[select(0u, ((image + y) * p.w + z) * nl, inside) + large_base], inside);
        }
        let u = window(x);
        let first = small_base + (row * 4u * across + column * 2u) * kl;
        let below = first + 2u * across * kl;
        let d = taps(Four(small[first], small[first + kl], small[below], small[below + kl]));
        //#unroll
        for (var i = 0u; i < 9u; i++) {
            m[i] += d[i].x * u[i];
            m[9u + i] += d[i].y * u[i];
            m[18u + i] += d[i].z * u[i];
            m[27u + i] += d[i].w * u[i];
        }
        column += 1u;
        if column == across { column = 0u; row += 1u; }
    }
    let out = id.z * (p.weight_stride / 4u) + (phase / 2u * 4u + phase % 2u) * nl + channel;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        var part: Nine;
        //#unroll
        for (var i = 0u; i < 9u; i++) { part[i] = m[r * 9u + i]; }
        let y = results(part);
        let to = out + (id.y * 4u + r) * 16u * nl;
        //#unroll
        for (var i = 0u; i < 4u; i++) {
            let at = to + (i / 2u * 8u + i % 2u * 2u) * nl;
            if p.accumulate == 1u {
                dw[at] += y[i];
            } else {
                dw[at] = y[i];
            }
        }
    }
}
