//! Checkpoints of the feed: how far a client has read, as opaque text.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The first byte of a checkpoint. Another layout would get another number.
const VERSION: u8 = 1;

/// Version, history, position, and a checksum of them.
const BYTES: usize = 1 + 8 + 8 + 4;

/// How far a client has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The history to which the position belongs.
    pub(super) history: i64,
    /// All events up to this position have been read, or left out by the filter.
    pub(super) position: i64,
}

/// The text is not a checkpoint, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a checkpoint of this feed: send `checkpoint` of the last response unchanged")]
pub(super) struct InvalidCheckpoint;

/// URL-safe base64, 28 characters. The checksum finds text that was cut or mistyped; it is no protection against
/// forgery, which would gain nothing: every client may read every event.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(VERSION);
        bytes.extend(self.history.to_be_bytes());
        bytes.extend(self.position.to_be_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Checkpoint {
    type Err = InvalidCheckpoint;

    fn from_str(text: &str) -> Result<Self, InvalidCheckpoint> {
        parse(text).ok_or(InvalidCheckpoint)
    }
}

fn parse(text: &str) -> Option<Checkpoint> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(content).to_be_bytes() != *checksum {
        return None;
    }
    let ([VERSION], numbers) = content.split_first_chunk()? else { return None };
    let (history, position) = numbers.split_first_chunk()?;
    let position = i64::from_be_bytes(position.try_into().ok()?);
    Some(Checkpoint { history: i64::from_be_bytes(*history), position }).filter(|_| position >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_survives_the_round_trip_through_text() {
        for (history, position) in [(0, 0), (-7_711, 4_711), (i64::MAX, i64::MAX)] {
            let checkpoint = Checkpoint { history, position };
            let text = checkpoint.to_string();
            assert_eq!((text.parse(), text.len()), (Ok(checkpoint), 28));
        }
    }

    #[test]
    fn text_that_was_changed_is_refused() {
        let text = Checkpoint { history: 7, position: 4_711 }.to_string();
        for index in 0..text.len() {
            for other in ["A", "B", "_"] {
                let mut changed = text.clone();
                changed.replace_range(index..=index, other);
                assert!(changed == text || changed.parse::<Checkpoint>().is_err(), "{changed}");
            }
            assert_eq!(text[..index].parse::<Checkpoint>(), Err(InvalidCheckpoint), "{index}");
        }
        let negative = Checkpoint { history: 7, position: -1 }.to_string();
        assert_eq!(negative.parse::<Checkpoint>(), Err(InvalidCheckpoint));
        assert_eq!("now".parse::<Checkpoint>(), Err(InvalidCheckpoint));
    }
}
