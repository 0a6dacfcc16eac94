// Vectors of words, the unit of loads and stores. A tensor's innermost extent is a multiple of V.

const V: u32 = 4; // words per load: 4 if the innermost extent is a multiple of 4, else 1
//#if V == 4
alias E = vec4<f32>;
alias W = vec4<u32>;
alias B = vec4<bool>;
//#else
//# alias E = f32;
//# alias W = u32;
//# alias B = bool;
//#endif
