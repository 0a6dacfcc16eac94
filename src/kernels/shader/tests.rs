//! What the assembler makes, and the messages about what it cannot make.

use super::*;
use crate::kernels::reflect::Shader;

fn assembled(text: &str, consts: &[(&str, u32)], unroll: bool) -> Result<Assembled, String> {
    assemble(&Source::new("my/k.wgsl", text), consts, unroll)
}

/// Text with runs of white space as one blank.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The origin of the line that contains `needle`.
fn origin(shader: &Assembled, needle: &str) -> String {
    shader.origin(shader.text().find(needle).unwrap_or_else(|| panic!("no {needle} in\n{shader}")))
}

#[test]
fn unrolls_nested_loops_and_sets_constants() {
    let text = "const N: u32 = 4;\n//#unroll\nfor (var i = 0u; i < N; i++) { //#unroll\nfor (var j = 0u; j < 2u; j++) { a[i] += x.i + ij + j; } }\n";
    let got = assembled(text, &[("N", 2)], true).unwrap();
    assert_eq!(
        flat(got.text()),
        "const N: u32 = 2u; { { a[0u] += x.i + ij + 0u; } { a[0u] += x.i + ij + 1u; } } { { a[1u] += x.i + ij + 0u; } { a[1u] += x.i + ij + 1u; } }"
    );
    let commented = "//#unroll\nfor (var i = 0u; i < 2u; i++) { // }\n a(i); // b\n}\nend";
    assert_eq!(flat(assembled(commented, &[], true).unwrap().text()), "{ // } a(0u); // b } { // } a(1u); // b } end");
}

#[test]
fn picks_sides_and_refuses_unknown_constants() {
    let text = "const L: u32 = 4;\n//#if L == 4\nfour\n//#else\n//# one\n//#endif\nend";
    assert_eq!(assembled(text, &[], false).unwrap().text(), "const L: u32 = 4u;\nfour\nend\n");
    assert_eq!(assembled(text, &[("L", 1)], false).unwrap().text(), "const L: u32 = 1u;\none\nend\n");
    let error = assembled(text, &[("M", 1)], false).unwrap_err();
    assert!(error.starts_with("my/k.wgsl: declares no `const M: u32 = ...;`"), "{error}");
}

/// Lines of the file, of an included file, behind an `//#if`, in a loop and in a loop within a loop.
#[test]
fn every_line_knows_where_it_was_written() {
    let text = "\
// header
//#include lib/threefry.wgsl
const L: u32 = 4;
//#if L == 4
side_four
//#else
//# side_one
//#endif
//#unroll
for (var i = 0u; i < 2u; i++) {
    first(i);
    //#unroll
    for (var j = 0u; j < 2u; j++) {
        second(i, j);
    }
}
the_end
";
    for (value, side, line) in [(4, "side_four", 5), (1, "side_one", 7)] {
        let got = assembled(text, &[("L", value)], true).unwrap();
        for (needle, line) in [
            ("// header", 1),
            ("const L", 3),
            (side, line),
            ("first(0u)", 11),
            ("first(1u)", 11),
            ("second(0u, 1u)", 14),
            ("second(1u, 0u)", 14),
            ("the_end", 17),
        ] {
            assert_eq!(origin(&got, needle), format!("my/k.wgsl:{line}"), "{needle}");
        }
        let library = source("lib/threefry.wgsl").unwrap();
        let line = 1 + library.lines().position(|l| l.starts_with("fn threefry_round")).unwrap();
        assert_eq!(origin(&got, "fn threefry_round"), format!("lib/threefry.wgsl:{line}"));
        assert_eq!(got.origin(got.text().len()), "my/k.wgsl:18");
    }
}

/// What cannot be assembled: one message with file, line and column, and the line.
#[test]
fn directives_that_cannot_be_followed_name_their_line() {
    let loops = |header: &str| format!("a\n  //#unroll\n  {header} {{ x(i); }}\n");
    for (text, place, what) in [
        ("a\n//#if L == 4\nb\n", "2:1", "//#if without an //#endif"),
        ("a\n//#else\n", "2:1", "//#else without an //#if"),
        ("a\n  //#endif\n", "2:3", "//#endif without an //#if"),
        ("//#if L == 4\n//#else\n//#else\n", "3:1", "a second //#else"),
        ("//#if L == 4\n//#if L == 1\n", "2:1", "//#if inside the //#if of my/k.wgsl:1"),
        ("//#if M == 4\n//#endif\n", "1:1", "unknown constant `M`"),
        ("//#if L = 4\n//#endif\n", "1:1", "cannot read `L = 4`: expected `NAME == N`"),
        ("//#fi\n", "1:1", "the directives are //#include, //#if"),
        ("a\n//#include lib/none.wgsl\n", "2:1", "no file `lib/none.wgsl` in the shader library; there are lib/"),
        ("//#include util/fill.wgsl\n", "1:1", "no file `util/fill.wgsl` in the shader library"),
        ("//#include lib/threefry.wgsl\n//#include lib/threefry.wgsl\n", "2:1", "included for the second time"),
        (loops("while (true)").as_str(), "2:3", "cannot read the loop `while (true)`"),
        (loops("for (var i = 1u; i < 4u; i++)").as_str(), "2:3", "expected `for (var i = 0u; i < N; i++) {`"),
        (loops("for (var i = 0u; i < M; i++)").as_str(), "2:3", "`M` is neither a number nor declared"),
        (loops("for (var i = 0u; i < 4000000000u; i++)").as_str(), "2:3", "4000000000 turns, at most 1024"),
        ("//#unroll\n", "1:1", "without a loop"),
        ("//#unroll\nfor (var i = 0u; i < 4u; i++) { x(i);\n", "1:1", "never closed"),
    ] {
        // The constant stands last, so that it moves no line.
        let error = assembled(&format!("{text}const L: u32 = 4;\n"), &[], true).unwrap_err();
        assert!(error.starts_with(&format!("my/k.wgsl:{place}: ")) && error.contains(what), "{text}{error}");
        let line = text.lines().nth(place.split(':').next().unwrap().parse::<usize>().unwrap() - 1).unwrap();
        assert!(error.contains(&format!(" | {line}\n")), "{text}{error}");
        assert_eq!(error.matches("my/k.wgsl:").count(), 1 + what.matches("my/k.wgsl:").count(), "{error}");
    }
}

