// One sum for each channel of a workgroup of lib/channels, see lib/tree: the sum of lane l's channels is in part[l], l < LX.

//#include lib/channels.wgsl

const THREADS: u32 = 256;
alias T = E;

//#include lib/tree.wgsl
