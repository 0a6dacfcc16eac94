//! As much of Markdown as the documents use: code, links, headings.

/// A piece of code in a document.
#[derive(Debug, PartialEq)]
pub struct Code {
    /// The first word after the opening fence, empty if there is none; `None` for inline code.
    pub language: Option<String>,
    /// The other words after it, such as `no-run`.
    pub notes: Vec<String>,
    /// Line of the first line of a block, from 1; 0 for inline code.
    pub line: usize,
    /// The code; inline code is one line.
    pub text: String,
}

/// A document in parts.
pub struct Document {
    /// Blocks and inline code, in this order.
    pub code: Vec<Code>,
    /// The text without code.
    pub prose: String,
    /// The anchors of the headings, as GitHub makes them.
    pub anchors: Vec<String>,
}

impl Document {
    pub fn parse(text: &str) -> Document {
        let (mut code, mut prose, mut anchors) = (Vec::new(), String::new(), Vec::new());
        let mut lines = text.lines().zip(1..).peekable();
        let mut blank = true;
        while let Some((line, number)) = lines.next() {
            if let Some(info) = line.trim_start().strip_prefix("```") {
                let block = lines.by_ref().map(|l| l.0).take_while(|l| !l.trim_start().starts_with("```"));
                code.push(block_of(info, block.collect(), number + 1));
            } else if blank && line.starts_with("    ") {
                let mut block = vec![line];
                while let Some((line, _)) = lines.next_if(|l| l.0.starts_with("    ")) {
                    block.push(line);
                }
                code.push(block_of("", block, number));
            } else {
                if let Some(title) = line.starts_with('#').then(|| line.trim_start_matches('#')) {
                    anchors.push(anchor(title, &anchors));
                }
                prose.push_str(line);
                prose.push('\n');
                blank = line.trim().is_empty();
                continue;
            }
            // Inline code does not reach across a block.
            prose.push('\n');
            blank = true;
        }
        let prose = inline(&prose, &mut code);
        Document { code, prose, anchors }
    }

    /// The targets of links and pictures.
    pub fn links(&self) -> Vec<&str> {
        let ends = [("](", ')'), ("href=\"", '"'), ("src=\"", '"')];
        let found = ends.iter().flat_map(|(open, close)| {
            self.prose.split(open).skip(1).filter_map(|rest| rest.split([*close, ' ', '\n']).next())
        });
        found.collect()
    }
}

/// A block with the words `info` after its opening fence; `line` is its first line.
fn block_of(info: &str, lines: Vec<&str>, line: usize) -> Code {
    let mut words = info.split_whitespace().map(String::from);
    let language = words.next().unwrap_or_default();
    Code { language: Some(language), notes: words.collect(), line, text: lines.join("\n") }
}

/// Moves inline code from `prose` to `code`; the rest of the prose is returned.
fn inline(prose: &str, code: &mut Vec<Code>) -> String {
    let mut rest = String::new();
    for paragraph in prose.split("\n\n") {
        let mut after = paragraph;
        while let Some((before, from)) = after.split_once('`') {
            rest.push_str(before);
            let Some((text, to)) = from.split_once('`') else {
                after = from;
                continue;
            };
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            code.push(Code { language: None, notes: Vec::new(), line: 0, text });
            after = to;
        }
        rest.push_str(after);
        rest.push_str("\n\n");
    }
    rest
}

/// The anchor of a heading; equal ones are numbered.
fn anchor(title: &str, earlier: &[String]) -> String {
    let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    let plain: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase();
    let numbered = std::iter::once(plain.clone()).chain((1..).map(|i| format!("{plain}-{i}")));
    numbered.into_iter().find(|name| !earlier.contains(name)).expect("endless")
}

#[test]
fn code_links_and_anchors_are_found() {
    let text = concat!(
        "# A `b`: c-d\n\nSee [x](y.md#z) and `fedgan\nrun`.\n\n",
        "```toml\na = 1 # [no](link)\n```\n",
        "## Two\n\n    fedgan keys\n    fedgan man\n\n",
        "## Two\n<img src=\"p.png\">\n"
    );
    let document = Document::parse(text);
    assert_eq!(document.anchors, ["a-b-c-d", "two", "two-1"]);
    assert_eq!(document.links(), ["y.md#z", "p.png"]);
    let code: Vec<(Option<&str>, &str)> =
        document.code.iter().map(|c| (c.language.as_deref(), c.text.as_str())).collect();
    let block = "    fedgan keys\n    fedgan man";
    let expected = [(Some("toml"), "a = 1 # [no](link)"), (Some(""), block), (None, "b"), (None, "fedgan run")];
    assert_eq!(code, expected);
    assert_eq!(document.code.iter().map(|c| c.line).collect::<Vec<_>>(), [7, 11, 0, 0]);
}

#[test]
fn words_after_the_language_are_notes() {
    let document =
        Document::parse("```sh\nfedgan keys\n```\n\n```sh  no-run\nfedgan man\n```\n\n```\nplain\n```\n`x`\n");
    let code: Vec<(Option<&str>, Vec<&str>, &str)> = document
        .code
        .iter()
        .map(|c| (c.language.as_deref(), c.notes.iter().map(String::as_str).collect(), c.text.as_str()))
        .collect();
    let expected = [
        (Some("sh"), vec![], "fedgan keys"),
        (Some("sh"), vec!["no-run"], "fedgan man"),
        (Some(""), vec![], "plain"),
        (None, vec![], "x"),
    ];
    assert_eq!(code, expected);
}
