// The words of the buffer `state`, which let one recording serve every step; step_advance increments them.

const STEP: u32 = 0; // step in the round
const ROUND: u32 = 1; // round
const STEPS_IN_ALL: u32 = 2; // steps in all rounds; word 3 is free
