//! The shell examples of a Markdown text.

/// What starts the whole system; the test has started it already.
const LAUNCH: &str = "cargo run -p local";

/// A step and the output that the document shows below it.
#[derive(Debug)]
pub(super) struct Example {
    /// The line on which the step begins, counted from 1.
    pub(super) line: usize,
    pub(super) step: Step,
    /// The documented output; empty where the document shows none.
    pub(super) shown: Vec<String>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// Starts the system. The output is that of the launcher's demonstration.
    Launch,
    /// A block to paste into a shell.
    Command(String),
    /// A block that shows more of the stream that an earlier command opened.
    StreamContinues,
}

/// A fenced block.
#[derive(Debug)]
pub(super) struct Block<'a> {
    /// What follows the opening fence.
    pub(super) language: &'a str,
    /// The number of its first line.
    pub(super) line: usize,
    pub(super) lines: Vec<&'a str>,
}

/// The fenced blocks, in order.
pub(super) fn blocks(markdown: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut is_open = false;
    for (number, line) in (1..).zip(markdown.lines()) {
        match (is_open, line.trim_start().strip_prefix("```")) {
            (false, Some(language)) => {
                blocks.push(Block { language, line: number + 1, lines: Vec::new() });
            }
            (true, None) => blocks.last_mut().into_iter().for_each(|block| block.lines.push(line)),
            (true, Some(_)) | (false, None) => {}
        }
        is_open ^= line.trim_start().starts_with("```");
    }
    blocks
}

/// The examples to run, in order. Output belongs to the command block right before it.
pub(super) fn examples(markdown: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut follows_a_command = false;
    for Block { language, line, lines } in blocks(markdown) {
        let shown: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        match (language, examples.last_mut()) {
            ("sh", _) => {
                let command = lines.join("\n");
                let step = if command == LAUNCH { Step::Launch } else { Step::Command(command) };
                examples.push(Example { line, step, shown: Vec::new() });
            }
            ("text", Some(example)) if follows_a_command => example.shown = shown,
            ("text", _) if lines.first().is_some_and(|line| line.starts_with("event: ")) => {
                examples.push(Example { line, step: Step::StreamContinues, shown });
            }
            _ => {}
        }
        follows_a_command = language == "sh";
    }
    examples
}
