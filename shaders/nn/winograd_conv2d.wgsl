// winograd_conv2d: small = large conv w (4 x 4, stride 2, padding 1) of v = winograd_weights(w): 9 products per 2 x 2 pixels
//
// large  [clients][n][h][w][ci]     v [clients][9][co/16][4][ci][16]     small [clients][n][h/2][w/2][co]
// Phase (p, q) of the large side has the pixels (2 j + p - 1, 2 k + q - 1); a tile meets 3 x 3 of each phase.
// owner  one invocation: four neighbouring channels co of one tile
// grid   x: tiles / GROUP, y: co / 4, z: client

// Tiles of a workgroup.
const GROUP: u32 = 32;

//#include lib/winograd.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> large: array<V>;
@group(0) @binding(2) var<storage, read> v: array<V>;
@group(0) @binding(3) var<storage, read_write> small: array<V>;

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let across = p.w / 4u;
    let down = p.h / 4u;
    let tile = id.x;
    if tile >= p.n * down * across { return; }
    let cl = p.ci / 4u;
    let column = tile % across;
    let row = tile / across % down;
    let image = tile / (across * down);
    // Words of four: a panel's row has four of them.
    let plane = p.ci * p.co * 4u / 4u;
    let panel = id.z * (p.weight_stride / 4u) + id.y / 4u * p.ci * 16u + id.y % 4u;
    let large_base = id.z * (p.large_stride / 4u);

    var m = Nine();
    for (var phase = 0u; phase < 4u; phase++) {
        // u32 wraps below zero, so one comparison tests both borders.
        let top = row * 4u + phase / 2u - 1u;
        let left = column * 4u + phase % 2u - 1u;
        var at: array<u32, 9>;
        var inside: array<bool, 9>;
        //#unroll
        for (var i = 0u; i < 9u; i++) {
            let y = top + i / 3u * 2u;
            let x = left + i % 3u * 2u;
            inside[i] = y < p.h && x < p.w;
            at[i] = select(0u, ((image * p.h + y) * p.w + x) * cl, inside[i]) + large_base;
        }
        for (var c = 0u; c < cl; c++) {
            var x: Nine;
            //#unroll
            for (var i = 0u; i < 9u; i++) { x[i] = select(V(), large[at[i] + c], inside[i]); }
            let u = window(x);
            let first = panel + (phase * p.ci + c * 4u) * 4u;
            //#unroll
            for (var i = 0u; i < 9u; i++) {
                let rows = first + i * plane;
                m[i] += u[i].x * v[rows];
                m[i] += u[i].y * v[rows + 4u];
                m[i] += u[i].z * v[rows + 8u];
                m[i] += u[i].w * v[rows + 12u];
            }
        }
    }
    let y = results(m);
    let to = id.z * (p.small_stride / 4u) + ((image * down + row) * 2u * (2u * across) + column * 2u) * (p.co / 4u) + id.y;
    let next = 2u * across * (p.co / 4u);
    small[to] = y[0];
    small[to + p.co / 4u] = y[1];
    small[to + next] = y[2];
    small[to + next + p.co / 4u] = y[3];
}
