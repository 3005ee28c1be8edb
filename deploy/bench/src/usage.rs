//! CPU time and memory of a process on Linux.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::services::Service;

/// Linux counts CPU time in these ticks.
const TICKS_PER_SECOND: u32 = 100;

/// The CPU usage of the process during `time`, in percent of a core.
pub(crate) async fn share_of_a_core(service: &Service, time: Duration) -> Result<f64> {
    let (start, before) = (Instant::now(), cpu_ticks(service)?);
    tokio::time::sleep(time).await;
    let ticks = cpu_ticks(service)?.saturating_sub(before);
    Ok(f64::from(ticks) / f64::from(TICKS_PER_SECOND) / start.elapsed().as_secs_f64())
}

/// The CPU time of the process so far.
pub(crate) fn cpu_time(service: &Service) -> Result<Duration> {
    Ok(Duration::from_secs(1) * cpu_ticks(service)? / TICKS_PER_SECOND)
}

/// The machine's CPU time so far. Time stolen by the host counts as idle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MachineTime {
    busy: u64,
    all: u64,
}

impl MachineTime {
    pub(crate) fn now() -> Result<Self> {
        Self::in_stat(&fs::read_to_string("/proc/stat")?).context("no time in /proc/stat")
    }

    /// The usage of all cores since then, in percent.
    pub(crate) fn busy_since(self) -> Result<f64> {
        let now = Self::now()?;
        let [busy, all] = [now.busy.saturating_sub(self.busy), now.all.saturating_sub(self.all)]
            .map(|ticks| u32::try_from(ticks).map(f64::from));
        Ok(100.0 * busy? / all?)
    }

    /// The first line: user, nice, system, idle, I/O wait, interrupts, stolen (proc(5)).
    fn in_stat(stat: &str) -> Option<Self> {
        let times = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
        let times: Vec<u64> = times.map(str::parse).collect::<Result<_, _>>().ok()?;
        let all = times.iter().sum();
        Some(Self { busy: all - times.get(3)? - times.get(4)? - times.get(7)?, all })
    }
}

fn cpu_ticks(service: &Service) -> Result<u32> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", service.pid()))?;
    ticks_in(&stat).context("no CPU time in /proc/<pid>/stat")
}

/// Fields 14 and 15, user and system time (proc(5)). The name, field 2, may have any character, even `)`.
fn ticks_in(stat: &str) -> Option<u32> {
    let (_, behind_the_name) = stat.rsplit_once(") ")?;
    let mut fields = behind_the_name.split(' ').skip(11);
    let [user, system] = [fields.next()?, fields.next()?].map(str::parse::<u32>);
    Some(user.ok()? + system.ok()?)
}

/// The memory of the process, in MB.
pub(crate) fn resident_mb(service: &Service) -> Result<f64> {
    Ok(resident_kb(service)? / 1024.0)
}

/// The memory of the process, in KB.
pub(crate) fn resident_kb(service: &Service) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid()))?;
    kb_of("VmRSS:", &status).context("no VmRSS in /proc/<pid>/status")
}

/// The memory that only this process has, in KB: what its end would free.
pub(crate) fn private_kb(pid: i32) -> Result<f64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let parts = ["Private_Clean:", "Private_Dirty:"].map(|name| kb_of(name, &maps));
    parts.into_iter().sum::<Option<f64>>().context("no private memory in /proc/<pid>/smaps_rollup")
}

fn kb_of(name: &str, text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_after_any_name() {
        let stat = "4711 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14";
        assert_eq!(ticks_in(stat), Some(300));
        assert_eq!(ticks_in("4711"), None);
    }

    #[test]
    fn stolen_time_is_not_busy() {
        let time =
            MachineTime::in_stat("cpu  10 20 30 400 500 6 7 8 9 9\ncpu0 1 2 3 4 5 6 7 8 9 9\n").unwrap();
        assert_eq!((time.busy, time.all), (73, 981));
    }
}
