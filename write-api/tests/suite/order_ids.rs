//! Generated ids are frozen in a golden file. Another program wrote it from the documented rule.

use anyhow::{Context, Result};
use chrono::DateTime;
use serde::Deserialize;
use uuid::Uuid;
use write_api::domain::{CustomerId, OrderId};

#[derive(Deserialize)]
struct Golden {
    from_key: Vec<FromKey>,
    from_time: Vec<FromTime>,
}

#[derive(Deserialize)]
struct FromKey {
    customer: String,
    key: String,
    order_id: Uuid,
}

#[derive(Deserialize)]
struct FromTime {
    customer: String,
    unix_ms: i64,
    /// In hexadecimal.
    random: String,
    order_id: Uuid,
}

#[test]
fn generated_ids_never_change() -> Result<()> {
    let golden: Golden = serde_json::from_str(include_str!("../golden/order_ids.json"))?;
    assert_eq!((golden.from_key.len(), golden.from_time.len()), (5, 5));
    for FromKey { customer, key, order_id } in golden.from_key {
        let found = OrderId::from_key(&CustomerId::new(customer.clone())?, &key);
        assert_eq!(found.get(), order_id, "{customer} {key}");
    }
    for FromTime { customer, unix_ms, random, order_id } in golden.from_time {
        let now = DateTime::from_timestamp_millis(unix_ms).context("a time")?;
        let random = u64::from_str_radix(&random, 16)?;
        let found = OrderId::from_time(&CustomerId::new(customer.clone())?, now, random);
        assert_eq!(found.get(), order_id, "{customer} {unix_ms} {random:x}");
    }
    Ok(())
}
