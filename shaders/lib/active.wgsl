// Which clients train in this step: clients of few images take fewer steps a round. Needs the bindings `state` and `client_steps`.

//#include lib/state.wgsl

fn trains(client: u32) -> bool {
    return state[STEP] < client_steps[client];
}
