//! Finds the end of a request's head: its empty line. The server checks the rest.

use memchr::memchr_iter;

/// Largest head. The server itself would accept 128 KiB, buffer unfinished heads, and keep the heads of up to 256
/// finished requests per thread.
pub(super) const MAX_HEAD: usize = 32 * 1_024;

/// The state after the bytes so far.
#[derive(Debug, Default)]
pub(super) struct HeadEnd {
    has_begun: bool,
    length: usize,
    /// The last two bytes.
    last: [u8; 2],
}

impl HeadEnd {
    /// Follows further bytes. If the head ends in them, returns how many belong to it.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            self.follow(bytes.get(start..end).unwrap_or_default());
            let is_end = matches!(self.last, [_, b'\n'] | [b'\n', b'\r']);
            start = end + 1;
            self.follow(b"\n");
            if is_end && self.has_begun {
                return Some(start);
            }
        }
        self.follow(bytes.get(start..).unwrap_or_default());
        None
    }

    /// Follows a part of a line.
    fn follow(&mut self, bytes: &[u8]) {
        // The server ignores empty lines before a head.
        self.has_begun = self.has_begun || bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
        self.length += bytes.len();
        self.last = match *bytes {
            [] => self.last,
            [last] => [self.last[1], last],
            [.., before, last] => [before, last],
        };
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.length > MAX_HEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::HEAD_TOO_LARGE;

    #[test]
    fn the_problem_of_a_large_head_names_the_limit() {
        let limit = format!("{} KiB", MAX_HEAD / 1_024);
        assert!(HEAD_TOO_LARGE.when.contains(&limit), "{}", HEAD_TOO_LARGE.when);
    }

    #[test]
    fn a_head_ends_with_its_empty_line_at_every_split() {
        for (text, end) in [
            ("GET / HTTP/1.1\r\nhost: x\r\n\r\nGET /", Some(27)),
            ("GET / HTTP/1.1\nhost: x\n\nmore", Some(24)),
            ("GET / HTTP/1.1\r\nhost: x\r\n", None),
            ("GET / HTTP/1.1\r\nhost: x\r\n\r", None),
            ("\r\nGET / HTTP/1.1\r\n\r\n", Some(20)),
            ("\r\n\r\n\n\nGET / HTTP/1.1\r\n\r\n", Some(24)),
        ] {
            assert_eq!(HeadEnd::default().find(text.as_bytes()), end, "{text:?}");
            for cut in 0..text.len() {
                let (one, other) = text.as_bytes().split_at(cut);
                let mut head = HeadEnd::default();
                let found = head.find(one).or_else(|| head.find(other).map(|end| cut + end));
                assert_eq!(found, end, "{text:?} cut at {cut}");
            }
        }
    }
}
