// c = a b by tiles: a workgroup computes TILE x TILE elements of c and keeps the tiles of a and b that it needs in workgroup memory.
override TILE: u32 = 8u;
struct Params { m: u32, n: u32, k: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

var<workgroup> tile_a: array<f32, TILE * TILE>;
var<workgroup> tile_b: array<f32, TILE * TILE>;

@compute @workgroup_size(TILE, TILE)
fn main(
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let row = group.y * TILE + local.y;
    let column = group.x * TILE + local.x;
    let place = local.y * TILE + local.x;
    var sum = 0.0;
    for (var start = 0u; start < p.k; start += TILE) {
        // What lies outside the matrices counts as 0.
        let i = start + local.x;
        let j = start + local.y;
        tile_a[place] = 0.0;
        if (row < p.m && i < p.k) {
            tile_a[place] = a[row * p.k + i];
        }
        tile_b[place] = 0.0;
        if (j < p.k && column < p.n) {
            tile_b[place] = b[j * p.n + column];
        }
        workgroupBarrier();
        for (var t = 0u; t < TILE; t++) {
            sum += tile_a[local.y * TILE + t] * tile_b[t * TILE + local.x];
        }
        workgroupBarrier();
    }
    if (row < p.m && column < p.n) {
        c[row * p.n + column] = sum;
    }
}
