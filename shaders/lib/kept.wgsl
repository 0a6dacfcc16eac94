// Preserves NaN where min, max or select would drop it; for vectors of lib/vector.

// y, but NaN where v is NaN: by its bits, because drivers may assume that arithmetic never sees NaN
fn kept(v: E, y: E) -> E {
    return select(y, v, (bitcast<W>(v) & W(0x7fffffffu)) > W(0x7f800000u));
}
