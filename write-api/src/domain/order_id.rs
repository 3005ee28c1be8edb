//! Ids of orders.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid, Version};

use super::CustomerId;

/// The namespace (RFC 9562, 6.6) of order ids that are derived from idempotency keys. It must never change.
const KEYS: Uuid = Uuid::from_u128(0x3f0c_7a52_8d4e_4b6f_9a1c_52d8_e07b_64c3);

/// Customers are spread over this many buckets. It must never change: the ids of all orders carry their customer's bucket.
const BUCKETS: u32 = 4096;

const MASK_48: u128 = (1 << 48) - 1;
const MASK_62: u128 = (1 << 62) - 1;

/// The id that a new order gets: made here, or chosen by the client.
///
/// An id that is made here is a `UUIDv8`, and no client may choose one: otherwise a client that guesses another customer's
/// idempotency key could occupy the id that follows from it. So version 8 means "made here, and carries its customer's
/// bucket", by which a router finds the order from its id alone. Other versions carry no bucket.
///
/// | Bits | From a key | From the time |
/// |---|---|---|
/// | 0–47 | bits 0–47 of the hash | Unix milliseconds, as in a `UUIDv7` |
/// | 48–51 | version, 8 | version, 8 |
/// | 52–63 | bucket | bucket |
/// | 64–65 | variant, binary 10 | variant, binary 10 |
/// | 66–127 | bits 48–109 of the hash | random |
///
/// Bit 0 is the most significant bit of the first byte, as in RFC 9562.
///
/// - The hash is SHA-256 over the namespace `3f0c7a52-8d4e-4b6f-9a1c-52d8e07b64c3` (its 16 bytes), the customer id, and
///   the key. Customer id and key are UTF-8, each behind its length in bytes as a 64-bit big-endian number. So no two
///   pairs of customer and key hash the same bytes.
/// - The bucket is CRC-32 (IEEE 802.3, as in zlib) of the customer id's UTF-8 bytes, modulo 4096.
///
/// `tests/golden/order_ids.json` freezes the rule: an id that changes makes a repeat place a second order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderId(Uuid);

/// An id that clients may not choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReservedOrderId {
    /// Version 8.
    #[error("must not be of version 8: the service makes these")]
    MadeHere,
    /// All bits are 0, or all are 1.
    #[error("must not be the nil or max UUID")]
    NilOrMax,
}

impl OrderId {
    /// The id of the order that `customer` places with this idempotency key, the same each time.
    #[must_use]
    pub fn from_key(customer: &CustomerId, key: &str) -> Self {
        let hash = hash(customer, key);
        Self::assemble(hash >> 80, customer, hash >> 18)
    }

    /// The id of an order that its client does not name. Ids sort by `now`, to the millisecond; within a millisecond the
    /// low 62 bits of `random` keep them apart.
    #[must_use]
    pub fn from_time(customer: &CustomerId, now: DateTime<Utc>, random: u64) -> Self {
        let millis = u128::try_from(now.timestamp_millis()).unwrap_or_default();
        Self::assemble(millis, customer, random.into())
    }

    /// The id that a client has chosen.
    ///
    /// # Errors
    ///
    /// [`ReservedOrderId`] for version 8, nil and max.
    pub fn chosen(id: Uuid) -> Result<Self, ReservedOrderId> {
        if id.is_nil() || id.is_max() {
            Err(ReservedOrderId::NilOrMax)
        } else if id.get_version() == Some(Version::Custom) {
            Err(ReservedOrderId::MadeHere)
        } else {
            Ok(Self(id))
        }
    }

    /// The id.
    #[must_use]
    pub fn get(self) -> Uuid {
        self.0
    }

    /// Takes the low 48 and the low 62 bits of its arguments.
    fn assemble(first: u128, customer: &CustomerId, last: u128) -> Self {
        let bits = (first & MASK_48) << 80 | u128::from(bucket(customer)) << 64 | last & MASK_62;
        Self(Builder::from_custom_bytes(bits.to_be_bytes()).into_uuid())
    }
}

