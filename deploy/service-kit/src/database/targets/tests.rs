use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use futures_util::FutureExt;

use super::*;
use crate::test_log::Log;

const FIRST: &str = "postgres://app:first@localhost/orders";

/// The file of a URL, and the targets of a pool that reads it.
struct UrlFile {
    dir: tempfile::TempDir,
    targets: Targets,
}

impl UrlFile {
    fn new(url: &str, connect_timeout_ms: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), url, 0o600);
        let vars = vec![
            ("DATABASE_URL_FILE".to_owned(), dir.path().join("url").display().to_string()),
            ("DATABASE_CONNECT_TIMEOUT_MS".to_owned(), connect_timeout_ms.to_string()),
        ];
        let config = DatabaseConfig::from_vars(&vars).unwrap();
        let first = config.target_at(url, "test").unwrap();
        Self { dir, targets: Targets::new(config, "test", first) }
    }

    async fn password_after(&self, url: &str, mode: u32) -> String {
        write(self.dir.path(), url, mode);
        password(&*self.targets.next().await)
    }
}

/// In one step: a reader never sees a part of it.
fn write(dir: &Path, url: &str, mode: u32) {
    fs::write(dir.join("new"), url).unwrap();
    fs::set_permissions(dir.join("new"), fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(dir.join("new"), dir.join("url")).unwrap();
}

fn password(target: &Target) -> String {
    String::from_utf8(target.config.get_password().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_url_that_leads_elsewhere_is_not_used_and_the_log_says_what_differs() {
    const LONG: &str = "postgres://app:first@localhost:5432/orders?options=-c%20search_path%3Dshop";
    for (first, new, part) in [
        (FIRST, "postgres://app:new@127.0.0.1/orders", "host"),
        (FIRST, "postgres://app:new@localhost/orders?hostaddr=127.0.0.1", "host"),
        (FIRST, "postgres://app:new@localhost:5433/orders", "port"),
        (FIRST, "postgres://app:new@localhost/invoices", "database"),
        (FIRST, "postgres://app:new@localhost", "database"),
        (FIRST, "postgres://root:new@localhost/orders", "user"),
        (FIRST, "postgres://app_c:new@localhost/orders", "user"),
        (LONG, "postgres://app:new@localhost/orders", "options"),
        (LONG, "postgres://app:new@localhost/orders?options=-c%20search_path%3Dtest", "options"),
    ] {
        let file = UrlFile::new(first, 60_000);
        let (log, _guard) = Log::of_this_thread();
        file.password_after(new, 0o600).await;
        log.enable_lines();
        // Its limiter is new.
        let file = UrlFile::new(first, 60_000);
        assert_eq!(file.password_after(new, 0o600).await, "first", "{new}");
        let log = log.text();
        let reason = format!(r#""reason":"it has another {part}""#);
        assert!(log.contains(&reason) && log.contains("ERROR") && !log.contains("new@"), "{new}: {log}");
        let good = first.replace("first", "second");
        assert_eq!(file.password_after(&good, 0o600).await, "second", "{new}");
    }
}

#[tokio::test]
async fn the_password_and_the_other_role_of_a_pair_may_change() {
    let file = UrlFile::new(FIRST, 60_000);
    for new in [
        "postgres://app_b:new@localhost:5432/orders",
        "postgres://app:new2@localhost/orders?connect_timeout=9",
        "host=localhost dbname=orders user=app_b password=new3",
    ] {
        assert!(file.password_after(new, 0o600).await.starts_with("new"), "{new}");
    }
}

#[tokio::test]
async fn tls_may_be_switched_on_and_its_files_may_change_but_it_is_not_switched_off() {
    let url = |password: &str, mode: &str| format!("postgres://app:{password}@localhost/orders?{mode}");
    let file = UrlFile::new(&url("first", "sslmode=disable"), 60_000);
    for (password, mode) in
        [("new", "sslmode=verify-full&sslrootcert=/a"), ("new2", "sslmode=verify-full&sslrootcert=/b")]
    {
        assert_eq!(file.password_after(&url(password, mode), 0o600).await, password);
    }
    assert_eq!(file.password_after(&url("new3", "sslmode=disable"), 0o600).await, "new2");
}

/// Once each, within less than a second.
async fn all_warnings() {
    let file = UrlFile::new(FIRST, 60_000);
    for (url, mode) in [("", 0o600), ("postgres://app@127.0.0.1/orders", 0o600), (FIRST, 0o604), ("", 0o600)]
    {
        file.password_after(url, mode).await;
    }
}

#[tokio::test]
async fn each_warning_has_a_limit_of_its_own() {
    let (log, _guard) = Log::of_this_thread();
    all_warnings().await;
    log.enable_lines();
    all_warnings().await;
    let log = log.text();
    for line in ["cannot be used; the last URL is", "leads elsewhere", "every user can read the file"] {
        assert!(log.contains(line), "no {line:?}: {log}");
    }
    assert!(log.lines().all(|line| line.contains(r#""times":1"#)), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_reads_at_once_the_older_one_never_wins() {
    let file = UrlFile::new(FIRST, 60_000);
    let UrlFile { dir, targets } = file;
    let (targets, has_ended) = (Arc::new(targets), Arc::new(AtomicBool::new(false)));
    let others: Vec<_> = (0..8)
        .map(|_| {
            let (targets, has_ended) = (Arc::clone(&targets), Arc::clone(&has_ended));
            tokio::spawn(async move {
                while !has_ended.load(Ordering::Relaxed) {
                    targets.next().await;
                }
            })
        })
        .collect();
    for number in 0..500 {
        write(dir.path(), &FIRST.replace("first", &number.to_string()), 0o600);
        for _ in 0..3 {
            assert_eq!(password(&*targets.next().await), number.to_string());
        }
    }
    has_ended.store(true, Ordering::Relaxed);
    futures_util::future::join_all(others).await;
}

#[tokio::test]
async fn a_file_that_hangs_costs_no_connection() {
    let file = UrlFile::new(FIRST, 100);
    let (release, released) = mpsc::channel::<()>();
    let hanging = file.targets.reads.turns.run(move || released.recv_timeout(Duration::from_secs(30)));
    assert!(hanging.now_or_never().is_none());
    assert_eq!(file.password_after(&FIRST.replace("first", "new"), 0o600).await, "first");
    release.send(()).unwrap();
    while password(&*file.targets.next().await) == "first" {}
}
