//! Cursors: the position after which the next page starts, signed with an HMAC. Clients cannot forge one, or use it for
//! another list. The position is not encrypted.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use service_kit::config::ConfigError;
use sha2::Sha256;
use uuid::Uuid;

use crate::model::{Filter, ListPosition};

/// The first byte of a cursor. Another layout would get another number.
const VERSION: u8 = 1;

const POSITION_BYTES: usize = 8 + 16;
const SIGNED_BYTES: usize = 1 + POSITION_BYTES;
/// Half of the MAC: 128 bits are too many to guess.
const MAC_BYTES: usize = 16;

/// The minimum length of a key, in bytes: the output of `openssl rand -hex 16`.
const MIN_KEY_BYTES: usize = 32;

/// The secrets for cursors: the current key signs new cursors, and cursors that either key signed are accepted. All
/// replicas must share them; otherwise they reject each other's cursors.
#[derive(Clone)]
pub struct CursorKeys {
    current: CursorKey,
    /// Set while the key is being replaced: the other key in use.
    previous: Option<CursorKey>,
}

impl fmt::Debug for CursorKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKeys")
    }
}

impl CursorKeys {
    /// The keys in `CURSOR_KEY` and, if set, `CURSOR_KEY_PREVIOUS`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the variable whose key is too short, or `CURSOR_KEY_PREVIOUS` if both are the same. It
    /// never shows a key.
    pub fn new(current: &SecretString, previous: Option<&SecretString>) -> Result<Self, ConfigError> {
        let current_key = CursorKey::new("CURSOR_KEY", current)?;
        let Some(previous) = previous else { return Ok(Self { current: current_key, previous: None }) };
        let previous_key = CursorKey::new("CURSOR_KEY_PREVIOUS", previous)?;
        if previous.expose_secret() == current.expose_secret() {
            let reason =
                "must differ from CURSOR_KEY; leave it unset when no key is being replaced".to_owned();
            return Err(ConfigError::Invalid { variable: "CURSOR_KEY_PREVIOUS", reason });
        }
        Ok(Self { current: current_key, previous: Some(previous_key) })
    }

    /// The cursor of the page that starts after `position` in the filtered list of these customers' orders.
    pub(crate) fn sign(&self, customers: Customers<'_>, filter: &Filter, position: ListPosition) -> String {
        self.current.sign(customers, filter, position)
    }

    /// The position in a cursor; `None` unless it was signed with one of the keys, for these customers and this filter.
    pub(crate) fn verify(
        &self,
        customers: Customers<'_>,
        filter: &Filter,
        cursor: &str,
    ) -> Option<ListPosition> {
        let verify = |key: &CursorKey| key.verify(customers, filter, cursor);
        verify(&self.current).or_else(|| self.previous.as_ref().and_then(verify))
    }
}

/// The customers whose orders a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Customers<'a> {
    One(&'a str),
    All,
}

#[derive(Clone)]
struct CursorKey(Hmac<Sha256>);

impl CursorKey {
    fn new(variable: &'static str, secret: &SecretString) -> Result<Self, ConfigError> {
        let bytes = secret.expose_secret().as_bytes();
        let keyed = Hmac::new_from_slice(bytes).ok().filter(|_| bytes.len() >= MIN_KEY_BYTES);
        let reason =
            || format!("must have at least {MIN_KEY_BYTES} characters; `openssl rand -hex 32` prints one");
        keyed.map(Self).ok_or_else(|| ConfigError::Invalid { variable, reason: reason() })
    }

    fn sign(&self, customers: Customers<'_>, filter: &Filter, position: ListPosition) -> String {
        let mut cursor = Vec::with_capacity(SIGNED_BYTES + MAC_BYTES);
        cursor.push(VERSION);
        cursor.extend(position.placed_at.timestamp_micros().to_be_bytes());
        cursor.extend(position.order_id.as_bytes());
        let mac = self.mac(&cursor, customers, filter).finalize().into_bytes();
        cursor.extend(mac.iter().take(MAC_BYTES));
        BASE64_URL_SAFE_NO_PAD.encode(cursor)
    }

    fn verify(&self, customers: Customers<'_>, filter: &Filter, cursor: &str) -> Option<ListPosition> {
        let cursor: [u8; SIGNED_BYTES + MAC_BYTES] =
            BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
        let (signed, mac) = cursor.split_at_checked(SIGNED_BYTES)?;
        self.mac(signed, customers, filter).verify_truncated_left(mac).ok()?;
        let ([VERSION], position) = signed.split_first_chunk()? else { return None };
        let (micros, order_id) = position.split_first_chunk()?;
        Some(ListPosition {
            placed_at: DateTime::from_timestamp_micros(i64::from_be_bytes(*micros))?,
            order_id: Uuid::from_slice(order_id).ok()?,
        })
    }

