//! The steps of a transcript in a Markdown document.

use std::ops::Range;

const INDENT: &str = "    ";

/// A step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something that happens.
    Happens(String),
    /// A command.
    Command(Command),
}

/// A command, and what it prints.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) text: String,
    pub(super) shown: String,
    /// The lines of the document that show what it prints.
    lines: Range<usize>,
}

/// The steps of the transcript of that name.
pub(super) fn steps(document: &str, name: &str) -> Vec<Step> {
    let mark = format!("<!-- replayed: {name} -->");
    let lines: Vec<&str> = document.lines().collect();
    let is_code = |line: &&&str| line.is_empty() || line.starts_with(INDENT);
    let mut steps = Vec::new();
    for start in (0..lines.len()).filter(|n| lines[*n].trim() == mark).map(|n| n + 1) {
        let code: Vec<&str> = lines[start..].iter().take_while(is_code).copied().collect();
        let length = code.join("\n").trim_end().lines().count();
        of_block(&code[..length], start, &mut steps);
    }
    steps
}

/// Reads a block that begins at a line of the document.
fn of_block(block: &[&str], start: usize, steps: &mut Vec<Step>) {
    let lines: Vec<&str> = block.iter().map(|line| line.strip_prefix(INDENT).unwrap_or_default()).collect();
    let is_step = |line: &&&str| line.starts_with("$ ") || line.starts_with("# ");
    let mut n = 0;
    while n < lines.len() {
        let line = lines[n];
        n += 1;
        if let Some(what) = line.strip_prefix("# ") {
            steps.push(Step::Happens(what.to_owned()));
        } else if let Some(first) = line.strip_prefix("$ ") {
            let mut text = first.to_owned();
            while !is_whole(&text) {
                text = format!("{text}\n{}", lines[n]);
                n += 1;
            }
            let end = n + lines[n..].iter().take_while(|line| !is_step(line)).count();
            let shown = lines[n..end].join("\n");
            steps.push(Step::Command(Command { text, shown, lines: start + n..start + end }));
            n = end;
        }
    }
}

/// Whether a command ends here: it has no open quotes, and no backslash at its end.
fn is_whole(text: &str) -> bool {
    let is_even = |quote| text.matches(quote).count() % 2 == 0;
    is_even('\'') && is_even('"') && !text.ends_with('\\')
}

/// The document with other output for a command.
pub(super) fn updated(document: &str, command: &Command, printed: &str) -> String {
    let lines: Vec<&str> = document.lines().collect();
    let printed: Vec<String> =
        printed.trim_end().lines().map(|line| format!("{INDENT}{line}").trim_end().to_owned()).collect();
    let (before, after) = (&lines[..command.lines.start], &lines[command.lines.end..]);
    let all = before.iter().copied().chain(printed.iter().map(String::as_str)).chain(after.iter().copied());
    all.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# T\n\n<!-- replayed: one -->\n\n    $ a 'b\n      c'\n    d\n    e\n    # f\n    $ g \\\n      h\n\ntext\n\n    $ not this\n";

    fn command(text: &str, shown: &str, lines: Range<usize>) -> Step {
        Step::Command(Command { text: text.to_owned(), shown: shown.to_owned(), lines })
    }

    #[test]
    fn commands_go_on_in_quotes_and_after_a_backslash() {
        let expected = [
            command("a 'b\n  c'", "d\ne", 6..8),
            Step::Happens("f".to_owned()),
            command("g \\\n  h", "", 11..11),
        ];
        assert_eq!(steps(DOCUMENT, "one"), expected);
        assert_eq!(steps(DOCUMENT, "two"), []);
    }

    #[test]
    fn only_the_output_of_that_command_is_updated() {
        let steps = steps(DOCUMENT, "one");
        let [Step::Command(first), _, Step::Command(last)] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!(updated(DOCUMENT, first, "x\n"), DOCUMENT.replace("    d\n    e\n", "    x\n"));
        assert_eq!(updated(DOCUMENT, last, "x\n"), DOCUMENT.replace("      h\n", "      h\n    x\n"));
    }
}
