//! Where the head of a request ends in what has come so far. It searches for the empty line, and leaves everything else to the
//! server.

/// The server itself would take 128 KiB. It buffers a head that has not ended, and keeps the heads of up to 256 finished requests a
/// thread.
pub(super) const MAX_HEAD: usize = 32 * 1_024;

/// What has been seen of one head.
#[derive(Debug, Default)]
pub(super) struct HeadEnd {
    has_begun: bool,
    /// How many bytes.
    length: usize,
    /// The last two bytes.
    last: [u8; 2],
}

impl HeadEnd {
    /// How many of these further bytes belong to the head, where it ends among them.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            // The server ignores empty lines in front of a head.
            self.has_begun |= !matches!(byte, b'\r' | b'\n');
            let is_end = *byte == b'\n' && matches!(self.last, [_, b'\n'] | [b'\n', b'\r']);
            self.last = [self.last[1], *byte];
            self.length += 1;
            if is_end && self.has_begun {
                return Some(index + 1);
            }
        }
        None
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.length > MAX_HEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_its_empty_line_however_it_is_cut_up() {
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
