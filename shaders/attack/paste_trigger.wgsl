// paste_trigger: x = (1 - a) x + a t inside the trigger's window of every poisoned image, in place
//
// x        [clients][batch][h][w][c], client stride x_stride
// trigger  [th][tw][c], in the images' range; its first pixel is placed at row top, column left
// order    [clients][steps * batch], client stride order_stride: bit 31 of entry step * batch + b poisons image b
// state    [4]: step in the round, round, steps in all, free
// grid     x: batch * th * tw * c / 256 workgroups (capped, the loop strides), z: client
// owner    one invocation blends one element of the window; opacity 1 copies the trigger bit for bit

//#include lib/poisoned.wgsl
//#include lib/pasted.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> trigger: array<f32>;
@group(0) @binding(3) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read> state: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let window = p.th * p.tw * p.c;
    for (var i = id.x; i < p.batch * window; i += groups.x * 256u) {
        let b = i / window;
        if poisoned(id.z, b) {
            paste(id.z, b, i % window);
        }
    }
}
