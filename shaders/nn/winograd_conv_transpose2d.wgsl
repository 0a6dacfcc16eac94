// winograd_conv_transpose2d: large = small conv-transposed w (4 x 4, stride 2, padding 1) of v = winograd_weights(w, transposed): 9
//                            products per 2 x 2 pixels of each phase
//
// small  [clients][n][h/2][w/2][co]     v [clients][9][4][ci/16][co][16]     large [clients][n][h][w][ci]
// Phase (p, q) of the large side has the pixels (2 j + p - 1, 2 k + q - 1). A tile's 2 x 2 of them, from (4 ty + 1 - p, 4 tx + 1 - q)
// on, meet 3 x 3 pixels of the small side, from (2 ty - p, 2 tx - q) on.
// owner  one invocation: four neighbouring channels ci of one phase of one tile
// grid   x: tiles / GROUP, y: ci / 4, z: client * 4 + phase

// Tiles of a workgroup.
const GROUP: u32 = 32;

//#include lib/winograd.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> small: array<V>;
@group(0) @binding(2) var<storage, read> v: array<V>;
@group(0) @binding(3) var<storage, read_write> large: array<V>;

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let across = p.w / 4u;
    let down = p.h / 4u;
    let tile = id.x;
    if tile >= p.n * down * across { return; }
    let client = id.z / 4u;
    let phase = id.z % 4u;
    let kl = p.co / 4u;
    let oh = p.h / 2u;
    let ow = p.w / 2u;
    let column = tile % across;
    let row = tile / across % down;
    let image = tile / (across * down);
    // Words of four: a panel's row has four of them.
    let plane = p.ci * p.co * 4u / 4u;
    let panel = client * (p.weight_stride / 4u) + (phase * (p.ci / 16u) + id.y / 4u) * p.co * 4u + id.y % 4u;
    let small_base = client * (p.small_stride / 4u);

    // u32 wraps below zero, so one comparison tests both borders.
    let top = row * 2u - phase / 2u;
    let left = column * 2u - phase % 2u;
    var at: array<u32, 9>;
    var inside: array<bool, 9>;
    //#unroll
    for (var i = 0u; i < 9u; i++) {
        let y = top + i / 3u;
        let x = left + i % 3u;
        inside[i] = y < oh && x < ow;
        at[i] = select(0u, ((image * oh + y) * ow + x) * kl, inside[i]) + small_base;
    }
    var m = Nine();
    for (var c = 0u; c < kl; c++) {
        var x: Nine;
        //#unroll
        for (var i = 0u; i < 9u; i++) { x[i] = select(V(), small[at[i] + c], inside[i]); }
        let u = window(x);
        let first = panel + c * 16u;
        //#unroll
        for (var i = 0u; i < 9u; i++) {
            let rows = first + i * plane;
            m[i] += u[i].x * v[rows];
            m[i] += u[i].y * v[rows + 4u];
            m[i] += u[i].z * v[rows + 8u];
            m[i] += u[i].w * v[rows + 12u];
        }
    }
    let y = results(m);
    let ml = p.ci / 4u;
    let first = (image * p.h + row * 4u + 1u - phase / 2u) * p.w + column * 4u + 1u - phase % 2u;
    let to = client * (p.large_stride / 4u) + first * ml + id.y;
    large[to] = y[0];
    large[to + 2u * ml] = y[1];
    large[to + 2u * p.w * ml] = y[2];
    large[to + 2u * (p.w + 1u) * ml] = y[3];
}
