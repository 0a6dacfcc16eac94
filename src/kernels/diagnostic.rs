//! naga's errors as messages with the file and line that the shader's author wrote.

use super::shader::Assembled;
use naga::WithSpan;
use naga::front::wgsl::ParseError;
use naga::valid::ValidationError;
use std::error::Error;
use std::ops::Range;

/// Source lines of one message.
const SHOWN: usize = 4;

/// An error of naga's WGSL front end.
pub(super) fn parse(error: &ParseError, shader: &Assembled) -> String {
    let labels = error.labels().filter_map(|(span, label)| Some((span.to_range()?, label.to_string())));
    let notes: Vec<String> = error.notes().map(|note| format!("\nnote: {note}")).collect();
    message(error.message(), labels.collect(), shader) + &notes.concat()
}

/// An error of naga's validator, with its causes.
pub(super) fn validation(error: &WithSpan<ValidationError>, shader: &Assembled) -> String {
    let what = chain(error.as_inner());
    let labels = error.spans().filter_map(|(span, label)| {
        // Labels that name naga's own types do not help a shader's author.
        let label = if label.starts_with("naga") { "" } else { label };
        Some((span.to_range()?, label.to_string()))
    });
    let mut labels: Vec<_> = labels.collect();
    // The statement or expression before the function around it.
    labels.sort_by_key(|(range, _)| range.len());
    message(&what, labels, shader)
}

/// An error with its causes, outermost first.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut what = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        what.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    what
}

fn message(what: &str, labels: Vec<(Range<usize>, String)>, shader: &Assembled) -> String {
    let Some(((range, label), rest)) = labels.split_first() else {
        return format!("{}: {what}", shader.name());
    };
    let mut out = shader.show(range.clone(), what, label);
    for (range, label) in rest.iter().take(SHOWN - 1) {
        out.push('\n');
        out.push_str(&shader.show_more(range.clone(), label));
    }
    out
}
