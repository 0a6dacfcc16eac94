// step_advance: adds the step's losses of every active client to the statistics, then advances the step counter
//
// losses        [clients][>= 4], client stride loss_stride: three losses, gradient penalty
// client_steps  [clients]: client c is active while step < client_steps[c]
// stats         [clients][8], client stride stat_stride: 0..2 sums of losses, 3 number of steps, 4..6 last losses,
//               7 sum of penalties
// state         [4]: step in the round, round, steps in all, free
// grid          one workgroup, so that every lane has read the step before lane 0 advances it
// owner         lane l adds the losses of clients l, l + 64, ...

const THREADS: u32 = 64;

//#include lib/active.wgsl

struct Params {
    clients: u32,
    loss_stride: u32,
    stat_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> losses: array<f32>;
@group(0) @binding(2) var<storage, read> client_steps: array<u32>;
@group(0) @binding(3) var<storage, read_write> stats: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<u32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) lane: u32) {
    let step = state[STEP];
    for (var c = lane; c < p.clients; c += THREADS) {
        if trains(c) {
            let loss_row = c * p.loss_stride;
            let stat_row = c * p.stat_stride;
            for (var k = 0u; k < 3u; k++) {
                let loss = losses[loss_row + k];
                stats[stat_row + k] += loss;
                stats[stat_row + 4u + k] = loss;
            }
            stats[stat_row + 3u] += 1.0;
            stats[stat_row + 7u] += losses[loss_row + 3u];
        }
    }
    storageBarrier();
    if lane == 0u {
        state[STEP] = step + 1u;
        state[STEPS_IN_ALL] += 1u;
    }
}
