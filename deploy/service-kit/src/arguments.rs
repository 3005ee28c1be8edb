//! The arguments of a process.

use std::io::{self, Write};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

/// Parses the arguments of this process. If they are wrong, it ends with a message that names the option and never
/// repeats what was given: it may be a secret, such as the URL of a database.
#[must_use]
pub fn parse<C: Parser>() -> C {
    C::try_parse().unwrap_or_else(|error| {
        // Nobody may read it; the exit status says the rest.
        let _nobody_reads = match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.print(),
            _ => writeln!(io::stderr(), "{}", describe::<C>(&error)),
        };
        std::process::exit(error.exit_code())
    })
}

/// What is wrong, at which option, why, and how to call the program.
fn describe<C: CommandFactory>(error: &clap::Error) -> String {
    let mut text = format!("error: {}", error.kind().as_str().unwrap_or("the arguments are wrong"));
    for name in texts(error, ContextKind::InvalidArg).iter().filter_map(|argument| name_of(argument)) {
        text.push_str(": ");
        text.push_str(name);
    }
    if let Some(reason) = std::error::Error::source(error) {
        let given = texts(error, ContextKind::InvalidValue);
        let reason = given.iter().fold(reason.to_string(), |reason, value| without(&reason, value));
        text.push_str(": ");
        text.push_str(&reason);
    }
    let possible = texts(error, ContextKind::ValidValue);
    if !possible.is_empty() {
        text.push_str("\n  possible values: ");
        text.push_str(&possible.join(", "));
    }
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.clone(),
        _ => C::command().render_usage(),
    };
    format!("{text}\n\n{usage}\n\nFor more information, try '--help'.")
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

/// The option in `--option=value` or `--option <VALUE>`, or the name of a positional argument of the program. None for
/// what was given without an option.
fn name_of(argument: &str) -> Option<&str> {
    if argument.starts_with('<') {
        return argument.strip_suffix("...").unwrap_or(argument).ends_with('>').then_some(argument);
    }
    let is_in_name = |next: char| next.is_ascii_alphanumeric() || next == '-';
    let end = argument.find(|next| !is_in_name(next)).unwrap_or(argument.len());
    let (name, rest) = argument.split_at_checked(end)?;
    (name.starts_with('-') && (rest.is_empty() || rest.starts_with(['=', ' ']))).then_some(name)
}

fn without(reason: &str, value: &str) -> String {
    if value.is_empty() {
        return reason.to_owned();
    }
    reason.replace(&format!("{value:?}"), "the value").replace(value, "the value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "program")]
    struct Cli {
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=9))]
        steps: Option<u64>,
        #[arg(long, value_parser = named)]
        name: Option<String>,
        #[arg(long, value_parser = ["one", "two"])]
        which: Option<String>,
        #[command(subcommand)]
        command: Option<Command>,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Command {
        Up { file: String },
    }

    fn named(value: &str) -> Result<String, String> {
        Err(format!("{value:?} ({value}) is not a name"))
    }

    const SECRET: &str = "postgres://owner:hunter2@db/orders";

    fn error(arguments: &[&str]) -> String {
        describe::<Cli>(&Cli::try_parse_from(["program"].iter().chain(arguments)).unwrap_err())
    }

    #[test]
    fn what_was_given_is_never_repeated() {
        for (arguments, words) in [
            (vec![SECRET], "unrecognized subcommand"),
            (vec!["up", "file", SECRET], "unexpected argument found"),
            (vec!["--steps", SECRET], "--steps: invalid digit"),
            (vec!["--steps=hunter2"], "--steps: invalid digit"),
            (vec!["--database-url", SECRET], "unexpected argument found: --database-url"),
            (vec!["--database-url=hunter2"], "unexpected argument found: --database-url"),
            (vec!["--postgres://owner:hunter2@db"], "unexpected argument found"),
            (vec!["-phunter2"], "unexpected argument found: -p"),
            (vec!["--name", SECRET], "--name: the value (the value) is not a name"),
            (vec!["--which", SECRET], "possible values: one, two"),
            (vec!["--steps", "1", "--steps", SECRET], "--steps"),
        ] {
            let text = error(&arguments);
            assert!(text.contains(words) && !text.contains("hunter2"), "{arguments:?}: {text}");
        }
    }

    #[test]
    fn it_says_what_is_wrong_and_how_to_call_the_program() {
        let text = error(&["--steps", "10"]);
        assert!(text.starts_with(
            "error: invalid value for one of the arguments: --steps: the value is not in 1..=9"
        ));
        assert!(text.contains("Usage: program") && text.ends_with("try '--help'."), "{text}");
        let text = error(&["up"]);
        assert!(text.contains("required arguments were not provided: <FILE>"), "{text}");
    }
}