fn bucket(customer: &CustomerId) -> u32 {
    crc32fast::hash(customer.as_str().as_bytes()) % BUCKETS
}

/// The first 128 bits of the hash.
fn hash(customer: &CustomerId, key: &str) -> u128 {
    let mut hash = Sha256::new_with_prefix(KEYS.as_bytes());
    for part in [customer.as_str(), key] {
        // Where `usize` has fewer bits a length is still hashed as 64 of them.
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Variant;

    use super::*;

    fn customer(text: &str) -> CustomerId {
        CustomerId::new(text.to_owned()).unwrap()
    }

    fn any_text() -> impl Strategy<Value = String> {
        // Few characters, so that the same text is cut at different places.
        "[ab]{1,4}|[a-zü漢😀]{1,20}"
    }

    /// What a router reads out of an id.
    fn bucket_in(id: Uuid) -> u16 {
        let bytes = id.as_bytes();
        u16::from_be_bytes([bytes[6] & 0x0f, bytes[7]])
    }

    #[test]
    fn the_checksum_is_the_one_of_zlib() {
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn ids_made_here_nil_and_max_cannot_be_chosen() {
        let made = OrderId::from_key(&customer("alice"), "cart-1").get();
        assert_eq!(OrderId::chosen(made), Err(ReservedOrderId::MadeHere));
        for reserved in [Uuid::nil(), Uuid::max()] {
            assert_eq!(OrderId::chosen(reserved), Err(ReservedOrderId::NilOrMax));
        }
    }

    #[test]
    fn every_other_version_can_be_chosen() {
        let made = OrderId::from_key(&customer("alice"), "cart-1").get().as_u128();
        for version in (0..16).filter(|version| *version != 8) {
            let other = Uuid::from_u128(made & !(0xf << 76) | version << 76);
            assert_eq!(OrderId::chosen(other).map(OrderId::get), Ok(other), "version {version}");
        }
    }

    #[test]
    fn a_clock_before_1970_or_far_ahead_makes_an_id_all_the_same() {
        for now in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let id = OrderId::from_time(&customer("alice"), now, u64::MAX).get();
            assert_eq!((id.get_version_num(), id.get_variant()), (8, Variant::RFC4122));
        }
    }

    proptest! {
        #[test]
        fn ids_made_here_are_version_8_and_carry_their_customers_bucket(
            name in any_text(), key in any_text(), millis in 0..1_i64 << 47, random: u64
        ) {
            let who = customer(&name);
            let now = DateTime::from_timestamp_millis(millis).unwrap();
            for id in [OrderId::from_key(&who, &key), OrderId::from_time(&who, now, random)] {
                let id = id.get();
                prop_assert_eq!((id.get_version_num(), id.get_variant()), (8, Variant::RFC4122));
                prop_assert_eq!(u32::from(bucket_in(id)), crc32fast::hash(name.as_bytes()) % 4096);
                prop_assert_eq!(OrderId::chosen(id), Err(ReservedOrderId::MadeHere));
            }
        }

        #[test]
        fn one_customer_and_key_have_one_id_and_other_pairs_have_others(
            one in (any_text(), any_text()), two in (any_text(), any_text())
        ) {
            let id = |(name, key): &(String, String)| OrderId::from_key(&customer(name), key);
            prop_assert_eq!(id(&one), id(&one));
            prop_assert_eq!(id(&one) == id(&two), one == two);
        }

        #[test]
        fn ids_from_the_time_sort_by_it_and_differ_by_their_random_bits(
            names in (any_text(), any_text()), earlier in 0..1_i64 << 46, gap in 1..1_i64 << 20, random: (u64, u64)
        ) {
            let id = |name, millis, random| {
                OrderId::from_time(&customer(name), DateTime::from_timestamp_millis(millis).unwrap(), random).get()
            };
            prop_assert!(id(&names.0, earlier, random.0) < id(&names.1, earlier + gap, random.1));
            let same_bits = random.0 << 2 == random.1 << 2;
            prop_assert_eq!(id(&names.0, earlier, random.0) == id(&names.0, earlier, random.1), same_bits);
        }
    }
}
