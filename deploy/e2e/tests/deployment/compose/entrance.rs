//! What `HAProxy` lets in, as curl sees it.

use std::process::Command;

use anyhow::{Result, ensure};

use super::stack::Stack;
use crate::commands::output;

/// HTTP/2 and TLS for clients, limited heads, and an admin port with nothing but the probe and the metrics.
pub(super) fn check(stack: &Stack) -> Result<()> {
    let token = format!("Authorization: Bearer {}", stack.secrets.token()?);
    let long = format!("X-Long: {}", "a".repeat(20_000));
    let list = format!("https://localhost:{}/customers/alice/orders", stack.https_port);
    let admin = |path: &str| format!("http://127.0.0.1:{}{path}", stack.haproxy_port);
    let cases: [(&str, &[&str], String, &str); 7] = [
        ("HTTP/2", &["--http2", "--header", &token], list.clone(), "2 200"),
        ("HTTP/1.1", &["--http1.1", "--header", &token], list.clone(), "1.1 200"),
        ("no token", &["--http2"], list.clone(), "2 401"),
        ("a long head", &["--http1.1", "--header", &token, "--header", &long], list, "1.1 400"),
        ("the probe", &[], admin("/livez"), "1.1 200"),
        ("metrics", &[], admin("/metrics"), "1.1 200"),
        ("something else", &[], admin("/stats"), "1.1 403"),
    ];
    for (what, arguments, url, expected) in cases {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"]);
        curl.arg("--cacert").arg(stack.secrets.of("ca").join("ca.pem")).args(arguments).arg(url);
        let status = output(&mut curl)?;
        ensure!(status == expected, "{what}: {status} instead of {expected}");
    }
    Ok(())
}
