// mix_amplitude: the change of the low frequencies of every poisoned image whose amplitudes move towards the trigger's, in place
//
// x          [clients][batch][2 rows][2 columns][c], client stride x_stride: products of the image with cos and sin of frequency k down
//            the rows (row 2 k and 2 k + 1) and of frequency l along the columns (column 2 l and 2 l + 1)
// amplitude  [rows][columns][2][c]: the trigger's amplitudes at the frequencies (k, l) and (-k, l)
// factors    [rows][columns]: the share of the trigger's amplitude, times the weight of the frequency in the inverse transform
// order      [clients][steps * batch], client stride order_stride: bit 31 of entry step * batch + b poisons image b
// state      [4]: step in the round, round, steps in all, free
// grid       x: batch * rows * columns * c / 256 workgroups (capped, the loop strides), z: client
// owner      one invocation changes the four products of one (k, l): the coefficients are (cc - ss) - i (sc + cs) at (k, l) and
//            (cc + ss) - i (cs - sc) at (-k, l); the phase of 0 is 0

//#include lib/poisoned.wgsl

struct Params {
    clients: u32,
    batch: u32,
    rows: u32,
    columns: u32,
    c: u32,
    order_stride: u32,
    x_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> amplitude: array<f32>;
@group(0) @binding(3) var<storage, read> factors: array<f32>;
@group(0) @binding(4) var<storage, read> order: array<u32>;
@group(0) @binding(5) var<storage, read> state: array<u32>;

// (goal - |v|) v / |v|
fn change(v: vec2<f32>, goal: f32) -> vec2<f32> {
    let size = sqrt(v.x * v.x + v.y * v.y);
    if size == 0.0 {
        return vec2<f32>(goal, 0.0);
    }
    return (goal - size) / size * v;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let image = p.rows * p.columns * p.c;
    let line = 2u * p.columns * p.c; // elements from a cosine's row to its sine's
    for (var i = id.x; i < p.batch * image; i += groups.x * 256u) {
        let b = i / image;
        if !poisoned(id.z, b) {
            continue;
        }
        let pair = i % image / p.c; // k * columns + l
        let channel = i % p.c;
        let k = pair / p.columns;
        let l = pair % p.columns;
        let cc = id.z * p.x_stride + b * 4u * image + 2u * k * line + 2u * l * p.c + channel;
        let cs = cc + p.c;
        let sc = cc + line;
        let ss = sc + p.c;
        let goal = 2u * pair * p.c + channel;
        let plus = factors[pair] * change(vec2<f32>(x[cc] - x[ss], x[sc] + x[cs]), amplitude[goal]);
        let minus = factors[pair] * change(vec2<f32>(x[cc] + x[ss], x[cs] - x[sc]), amplitude[goal + p.c]);
        x[cc] = plus.x + minus.x;
        x[ss] = minus.x - plus.x;
        x[sc] = plus.y - minus.y;
        x[cs] = plus.y + minus.y;
    }
}
