//! The units run under systemd, as PID 1 of a container.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::install::{SET_PASSWORDS, install};
use super::machine::Machine;
use crate::environment::PROCESSES;
use crate::secrets::Secrets;

/// `LimitNOFILE` of the units.
const DESCRIPTORS: &str = "16384";
/// The default of `SHUTDOWN_DELAY_MS`.
const SHUTDOWN_DELAY: Duration = Duration::from_secs(5);
const WRITE_PORT: u16 = 8081;
const READ_PORT: u16 = 8082;

/// Runs a script as the user of the process, with what it sees of the machine.
const AS_PROCESS: &str = r#"
pid=$(systemctl show --value --property=MainPID "$1")
user=$(stat --format=%u "/proc/$pid")
nsenter --target "$pid" --mount setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs \
    --inh-caps=-all --bounding-set=-all bash -c "$2" script "${@:3}"
"#;

fn unit(process: &str) -> String {
    format!("orders-{process}")
}

fn admin_port(process: &str) -> u16 {
    match process {
        "write-api" => 9081,
        "read-api" => 9082,
        _ => 9083,
    }
}

fn readiness(machine: &Machine, process: &str) -> Result<u16> {
    Ok(machine.request(admin_port(process), "GET /readyz", "", &Value::Null)?.0)
}

fn wait_until_ready(machine: &Machine, process: &str) -> Result<()> {
    machine.wait_for(process, || {
        let status = readiness(machine, process)?;
        ensure!(status == 200, "not ready: {status}");
        Ok(())
    })
}

/// Places an order, and reads it when the projector has seen it.
fn an_order_passes(machine: &Machine, token: &str) -> Result<()> {
    let order = json!({"customer_id": "alice", "items": [{"sku": "TEA", "quantity": 2, "price_cents": 450}]});
    let (status, placed) = machine.request(WRITE_PORT, "POST /orders", token, &order)?;
    ensure!(status == 201, "{status}: {placed}");
    let id = placed["order_id"].as_str().context("no id")?;
    let head = format!("GET /orders/{id}?min_version=1");
    let (status, found) = machine.request(READ_PORT, &head, token, &Value::Null)?;
    ensure!(status == 200 && found["total_cents"] == 900, "{status}: {found}");
    Ok(())
}

/// The unit that migrates has ended, and does nothing when it runs again.
fn the_migration_is_complete(machine: &Machine) -> Result<()> {
    let script =
        "journalctl --sync; journalctl --no-pager --unit=orders-migrate | grep --count 'migration applied'";
    let applied = machine.exec(script, &[]).context("no migration is applied")?;
    machine.exec("systemctl start orders-migrate", &[])?;
    machine.expect("orders-migrate", "Result", "success")?;
    machine.expect("orders-migrate", "ActiveState", "inactive")?;
    ensure!(machine.exec(script, &[])? == applied, "a migration is applied twice");
    Ok(())
}

