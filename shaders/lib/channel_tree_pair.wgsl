// Two sums for each channel of a workgroup of lib/channels, in lib/tree's order: the sums of lane l's channels are in
// part0[l] and part1[l], l < LX.

//#include lib/channels.wgsl

var<workgroup> part0: array<E, 256>;
var<workgroup> part1: array<E, 256>;

fn add_lanes(lane: u32, value0: E, value1: E) {
    part0[lane] = value0;
    part1[lane] = value1;
    workgroupBarrier();
    for (var width = 128u; width >= LX; width /= 2u) {
        if lane < width {
            part0[lane] += part0[lane + width];
            part1[lane] += part1[lane + width];
        }
        workgroupBarrier();
    }
}
