//! Cursors (I8): valid for their own list, on every replica, and while the key is replaced.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use serde_json::Value;

use crate::paging::{cursor, page};
use crate::support::{Api, Replica, numbers, problem};

#[tokio::test]
async fn a_cursor_is_valid_on_every_replica_and_only_for_its_own_list() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0), (2, "alice", 1), (3, "bob", 0), (4, "bob", 1)]).await?;
    let first = page(&api, "/customers/alice/orders?limit=1").await?;
    let of_alice = cursor(&first).context("no next page")?;

    let replica = api.start_replica()?;
    let next: Value =
        replica.get(&format!("/customers/alice/orders?limit=9&cursor={of_alice}")).await?.json().await?;
    assert_eq!(numbers(&next), [1], "the page size may change");

    let of_all = page(&api, "/orders?limit=1").await?;
    let of_all = cursor(&of_all).context("no next page")?;
    let of_all_placed = page(&api, "/orders?status=placed&limit=1").await?;
    let of_all_placed = cursor(&of_all_placed).context("no next page")?;
    let tampered = format!("{}A", &of_alice[..of_alice.len() - 1]);
    for path in [
        format!("/customers/bob/orders?cursor={of_alice}"),
        format!("/customers/alice/orders?status=paid&cursor={of_alice}"),
        format!("/customers/alice/orders?placed_to=2027-01-01T00:00:00Z&cursor={of_alice}"),
        format!("/customers/alice/orders?cursor={tampered}"),
        format!("/customers/alice/orders?cursor={of_all}"),
        format!("/orders?cursor={of_alice}"),
        format!("/orders?cursor={of_all_placed}"),
        format!("/orders?status=placed&cursor={of_all}"),
        format!("/orders?placed_from=2020-01-01T00:00:00Z&cursor={of_all}"),
        format!("/customers/alice/orders?cursor={of_alice}A"),
        "/customers/alice/orders?cursor=".to_owned(),
        "/customers/alice/orders?cursor=%00".to_owned(),
    ] {
        let response = api.get(&path).await?;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(problem(response).await?["errors"][0]["parameter"], "cursor", "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn during_a_key_replacement_in_three_steps_no_replica_rejects_a_cursor() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0), (2, "alice", 1)]).await?;
    let (old, new) = ("the key that is to be replaced, in use", "the key that is to take its place, then");
    let dir = tempfile::tempdir()?;
    let file = |name: &str, key: &str| -> Result<String> {
        let file = dir.path().join(name);
        fs::write(&file, format!("{key}\n"))?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        Ok(file.to_str().context("a path")?.to_owned())
    };
    let (old_file, new_file) = (file("old", old)?, file("new", new)?);
    // Some replicas have the keys in files.
    let steps = [
        vec![("CURSOR_KEY", old)],
        vec![("CURSOR_KEY_FILE", old_file.as_str()), ("CURSOR_KEY_PREVIOUS_FILE", new_file.as_str())],
        vec![("CURSOR_KEY", new), ("CURSOR_KEY_PREVIOUS", old)],
        vec![("CURSOR_KEY_FILE", new_file.as_str()), ("CURSOR_KEY_PREVIOUS_FILE", old_file.as_str())],
        vec![("CURSOR_KEY", new)],
    ];
    for step in steps.windows(2) {
        let start = |vars: &Vec<_>| Replica::start(&api.database.url("orders_read_api"), vars);
        let replicas: Vec<_> = step.iter().map(start).collect::<Result<_>>()?;
        for (signer, reading) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let first: Value = replicas[signer].get("/customers/alice/orders?limit=1").await?.json().await?;
            let path = format!("/customers/alice/orders?cursor={}", cursor(&first).context("no next page")?);
            let next: Value = replicas[reading].get(&path).await?.error_for_status()?.json().await?;
            assert_eq!(numbers(&next), [1], "{step:?}: signed by {signer}, read by {reading}");
        }
    }
    Ok(())
}