fn nothing_is_wrong_in_the_log(machine: &Machine, process: &str) -> Result<()> {
    let log = machine.log(&unit(process))?;
    ensure!(log.contains(r#""level":"INFO""#), "no log");
    let wrong =
        log.lines().find(|line| line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#));
    ensure!(wrong.is_none(), "{process}: {wrong:?}");
    Ok(())
}

/// The process is nobody: no root, no capability, and none to be had.
fn has_no_rights(machine: &Machine, process: &str) -> Result<()> {
    let script = "cat /proc/$(systemctl show --value --property=MainPID $1)/status";
    let status = machine.exec(script, &[&unit(process)])?;
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        value.map(|value| value.split_whitespace().collect::<Vec<_>>()).context("no such field")
    };
    ensure!(field("Uid")?.iter().all(|user| *user != "0"), "{process} is root");
    for capabilities in ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"] {
        ensure!(field(capabilities)? == ["0000000000000000"], "{process} has {capabilities}");
    }
    ensure!(field("NoNewPrivs")? == ["1"] && field("Seccomp")? == ["2"], "{process}: {status}");
    Ok(())
}

/// It reads its own secret, and none of the others; it writes nowhere but to a /tmp of its own.
fn sees_its_own_only(machine: &Machine, process: &str) -> Result<()> {
    let own = format!("/run/credentials/orders-{process}.service/database_url");
    let as_process = |script: &str, path: &str| machine.exec(AS_PROCESS, &[&unit(process), script, path]);
    ensure!(as_process(r#"cat "$1""#, &own)?.starts_with("postgres://"), "{process} cannot read its secret");
    let others = PROCESSES.into_iter().filter(|other| *other != process);
    let mut hidden: Vec<_> =
        others.clone().map(|other| format!("/run/credentials/orders-{other}.service/database_url")).collect();
    for other in others {
        hidden.push(format!("/proc/{}/stat", machine.property(&unit(other), "MainPID")?));
    }
    let copied_from = ["write-api.database_url", "migrate.database_url", "cursor_key"];
    hidden.extend(copied_from.map(|name| format!("/etc/orders/credentials/{name}")));
    hidden.extend(["/root/deploy/README.md", "/tmp/of-the-machine"].map(str::to_owned));
    machine.exec("touch /tmp/of-the-machine", &[])?;
    for path in &hidden {
        machine.exec(r#"cat "$1""#, &[path]).with_context(|| format!("root does not see {path}"))?;
        ensure!(as_process(r#"cat "$1""#, path).is_err(), "{process} can read {path}");
    }
    for path in ["/usr/local/bin/new", "/etc/orders/new", "/var/lib/new", "/run/new", &own] {
        ensure!(as_process(r#": >"$1""#, path).is_err(), "{process} can write {path}");
    }
    as_process(r#": >"$1""#, "/tmp/new").map(drop)
}

/// A process raises the soft limit to the hard one, whatever the filter of system calls forbids.
fn raises_its_descriptors(machine: &Machine, process: &str) -> Result<()> {
    let expected = format!(r#""descriptors.limit":{DESCRIPTORS},"#);
    ensure!(machine.log(&unit(process))?.contains(&expected), "{process} has another limit");
    machine.change(&unit(process), &format!("[Service]\\nLimitNOFILE=1024:{DESCRIPTORS}"))?;
    machine.exec("systemctl restart $1", &[&unit(process)])?;
    wait_until_ready(machine, process)?;
    machine.expect(&unit(process), "LimitNOFILESoft", "1024")?;
    ensure!(machine.log(&unit(process))?.contains(&expected), "{process} keeps its soft limit");
    machine.change(&unit(process), "[Service]")
}

/// More often than systemd's default allows within ten seconds.
fn comes_back_after_each_kill(machine: &Machine, process: &str, kills: u32) -> Result<()> {
    for kill in 1..=kills {
        machine.exec("systemctl kill --signal=KILL --kill-who=main $1", &[&unit(process)])?;
        machine.wait_for(&format!("{process} after kill -9"), || {
            machine.expect(&unit(process), "NRestarts", &kill.to_string())?;
            machine.expect(&unit(process), "ActiveState", "active")
        })?;
    }
    wait_until_ready(machine, process)
}

/// The login roles of write-api that have sessions.
fn roles(machine: &Machine) -> Result<String> {
    let statement = "SELECT DISTINCT usename FROM pg_stat_activity WHERE usename LIKE 'orders_write%'";
    let script = "cd / && runuser -u postgres -- psql --no-psqlrc --tuples-only --no-align --command=\"$1\"";
    Ok(machine.exec(script, &[statement])?.trim().to_owned())
}

/// The second role gets a password; the process uses it after a restart, not after a reload.
fn a_password_is_replaced(machine: &Machine, token: &str) -> Result<()> {
    ensure!(roles(machine)? == "orders_write_api");
    let script = r#"umask 077
        openssl rand -hex 24 >/run/secrets/orders_write_api_b
        cd /etc/orders/credentials
        sed "s|//orders_write_api:[^@]*@|//orders_write_api_b:$(cat /run/secrets/orders_write_api_b)@|" \
            write-api.database_url >new
        mv new write-api.database_url"#;
    machine.exec(&format!("{script}\n{SET_PASSWORDS}"), &[])?;
    ensure!(machine.exec("systemctl reload orders-write-api", &[]).is_err(), "a reload does something");
    ensure!(roles(machine)? == "orders_write_api", "the new password is in use before a restart");
    machine.exec("systemctl restart orders-write-api", &[])?;
    wait_until_ready(machine, "write-api")?;
    machine.exec(&format!("rm /run/secrets/orders_write_api\n{SET_PASSWORDS}"), &[])?;
    ensure!(roles(machine)? == "orders_write_api_b");
    an_order_passes(machine, token)
}

/// A wrong configuration ends with its own status, and the process is left alone until an operator starts it.
fn stays_down_with_a_wrong_configuration(machine: &Machine, process: &str) -> Result<()> {
    machine.change(&unit(process), "[Service]\\nEnvironment=DATABASE_POOL_SIZE=many")?;
    machine.exec("systemctl restart $1", &[&unit(process)])?;
    machine.wait_for("the end of a process", || machine.expect(&unit(process), "ActiveState", "failed"))?;
    machine.expect(&unit(process), "ExecMainStatus", "78")?;
    machine.expect(&unit(process), "NRestarts", "0")?;
    // By its name: of a process that ends at once, the journal may not know the unit.
    let script =
        "journalctl --sync; journalctl --no-pager --identifier=$1 | grep 'wrong.*DATABASE_POOL_SIZE'";
    machine.exec(script, &[process]).context("the log does not name the variable")?;
    machine.change(&unit(process), "[Service]")?;
    machine.exec("systemctl start $1", &[&unit(process)])?;
    wait_until_ready(machine, process)
}

/// It is not ready any more, serves for a while, and ends with 0.
fn stops_in_order(machine: &Machine, process: &str, serve: impl Fn() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    machine.exec("systemctl stop --no-block $1", &[&unit(process)])?;
    machine.wait_for("a process that is not ready", || {
        let status = readiness(machine, process)?;
        ensure!(status == 503, "{status}");
        Ok(())
    })?;
    machine.expect(&unit(process), "ActiveState", "deactivating")?;
    serve().with_context(|| format!("{process} does not serve while it stops"))?;
    machine.wait_for("the end of a process", || machine.expect(&unit(process), "ActiveState", "inactive"))?;
    ensure!(start.elapsed() >= SHUTDOWN_DELAY, "{process} ended after {:?}", start.elapsed());
    machine.expect(&unit(process), "Result", "success")?;
    machine.expect(&unit(process), "ExecMainStatus", "0")
}

#[test]
#[ignore = "needs podman and an image with systemd; .ci/deploy runs it"]
fn the_units_run() -> Result<()> {
    let secrets = Secrets::make()?;
    let token = secrets.token()?;
    let machine = Machine::boot()?;
    install(&machine, &secrets)?;
    PROCESSES.iter().try_for_each(|process| wait_until_ready(&machine, process))?;
    an_order_passes(&machine, &token)?;
    the_migration_is_complete(&machine)?;
    for process in PROCESSES {
        nothing_is_wrong_in_the_log(&machine, process)?;
        has_no_rights(&machine, process)?;
        sees_its_own_only(&machine, process)?;
        raises_its_descriptors(&machine, process)?;
        comes_back_after_each_kill(&machine, process, if process == "write-api" { 6 } else { 1 })?;
        stays_down_with_a_wrong_configuration(&machine, process)?;
    }
    a_password_is_replaced(&machine, &token)?;
    let serve = || an_order_passes(&machine, &token);
    stops_in_order(&machine, "write-api", serve)?;
    stops_in_order(&machine, "read-api", || Ok(()))?;
    stops_in_order(&machine, "projector", || Ok(()))?;
    Ok(())
}