/// What a hostile file could fill the memory or the stack with.
#[test]
fn expansion_has_limits() {
    let nested = |depth: usize, turns: u32| {
        let header = |i| format!("//#unroll\nfor (var i{i} = 0u; i{i} < {turns}u; i{i}++) {{\n");
        let headers: String = (0..depth).map(header).collect();
        format!("{headers}x();\n{}", "}\n".repeat(depth))
    };
    assert_eq!(assembled(&nested(16, 1), &[], true).unwrap().text().matches("x();").count(), 1);
    let error = assembled(&nested(50_000, 1), &[], true).unwrap_err();
    assert!(error.starts_with("my/k.wgsl:33:1: //#unroll within 16 others"), "{error}");
    let error = assembled(&nested(3, 1024), &[], true).unwrap_err();
    assert!(error.contains("more than 4194304 bytes of expanded text"), "{error}");
}

/// A file of the library that includes itself, as the user's file could only be by a name of the library.
#[test]
fn a_circle_of_includes_is_refused() {
    let text = "a\n//#include lib/threefry.wgsl\n";
    let error = assemble(&Source::new("lib/threefry.wgsl", text), &[], true).unwrap_err();
    assert!(error.starts_with("lib/threefry.wgsl:2:1: `lib/threefry.wgsl` includes itself"), "{error}");
}

/// naga's errors, from its parser and from its validator: in a line of the file, in an included file, in an expanded loop, behind an
/// `//#if`.
#[test]
fn nagas_errors_name_the_line_that_was_written() {
    let good = "\
//#include lib/threefry.wgsl
const N: u32 = 2;
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1)
fn main() {
    //#unroll
    for (var i = 0u; i < N; i++) {
        y[i] = i;
    }
    //#if N == 2
    y[2] = threefry_rotate(1u, 2u);
    //#else
    //# y[3] = 1u;
    //#endif
    y[4] = 1u;
}
";
    let parse = |text: &str, consts: &[(&str, u32)]| Shader::parse(&assembled(text, consts, true).unwrap());
    parse(good, &[]).unwrap();
    parse(good, &[("N", 1)]).unwrap();
    for (from, to, n, line) in [
        ("y[4] = 1u", "y[4] = z", 2, 15),
        ("y[4] = 1u", "y[4] = 1.5f", 2, 15),
        ("y[i] = i", "y[i] = j", 2, 8),
        ("y[i] = i", "y[i] = i + 1.5f", 2, 8),
        ("rotate(1u, 2u)", "rotate(1u)", 2, 11),
        ("y[3] = 1u", "y[3] = = 1u", 1, 13),
    ] {
        let text = good.replace(from, to);
        let error = parse(&text, &[("N", n)]).unwrap_err();
        assert!(error.starts_with(&format!("my/k.wgsl:{line}:")), "{to}: {error}");
        assert!(error.contains(&format!("{line} | {}\n", text.lines().nth(line - 1).unwrap())), "{to}: {error}");
        assert!(error.contains("^"), "{error}");
    }
    // A name that the includer took from the library.
    let error = parse(&format!("fn threefry_first() {{}}\n{good}"), &[]).unwrap_err();
    assert!(error.contains("lib/threefry.wgsl:") && error.contains("my/k.wgsl:1"), "{error}");
    assert!(error.contains("(included at my/k.wgsl:2)") || error.starts_with("my/k.wgsl:1:"), "{error}");
}

/// Columns count characters, and what a terminal would take for a command is not printed.
#[test]
fn odd_characters_move_no_mark_and_reach_no_terminal() {
    let shader = Assembled::plain("k", "// ü\r\n\tü\u{1b}[31m = z;\r\n");
    let at = shader.text().find('z').unwrap();
    assert_eq!(shader.show(at..at + 1, "what", "here"), "k:2:11: what\n  |\n2 |  ü [31m = z;\n  |           ^ here");
    assert_eq!(shader.show(shader.text().len()..shader.text().len(), "end", ""), "k:3:1: end\n  |\n3 | \n  | ^");
    assert_eq!(Assembled::plain("k", "").show(0..0, "end", ""), "k:1:1: end\n  |\n1 | \n  | ^");
}
