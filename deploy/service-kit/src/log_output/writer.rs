//! Writes the lines of the queue, and tries again until each is written.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use super::queue::Queue;

/// Standard output without a buffer: a buffer would keep part of a line when a write fails.
#[derive(Default)]
pub(super) struct StandardOutput(Option<File>);

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = match &mut self.0 {
            Some(file) => file,
            none => none.insert(io::stdout().as_fd().try_clone_to_owned()?.into()),
        };
        file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct Writer<W> {
    output: W,
    retry: Duration,
    /// A failed write has left part of a line.
    is_in_line: bool,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(output: W, retry: Duration) -> Self {
        Self { output, retry, is_in_line: false }
    }

    /// Waits for lines, and writes them all, however long that takes. A line that was cut by an error is written again
    /// from its start, on a line of its own.
    pub(super) fn write_next(&mut self, queue: &Queue) {
        let lines = queue.take();
        let mut written = 0;
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            match self.write(rest) {
                Ok(count) => written = written.saturating_add(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Someone has made the pipe non-blocking, and it is full.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(self.retry),
                Err(error) => {
                    queue.failed(&error);
                    let start = start_of_line(&lines, written);
                    self.is_in_line |= start < written;
                    written = start;
                    std::thread::sleep(self.retry);
                }
            }
        }
        queue.wrote_all();
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_in_line {
            self.output.write_all(b"\n")?;
            self.is_in_line = false;
        }
        match self.output.write(bytes)? {
            0 => Err(ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }
}

/// Where the line begins of which the byte at `position` is the next one.
fn start_of_line(lines: &[u8], position: usize) -> usize {
    let before = lines.get(..position).unwrap_or_default();
    before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1))
}
