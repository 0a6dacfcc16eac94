// One f32 sum over the 256 lanes of a workgroup, see lib/tree; it is in part[0].

const THREADS: u32 = 256;
const LX: u32 = 1;
alias T = f32;

//#include lib/tree.wgsl
