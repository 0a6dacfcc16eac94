use super::*;

/// A loop as RADV prints it, around `inside`.
fn looped(inside: &str) -> String {
    format!(
        "BB0:\n\ts_mov_b32 s0, 0 ; be800080\n\tv_fma_f32 v1, v1, v1, v1 ; d1\nBB1:\n\ts_cmp_ge_u32 s0, s1 ; bf09\n\
         \ts_cbranch_scc1 BB3 ; bf85\nBB2:\n{inside}\n\ts_branch BB1 ; bf82\nBB3:\n\ts_endpgm ; bf81\n"
    )
}

#[test]
fn the_loop_is_found_and_its_multiply_adds_are_counted() {
    let inside = "\tv_fmac_f32_e32 v1, v2, v3 ; 56\n\tv_mac_f32_e32 v1, v2, v3 ; 2c\n\tv_fma_f32 v1, s2, v3, -v4 ; d1\n\
                  \tv_madak_f32 v1, v2, v3, 0x3e4ccccd ; 30\n\tv_mad_u32_u24 v5, v6, v7, v8 ; d1\n\tv_mov_b32_e32 v9, v1 ; 7e";
    let body = measure(&looped(inside));
    assert!(body.looped);
    assert_eq!((body.instructions, body.fma, body.unfused, body.slow, body.overlap), (9, 4, 0, 0, None));
    assert_eq!(body.share, 4.0 / 6.0, "four of six vector instructions");
}

#[test]
fn without_a_loop_the_whole_shader_counts() {
    let body = measure(
        "BB0:\n\tv_fma_f32 v1, v1, v1, v1 ; d1\n\ts_cbranch_execz BB2 ; bf\nBB1:\n\tv_add_f32_e32 v1, v1, v2 ; 02\nBB2:\n\ts_endpgm ; bf",
    );
    assert_eq!((body.looped, body.instructions, body.fma, body.share), (false, 4, 1, 0.5));
    assert_eq!(measure(""), Body::default());
}

#[test]
fn an_inner_loop_wins_unless_the_outer_one_has_the_products() {
    let inner =
        |fma: usize| format!("BB5:\n{}\ts_cbranch_scc1 BB5 ; bf", "\tv_fmac_f32_e32 v1, v2, v3 ; 56\n".repeat(fma));
    let outer = |fma: usize| "\tv_fmac_f32_e32 v4, v2, v3 ; 56\n".repeat(fma);
    assert_eq!(measure(&looped(&format!("{}{}", outer(2), inner(8)))).fma, 8);
    assert_eq!(measure(&looped(&format!("{}{}", outer(8), inner(0)))).fma, 8);
}

#[test]
fn slow_multiplies_are_counted_and_take_four_slots() {
    let inside = "\tv_mul_lo_u32 v1, v2, v3 ; d2\n\tv_mul_hi_u32 v1, v2, v3 ; d2\n\tv_mul_u32_u24_e32 v1, v2, v3 ; 10\n\
                  \tv_mul_lo_u16_e32 v1, v2, v3 ; 52\n\tv_rcp_f32_e32 v1, v2 ; 7e\n\tv_fma_f32 v1, v1, v1, v1 ; d1\n\ts_mul_i32 s4, s5, s6 ; 92";
    let body = measure(&looped(inside));
    assert_eq!((body.slow, body.share), (2, 1.0 / 15.0));
}

#[test]
fn a_sum_of_a_product_is_unfused() {
    let pair = "\tv_mul_f32_e32 v5, s1, v5 ; 0a\n\tv_add_f32_e32 v5, s2, v5 ; 02";
    let body = measure(&looped(pair));
    assert_eq!((body.fma, body.unfused), (0, 1));
    let none = [
        "\tv_mul_f32_e32 v5, s1, v5 ; 0a\n\tv_mov_b32_e32 v5, 0 ; 7e\n\tv_add_f32_e32 v6, s2, v5 ; 02",
        "\tv_mul_f32_e32 v5, s1, v5 ; 0a\n\tv_add_f32_e32 v5, v6, v7 ; 02",
        "\tv_mul_f32_e32 v5, s1, v5 ; 0a\n\tbuffer_load_dwordx4 v[4:7], v1, s[0:3], 0 ; e0\n\tv_add_f32_e32 v5, v6, v5 ; 02",
    ];
    for inside in none {
        assert_eq!(measure(&looped(inside)).unfused, 0, "{inside}");
    }
    // Signs and magnitudes are read, a store changes nothing.
    let inside = "\tv_mul_f32_e32 v5, s1, v5 ; 0a\n\tbuffer_store_dword v5, v1, s[0:3], 0 ; e0\n\tv_sub_f32_e64 v6, s2, -|v5| ; d1";
    assert_eq!(measure(&looped(inside)).unfused, 1);
}

const LOAD: &str = "\tbuffer_load_dwordx4 v[4:7], v1, s[0:3], 0 offen ; e0\n";
const FMA: &str = "\tv_fmac_f32_e32 v20, v21, v22 ; 56\n";

fn wait(count: usize) -> String {
    format!("\ts_waitcnt vmcnt({count}) lgkmcnt(0) ; bf8c\n")
}

fn overlap_of(parts: &[&str]) -> Option<usize> {
    measure(&looped(&parts.concat())).overlap
}

#[test]
fn multiply_adds_between_a_load_and_its_wait_overlap_it() {
    assert_eq!(overlap_of(&[FMA, LOAD, &wait(0), FMA, FMA]), Some(0));
    assert_eq!(overlap_of(&[LOAD, FMA, FMA, &wait(0), FMA]), Some(2));
    assert_eq!(overlap_of(&[FMA, FMA]), None);
    // Waits for the counters of other memories wait for no load.
    assert_eq!(overlap_of(&[LOAD, "\ts_waitcnt lgkmcnt(0) ; bf8c\n", FMA, &wait(0)]), Some(1));
    // The wait of a loop's last load is at its beginning.
    assert_eq!(overlap_of(&[FMA, &wait(0), FMA, LOAD, FMA, FMA]), Some(3));
}

#[test]
fn a_wait_covers_the_loads_that_enough_others_follow() {
    // vmcnt(1) waits for the first of two loads.
    assert_eq!(overlap_of(&[LOAD, LOAD, FMA, &wait(1), FMA, FMA, &wait(0)]), Some(1));
    assert_eq!(overlap_of(&[LOAD, FMA, &wait(1), FMA, FMA, &wait(0)]), Some(3));
}

#[test]
fn of_two_sides_one_is_run() {
    let valu = |n: usize| "\tv_add_u32_e32 v9, v8, v9 ; 68\n".repeat(n);
    let inside = format!(
        "\ts_and_saveexec_b64 s[6:7], vcc ; be\n\ts_cbranch_execz BB13 ; bf\nBB11:\n{}BB13:\n\ts_andn2_b64 exec, s[6:7], exec ; 8a\n\
         \ts_cbranch_execz BB22 ; bf\nBB14:\n{}BB22:\n\ts_mov_b64 exec, s[6:7] ; be\n{}",
        valu(6),
        valu(4),
        FMA.repeat(5)
    );
    assert_eq!(measure(&looped(&inside)).share, 0.5, "5 of 3 + 2 + 5");
    // An `if` alone is run whole.
    let inside = format!("\ts_cbranch_execz BB13 ; bf\nBB11:\n{}BB13:\n{}", valu(5), FMA.repeat(5));
    assert_eq!(measure(&looped(&inside)).share, 0.5);
}
