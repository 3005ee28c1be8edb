//! Random bad tokens leave the memory of a process bounded.

use std::fs;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::fair_shares::Scene;

const MIB: u64 = 1024 * 1024;

const CONNECTIONS: u32 = 4;

/// Requests that are written at once.
const PIPELINED: u32 = 50;

fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// A token that is not valid: a quarter of them name the key of the issuer and have a wrong signature, and the others
/// are nonsense.
fn bad_token(number: u32, header: &str) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let [random, other] = [(); 2].map(|()| Uuid::new_v4());
    if !number.is_multiple_of(4) {
        return format!("e30.{}.{number}", random.simple());
    }
    let claims = json!({
        "iss": "https://issuer.test", "aud": "orders", "sub": random, "scope": "orders:read", "exp": 4_000_000_000_u32
    });
    let signature = [random, other, random, other].map(Uuid::into_bytes).concat();
    format!("{header}.{}.{}", encode(claims.to_string().as_bytes()), encode(&signature))
}

/// Sends these requests, each with another token from another address. Returns how many got a 401 and a 429.
async fn send(url: &str, numbers: std::ops::Range<u32>, header: &str) -> Result<[u32; 2]> {
    let (reader, mut writer) = TcpStream::connect(url.trim_start_matches("http://")).await?.into_split();
    let last = numbers.end - 1;
    let sending = async {
        let mut requests = String::new();
        for number in numbers {
            let [a, b, c, _] = number.rotate_right(24).to_be_bytes();
            let [.., d] = number.to_be_bytes();
            let close = if number == last { "connection: close\r\n" } else { "" };
            let from = format!("x-forwarded-for: {}.{b}.{c}.{d}", 20 + a % 100);
            let token = bad_token(number, header);
            let head = "GET /orders/00000000-0000-0000-0000-000000000000 HTTP/1.1\r\nhost: x\r\n";
            requests.extend([head, close, &from, "\r\nauthorization: Bearer ", &token, "\r\n\r\n"]);
            if number.is_multiple_of(PIPELINED) || number == last {
                writer.write_all(requests.as_bytes()).await?;
                requests.clear();
            }
        }
        anyhow::Ok(())
    };
    let receiving = async {
        let (mut reader, mut line, mut counts) = (BufReader::new(reader), Vec::new(), [0; 2]);
        while reader.read_until(b'\n', &mut line).await? > 0 {
            for (count, status) in counts.iter_mut().zip(["HTTP/1.1 401", "HTTP/1.1 429"]) {
                *count += u32::from(line.windows(status.len()).any(|part| part == status.as_bytes()));
            }
            line.clear();
        }
        anyhow::Ok(counts)
    };
    let (sent, received) = tokio::join!(sending, receiving);
    sent?;
    received
}

async fn memory_stays_bounded(requests: u32) -> Result<()> {
    // A line for each request would measure the disk.
    let vars = [("TRUSTED_PROXIES", "127.0.0.0/8"), ("ACCESS_LOG", "off")];
    let scene = Scene::start(&vars).await?;
    let token = scene.token("alice")?;
    let (header, _) = token.split_once('.').context("no header")?;
    scene.get("alice", &token, "").await?.error_for_status()?;
    let url = scene.read.url();
    send(url, 1..2_000, header).await?;
    let before = resident_bytes(scene.read.pid())?;
    let part = requests / CONNECTIONS;
    let parts = (0..CONNECTIONS).map(|number| send(url, number * part..(number + 1) * part, header));
    let counts = futures_util::future::try_join_all(parts).await?;
    let sum = |of: fn(&[u32; 2]) -> u32| counts.iter().map(of).sum::<u32>();
    let (refused, over) = (sum(|[refused, _]| *refused), sum(|[_, over]| *over));
    let grown = resident_bytes(scene.read.pid())?.saturating_sub(before);
    assert_eq!(refused + over, part * CONNECTIONS, "{refused} 401, {over} 429");
    // The first of each address has a share of its own, as long as there is room.
    assert!(refused >= 65_536, "{refused}");
    assert!(grown < 32 * MIB, "{} MiB", grown / MIB);
    scene.get("alice", &token, "").await?.error_for_status()?;
    Ok(())
}

/// More addresses than a process keeps count of.
#[tokio::test]
async fn random_bad_tokens_leave_the_memory_of_the_process_bounded() -> Result<()> {
    memory_stays_bounded(100_000).await
}

#[tokio::test]
#[ignore = "takes minutes in a debug build"]
async fn a_million_bad_tokens_leave_the_memory_of_the_process_bounded() -> Result<()> {
    memory_stays_bounded(1_000_000).await
}
