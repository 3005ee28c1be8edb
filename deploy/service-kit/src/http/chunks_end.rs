//! Finds the end of a chunked body. Only follows sizes and line ends; the server checks the rest and refuses malformed
//! bodies.

/// The state after the bytes so far.
#[derive(Debug, Default)]
pub(super) struct ChunksEnd {
    state: State,
    /// The chunk's size from its digits so far, then its outstanding bytes.
    size: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    SizeBegin,
    Size,
    /// White space and extensions after the size.
    SizeRest,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// After the last chunk: a trailer, or the end.
    TrailerBegin,
    Trailer,
    TrailerLf,
    EndLf,
    End,
    /// The server detects this too, and closes.
    Malformed,
}

impl ChunksEnd {
    /// Follows further bytes. If the body ends in them, returns how many belong to it.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut index = 0;
        while let Some(byte) = bytes.get(index) {
            if self.state == State::Data {
                index += self.skip(bytes.len() - index);
                continue;
            }
            self.state = self.after(*byte);
            index += 1;
            if self.state == State::End {
                return Some(index);
            }
        }
        None
    }

    /// Skips data.
    fn skip(&mut self, available: usize) -> usize {
        let skipped = usize::try_from(self.size).map_or(available, |size| size.min(available));
        self.size -= u64::try_from(skipped).unwrap_or(self.size);
        if self.size == 0 {
            self.state = State::DataCr;
        }
        skipped
    }

    fn after(&mut self, byte: u8) -> State {
        match (self.state, byte) {
            (State::SizeBegin, _) => {
                self.size = 0;
                self.add_digit(byte).unwrap_or(State::Malformed)
            }
            (State::Size | State::SizeRest, b'\r') => State::SizeLf,
            (State::Size, _) if byte.is_ascii_hexdigit() => self.add_digit(byte).unwrap_or(State::Malformed),
            (State::Size | State::SizeRest, _) => State::SizeRest,
            (State::SizeLf, b'\n') if self.size > 0 => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::SizeBegin,
            (State::TrailerBegin, b'\r') => State::EndLf,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerBegin | State::Trailer, _) => State::Trailer,
            (State::SizeLf | State::TrailerLf, b'\n') => State::TrailerBegin,
            (State::EndLf, b'\n') => State::End,
            _ => State::Malformed,
        }
    }

    /// `None` if it is no digit, or the size overflows.
    fn add_digit(&mut self, byte: u8) -> Option<State> {
        let digit = char::from(byte).to_digit(16)?;
        self.size = self.size.checked_mul(16)?.checked_add(digit.into())?;
        Some(State::Size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_ends_after_its_trailers_at_every_split() {
        for (text, rest) in [
            ("0\r\n\r\n", "GET /"),
            ("5\r\nhello\r\n0\r\n\r\n", "HEAD /"),
            ("5\r\n0\r\n\r\n\r\n00\r\n\r\n", "0\r\n\r\n"),
            ("A ; a=\"b\"\r\n0123456789\r\n0;x\r\nt: 1\r\nu: 2\r\n\r\n", "more"),
            ("5\r\nhello\r\n", ""),
            ("5\r\nhel", ""),
            ("0\r\nt: 1\r\n", ""),
            ("g\r\n0\r\n\r\n", ""),
            ("5\r\nhello0\r\n\r\n", ""),
            ("fffffffffffffffff\r\n", ""),
            ("ffffffffffffffff\r\n0\r\n\r\n", ""),
        ] {
            let whole = format!("{text}{rest}");
            let end = (!rest.is_empty()).then_some(text.len());
            for cut in 0..=whole.len() {
                let (one, other) = whole.as_bytes().split_at(cut);
                let mut chunks = ChunksEnd::default();
                let found = chunks.find(one).or_else(|| chunks.find(other).map(|end| cut + end));
                assert_eq!(found, end, "{whole:?} split at {cut}");
            }
        }
    }
}
