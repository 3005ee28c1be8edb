//! The shell examples of a Markdown text.

/// A command and what is shown below it.
#[derive(Debug)]
pub(super) struct Example {
    /// Where the command begins; lines are counted from 1.
    pub(super) line: usize,
    pub(super) step: Step,
    /// What is shown, line by line.
    pub(super) shown: Vec<String>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// To be pasted into a shell.
    Command(String),
    /// A block that goes on showing what the stream, opened before, prints.
    MoreOfTheStream,
}

/// The blocks between fences, each with its language and the number of its first line.
pub(super) fn blocks(markdown: &str) -> Vec<(&str, usize, Vec<&str>)> {
    let mut blocks: Vec<(&str, usize, Vec<&str>)> = Vec::new();
    let mut is_open = false;
    for (number, line) in (1..).zip(markdown.lines()) {
        match (is_open, line.trim_start().strip_prefix("```")) {
            (false, Some(language)) => blocks.push((language, number + 1, Vec::new())),
            (true, None) => blocks.last_mut().into_iter().for_each(|(_, _, lines)| lines.push(line)),
            (true, Some(_)) | (false, None) => {}
        }
        is_open ^= line.trim_start().starts_with("```");
    }
    blocks
}

/// All examples, in their order.
pub(super) fn examples(markdown: &str) -> Vec<Example> {
    let plain = blocks(markdown).into_iter().filter(|(language, ..)| language.is_empty());
    plain.flat_map(|(_, first, lines)| examples_in(first, &lines)).collect()
}

fn examples_in(first: usize, lines: &[&str]) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for (line, text) in (first..).zip(lines) {
        let shown = vec![(*text).to_owned()];
        match (text.strip_prefix("$ "), examples.last_mut()) {
            (Some(command), _) => {
                examples.push(Example { line, step: Step::Command(command.to_owned()), shown: Vec::new() });
            }
            (None, Some(Example { step: Step::Command(command), .. })) if goes_on(command) => {
                command.push('\n');
                command.push_str(text);
            }
            (None, Some(example)) => example.shown.extend(shown),
            (None, None) if text.starts_with("event: ") => {
                examples.push(Example { line, step: Step::MoreOfTheStream, shown });
            }
            (None, None) => {}
        }
    }
    examples
}

/// Whether a shell would wait for another line.
fn goes_on(command: &str) -> bool {
    command.ends_with('\\') || command.matches('\'').count() % 2 == 1
}
