//! The files of the dashboard; `deploy/e2e/tests/browser` tests the page in a browser.

use anyhow::Result;

use crate::support::Api;

#[tokio::test]
async fn the_page_comes_from_the_binary_and_may_use_nothing_else() -> Result<()> {
    let api = Api::start().await?;
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/dashboard.css", "text/css; charset=utf-8"),
        ("/dashboard.js", "text/javascript; charset=utf-8"),
        ("/api.js", "text/javascript; charset=utf-8"),
        ("/list.js", "text/javascript; charset=utf-8"),
        ("/text.js", "text/javascript; charset=utf-8"),
    ] {
        let response = api.get(path).await?.error_for_status()?;
        let header = |name: &str| response.headers()[name].to_str().map(str::to_owned);
        assert_eq!(header("content-type")?, content_type);
        assert_eq!(
            (header("x-content-type-options")?, header("referrer-policy")?),
            ("nosniff".into(), "no-referrer".into())
        );
        let policy = header("content-security-policy")?;
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let text = response.text().await?;
        assert!(!text.contains("http://") && !text.contains("https://"), "{path} uses another origin");
        assert!(!text.contains("innerHTML") && !text.contains(" style="), "{path}");
    }
    Ok(())
}