    /// Covers the position and the list. Each part has a fixed length, is preceded by its length, or ends in a zero
    /// byte, so that two lists never have the same bytes.
    fn mac(&self, signed: &[u8], customers: Customers<'_>, filter: &Filter) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(signed);
        match customers {
            Customers::One(customer_id) => {
                mac.update(&customer_id.len().to_be_bytes());
                mac.update(customer_id.as_bytes());
            }
            // No customer id has this length.
            Customers::All => mac.update(&usize::MAX.to_be_bytes()),
        }
        for bound in [filter.placed_from, filter.placed_to] {
            mac.update(&[u8::from(bound.is_some())]);
            mac.update(&bound.as_ref().map_or(0, DateTime::<Utc>::timestamp_micros).to_be_bytes());
        }
        for status in &filter.statuses {
            mac.update(status.as_str().as_bytes());
            mac.update(&[0]);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::OrderStatus;

    fn key(secret: &str) -> CursorKeys {
        CursorKeys::new(&SecretString::from(secret), None).unwrap()
    }

    fn keys(current: &str, previous: &str) -> Result<CursorKeys, ConfigError> {
        CursorKeys::new(&SecretString::from(current), Some(&SecretString::from(previous)))
    }

    fn position() -> ListPosition {
        ListPosition {
            placed_at: DateTime::from_timestamp_micros(1_763_900_000_123_456).unwrap(),
            order_id: Uuid::from_u128(7),
        }
    }

    fn filter(statuses: &[OrderStatus], from: Option<i64>, to: Option<i64>) -> Filter {
        let time = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        Filter {
            statuses: statuses.iter().copied().collect::<BTreeSet<_>>(),
            placed_from: from.map(time),
            placed_to: to.map(time),
        }
    }

    const ALICE: Customers<'_> = Customers::One("alice");

    const SECRET: &str = "a secret of thirty-two characters";

    #[test]
    fn a_verified_cursor_gives_the_position_that_was_signed() {
        let (key, filter) = (key(SECRET), filter(&[OrderStatus::Paid], Some(1), None));
        let cursor = key.sign(ALICE, &filter, position());
        assert_eq!(key.verify(ALICE, &filter, &cursor), Some(position()));
    }

    #[test]
    fn a_cursor_fits_its_own_list_and_key_only() {
        use OrderStatus::{Paid, Placed};
        let signed_for = filter(&[Paid], Some(1), None);
        let cursor = key(SECRET).sign(ALICE, &signed_for, position());
        for (customers, other) in [
            (Customers::One("bob"), signed_for.clone()),
            (Customers::All, signed_for.clone()),
            (ALICE, filter(&[], Some(1), None)),
            (ALICE, filter(&[Placed], Some(1), None)),
            (ALICE, filter(&[Placed, Paid], Some(1), None)),
            (ALICE, filter(&[Paid], None, Some(1))),
            (ALICE, filter(&[Paid], Some(1), Some(1))),
            (ALICE, filter(&[Paid], Some(0), None)),
            (ALICE, filter(&[Paid], None, None)),
        ] {
            assert_eq!(key(SECRET).verify(customers, &other, &cursor), None, "{customers:?} {other:?}");
        }
        let of_all = key(SECRET).sign(Customers::All, &signed_for, position());
        assert_eq!(key(SECRET).verify(Customers::All, &signed_for, &of_all), Some(position()));
        assert_eq!(key(SECRET).verify(ALICE, &signed_for, &of_all), None);
        assert_eq!(key("another secret of as many characters").verify(ALICE, &signed_for, &cursor), None);
    }

    #[test]
    fn a_cursor_with_any_bit_changed_is_rejected() {
        let (key, filter) = (key(SECRET), Filter::default());
        let cursor = BASE64_URL_SAFE_NO_PAD.decode(key.sign(ALICE, &filter, position())).unwrap();
        for bit in 0..cursor.len() * 8 {
            let mut changed = cursor.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                key.verify(ALICE, &filter, &BASE64_URL_SAFE_NO_PAD.encode(changed)),
                None,
                "bit {bit}"
            );
        }
        for text in ["", "x", "%%%", "AAAA", &"A".repeat(54), &"A".repeat(10_000)] {
            assert_eq!(key.verify(ALICE, &filter, text), None, "{text}");
        }
    }

    #[test]
    fn during_a_key_replacement_both_keys_cursors_are_accepted_and_the_current_key_signs() {
        let (old, filter) = ("the key of last year, 32 characters", Filter::default());
        let (before, during, after) = (key(old), keys(SECRET, old).unwrap(), key(SECRET));
        for signer in [&before, &during, &after] {
            let cursor = signer.sign(ALICE, &filter, position());
            assert_eq!(during.verify(ALICE, &filter, &cursor), Some(position()));
            assert_eq!(during.verify(Customers::One("bob"), &filter, &cursor), None);
        }
        let signed = during.sign(ALICE, &filter, position());
        assert_eq!(after.verify(ALICE, &filter, &signed), Some(position()));
        assert_eq!(before.verify(ALICE, &filter, &signed), None);
        let of_another_key = key("a third key of thirty-two characters").sign(ALICE, &filter, position());
        assert_eq!(during.verify(ALICE, &filter, &of_another_key), None);
    }

    #[test]
    fn a_short_or_repeated_key_is_an_error_that_names_the_variable_and_shows_no_key() {
        let short = CursorKeys::new(&SecretString::from("hunter2"), None).unwrap_err().to_string();
        assert!(short.starts_with("CURSOR_KEY must have at least 32"), "{short}");
        for previous in ["hunter2", ""] {
            let short = keys(SECRET, previous).unwrap_err().to_string();
            assert!(short.starts_with("CURSOR_KEY_PREVIOUS must have at least 32"), "{short}");
        }
        let same = keys(SECRET, SECRET).unwrap_err().to_string();
        assert!(same.starts_with("CURSOR_KEY_PREVIOUS must differ from CURSOR_KEY"), "{same}");
        assert!(![&short, &same].iter().any(|error| error.contains("hunter2") || error.contains(SECRET)));
        assert_eq!(format!("{:?}", keys(SECRET, "another secret of as many characters")), "Ok(CursorKeys)");
    }
}
