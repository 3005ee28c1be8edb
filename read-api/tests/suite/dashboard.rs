//! The files of the dashboard; `deploy/e2e/tests/browser` tests the page in a browser.

use anyhow::Result;

use crate::support::Api;

#[tokio::test]
async fn the_page_comes_from_the_binary_and_may_use_nothing_else() -> Result<()> {
    let api = Api::start().await?;
    // Each file that the page uses is served: the page names its styles and its first script, a script those it
    // imports.
    let mut paths = vec!["/".to_owned()];
    let mut next = 0;
    while let Some(path) = paths.get(next).cloned() {
        next += 1;
        let content_type = match path.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        let response = api.get(&path).await?.error_for_status()?;
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
        for file in text.split('"').filter_map(|word| word.strip_prefix(['/', '.'])) {
            let file = format!("/{}", file.trim_start_matches('/'));
            let is_file = matches!(file.rsplit_once('.'), Some((_, "css" | "js")));
            if is_file && !paths.contains(&file) {
                paths.push(file);
            }
        }
    }
    assert!(paths.len() > 10, "{paths:?}");
    Ok(())
}
