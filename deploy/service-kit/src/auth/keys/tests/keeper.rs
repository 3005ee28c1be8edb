//! Refresh and age, in virtual time. Reading the file takes none of it.

use serde_json::json;
use tokio::time::sleep;

use super::super::keeper::{KEPT_FOR, REFRESH_EVERY, RETRY_AFTER};
use super::super::source::DOCUMENT_MAX;
use super::*;
use crate::auth::tests::{KeyFile, Log, document, private_jwk, until};

const SECOND: Duration = Duration::from_secs(1);

async fn ready(source: Source) -> Kept {
    let kept = Kept::start(source);
    until("ready", || kept.is_ready()).await;
    kept
}

#[tokio::test(start_paused = true)]
async fn a_key_set_is_fetched_again_every_five_minutes_and_replaces_the_old_one() {
    let (old, new) = (TestKey::ed25519("old"), TestKey::ed25519("new"));
    let file = KeyFile::new(&document(&[&old]));
    let kept = ready(file.source()).await;
    sleep(2 * REFRESH_EVERY + SECOND).await;
    assert_eq!(kept.changes.load(Ordering::SeqCst), 1, "the same keys change nothing");
    assert!(kept.age() < 5.0, "{}", kept.age());
    file.write(&document(&[&new]));
    sleep(REFRESH_EVERY.saturating_sub(3 * SECOND)).await;
    assert!(kept.has(&old) && !kept.has(&new));
    assert!(kept.age() > 290.0, "{}", kept.age());
    sleep(5 * SECOND).await;
    assert!(!kept.has(&old) && kept.has(&new));
    assert_eq!((kept.changes.load(Ordering::SeqCst), kept.keys.generation()), (2, Some(2)));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_comes_up_to_a_tenth_of_the_pause_earlier_at_random() {
    let (old, new) = (TestKey::ed25519("old"), TestKey::ed25519("new"));
    let file = KeyFile::new(&document(&[&old]));
    let kept = Kept::with_random(file.source(), || 1.0);
    until("ready", || kept.is_ready()).await;
    file.write(&document(&[&new]));
    sleep(REFRESH_EVERY.mul_f64(0.9).saturating_sub(3 * SECOND)).await;
    assert!(!kept.has(&new));
    sleep(5 * SECOND).await;
    assert!(kept.has(&new));
}

#[test]
fn each_pause_has_a_random_number_of_its_own() {
    let registry = Registry::new(&[]).unwrap();
    let reports = registry.register(|| Reports {
        has_keys: health().add_condition("There are no keys."),
        age_seconds: gauge!("age"),
        fetch_failures: counter!("failures"),
    });
    let (keeper, _) = Keeper::new(Source::file("/nowhere"), Vec::new(), reports, || ());
    let numbers: Vec<_> = (0..100).map(|_| (keeper.random)()).collect();
    assert!(numbers.iter().all(|number| (0.0..=1.0).contains(number)), "{numbers:?}");
    assert!(numbers.iter().any(|number| *number < 0.5) && numbers.iter().any(|number| *number > 0.5));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_used_changes_nothing() {
    let key = TestKey::ed25519("key");
    let file = KeyFile::new(&document(&[&key]));
    let kept = ready(file.source()).await;
    let too_large = document(&[&TestKey::ed25519("other")]) + &" ".repeat(DOCUMENT_MAX);
    let bad = [
        "",
        "<html>",
        "[]",
        r#"{"keys": []}"#,
        r#"{"keys": [{"kty": "oct", "kid": "k", "k": "AA"}]}"#,
        &too_large,
    ];
    let mut age = 0.0;
    for text in bad {
        let failures = kept.failures();
        file.write(text);
        sleep(REFRESH_EVERY + SECOND).await;
        assert!(kept.has(&key) && kept.is_ready(), "{text:.20}");
        assert!(kept.failures() > failures, "{text:.20}");
        assert!(kept.age() > age + 290.0, "{text:.20}");
        age = kept.age();
    }
    std::fs::remove_file(file.path()).unwrap();
    sleep(REFRESH_EVERY).await;
    std::fs::create_dir(file.path()).unwrap();
    sleep(REFRESH_EVERY).await;
    assert!(kept.has(&key) && kept.is_ready());
    assert_eq!(kept.changes.load(Ordering::SeqCst), 1);
    std::fs::remove_dir(file.path()).unwrap();
    file.write(&document(&[&key]));
    sleep(RETRY_AFTER + 2 * SECOND).await;
    assert!(kept.age() < 40.0, "a failed fetch is tried again soon: {}", kept.age());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_no_longer_secret_goes_even_if_no_other_is_given() {
    let (leaked, other) = (TestKey::ed25519("leaked"), TestKey::ed25519("other"));
    let file = KeyFile::new(&document(&[&leaked, &other]));
    let kept = ready(file.source()).await;
    file.write(&json!({"keys": [private_jwk(&leaked)]}).to_string());
    sleep(REFRESH_EVERY + SECOND).await;
    assert!(!kept.has(&leaked) && kept.has(&other) && kept.is_ready());
    file.write(&json!({"keys": [private_jwk(&leaked), private_jwk(&other)]}).to_string());
    sleep(RETRY_AFTER + SECOND).await;
    assert!(!kept.has(&other) && !kept.is_ready());
}

#[tokio::test(start_paused = true)]
async fn the_last_good_set_counts_for_a_day() {
    let key = TestKey::ed25519("key");
    let file = KeyFile::new(&document(&[&key]));
    let kept = ready(file.source()).await;
    std::fs::remove_file(file.path()).unwrap();
    sleep(KEPT_FOR.saturating_sub(10 * SECOND)).await;
    assert!(kept.has(&key) && kept.is_ready());
    sleep(20 * SECOND).await;
    assert!(!kept.has(&key) && !kept.is_ready());
    assert_eq!(kept.health.ready().unwrap_err().to_string(), "There are no keys.");
    sleep(KEPT_FOR).await;
    assert!(kept.age() > 2.0 * KEPT_FOR.as_secs_f64(), "{}", kept.age());
    file.write(&document(&[&key]));
    sleep(RETRY_AFTER + SECOND).await;
    assert!(kept.has(&key) && kept.is_ready());
}

#[tokio::test(start_paused = true)]
async fn without_a_key_it_is_not_ready_and_tries_often() {
    let key = TestKey::ed25519("key");
    let file = KeyFile::new("");
    let kept = Kept::start(file.source());
    sleep(SECOND / 2).await;
    assert!(!kept.is_ready());
    assert!(kept.age() < 1.0, "a number before the first fetch");
    file.write(&document(&[&key]));
    sleep(SECOND).await;
    assert!(kept.is_ready());

    let kept = Kept::start(KeyFile::new("").source());
    sleep(10 * SECOND).await;
    assert!((3..=5).contains(&kept.failures()), "{}", kept.failures());
    sleep(REFRESH_EVERY).await;
    assert!((12..=16).contains(&kept.failures()), "{}", kept.failures());
}

#[tokio::test(start_paused = true)]
async fn the_log_names_a_key_that_is_left_out_once_and_the_cause_of_each_failure() {
    let (log, _guard) = Log::of_this_thread();
    let (key, leaked) = (TestKey::ed25519("key"), TestKey::ed25519("leaked"));
    let file = KeyFile::new(&json!({"keys": [key.jwk(), {"kid": "first"}]}).to_string());
    let kept = ready(file.source()).await;
    std::fs::remove_file(file.path()).unwrap();
    sleep(REFRESH_EVERY + SECOND).await;
    log.enable_lines();
    sleep(RETRY_AFTER).await;
    let text = log.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    let name = file.path().display().to_string();
    for part in ["WARN", "cannot be fetched: the file cannot be read: No such file", &name] {
        assert!(text.contains(part), "{part}: {text}");
    }

    file.write(&json!({"keys": [key.jwk(), private_jwk(&leaked)]}).to_string());
    sleep(2 * REFRESH_EVERY + RETRY_AFTER).await;
    assert!(kept.age() < REFRESH_EVERY.as_secs_f64());
    let text = log.text();
    assert_eq!(text.matches("is left out").count(), 1, "{text}");
    let line = text.lines().find(|line| line.contains("is left out")).unwrap();
    assert!(line.contains("WARN") && line.contains("leaked") && line.contains("private"), "{line}");
    assert!(!text.contains("secret"), "{text}");
}
