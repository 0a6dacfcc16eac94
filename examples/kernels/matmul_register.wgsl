// c = a b, 4 x 4 elements of c for each invocation, straight from storage: each number that is loaded serves four multiply-adds.
const LANES = 4u;
struct Params { m: u32, n: u32, k: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = LANES * id.y;
    let column = LANES * id.x;
    if (row >= p.m || column >= p.n) {
        return;
    }
    // Rows and columns behind the end repeat the last one and are not stored.
    let rows = min(vec4<u32>(row) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.m - 1u)) * p.k;
    let columns = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.n - 1u));
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    for (var i = 0u; i < p.k; i++) {
        let at = vec4<u32>(i * p.n) + columns;
        let y = vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
        s0 += a[rows.x + i] * y;
        s1 += a[rows.y + i] * y;
        s2 += a[rows.z + i] * y;
        s3 += a[rows.w + i] * y;
    }
    store(row, column, s0);
    store(row + 1u, column, s1);
    store(row + 2u, column, s2);
    store(row + 3u, column, s3);
}

fn store(row: u32, column: u32, sum: vec4<f32>) {
    if (row >= p.m) {
        return;
    }
    let at = row * p.n + column;
    c[at] = sum.x;
    if (column + 1u < p.n) {
        c[at + 1u] = sum.y;
    }
    if (column + 2u < p.n) {
        c[at + 2u] = sum.z;
    }
    if (column + 3u < p.n) {
        c[at + 3u] = sum.w;
    }
}
