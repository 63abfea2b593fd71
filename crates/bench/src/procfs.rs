//! What the kernel says about a process: processor time and memory (proc(5), Linux only).

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The processor time of a process and its descendants at one moment.
///
/// Nanoseconds come per thread from `schedstat`, which forgets threads that ended; ticks (10 ms) come per
/// process from `stat`, which does not. See [`CpuReading::until`].
#[derive(Debug, Default)]
pub(crate) struct CpuReading {
    threads: HashMap<(u32, u32), u64>,
    ticks: u64,
}

impl CpuReading {
    /// Reads the counters of `pid` and of its present children (one level: gunicorn's workers).
    pub(crate) fn take(pid: u32) -> Result<Self> {
        let mut reading = Self::default();
        for process in family(pid)? {
            reading.add_process(process)?;
        }
        Ok(reading)
    }

    fn add_process(&mut self, pid: u32) -> Result<()> {
        self.ticks +=
            parse_ticks(&read(&format!("/proc/{pid}/stat"))?).context("unreadable /proc/PID/stat")?;
        for thread in threads(pid)? {
            // A thread may end between the listing and this read.
            if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat"))
                && let Some(nanos) = text.split_whitespace().next().and_then(|field| field.parse().ok())
            {
                self.threads.insert((pid, thread), nanos);
            }
        }
        Ok(())
    }

    /// The processor time from this reading to `later`: by nanoseconds when every thread of this reading is
    /// still there, else by ticks; also from the beginning of a process (`default`), whose threads may have ended since.
    pub(crate) fn until(&self, later: &Self) -> Duration {
        let all_there = self.threads.keys().all(|thread| later.threads.contains_key(thread));
        if all_there && !self.threads.is_empty() {
            let before: u64 = self.threads.values().sum();
            let after: u64 = later.threads.values().sum();
            return Duration::from_nanos(after.saturating_sub(before));
        }
        let ticks = later.ticks.saturating_sub(self.ticks);
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }
}

/// Resident memory of one process in KiB (VmRSS: its private pages and the shared ones it touched).
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    parse_field(&read(&format!("/proc/{pid}/status"))?, "VmRSS:").context("no VmRSS in /proc/PID/status")
}

/// The most resident memory that a process ever had, in KiB.
pub(crate) fn peak_kib(pid: u32) -> Result<u64> {
    parse_field(&read(&format!("/proc/{pid}/status"))?, "VmHWM:").context("no VmHWM in /proc/PID/status")
}

/// Proportional resident memory in KiB of a process and its children: a page that n processes share counts
/// 1/n for each, so that the sum is what the machine really holds.
pub(crate) fn proportional_kib(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for process in family(pid)? {
        let text = read(&format!("/proc/{process}/smaps_rollup"))?;
        sum += parse_field(&text, "Pss:").context("no Pss in /proc/PID/smaps_rollup")?;
    }
    Ok(sum)
}

/// The processor's name.
pub(crate) fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.to_owned())
}

/// The kernel's release.
pub(crate) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

fn family(pid: u32) -> Result<Vec<u32>> {
    let mut pids = vec![pid];
    for thread in threads(pid)? {
        // Missing on kernels without CONFIG_PROC_CHILDREN; our own servers have no children.
        let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/children")).unwrap_or_default();
        pids.extend(text.split_whitespace().filter_map(|field| field.parse::<u32>().ok()));
    }
    Ok(pids)
}

fn threads(pid: u32) -> Result<Vec<u32>> {
    let folder = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&folder).with_context(|| format!("{folder} is gone: did the process end?"))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// utime + stime, the 14th and 15th field; the second one (the name) may hold blanks and brackets.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn parse_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_behind_a_nasty_name() {
        let stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20 0 1 0 99";
        assert_eq!(parse_ticks(stat), Some(42));
        assert_eq!(parse_ticks("12 (a) S 1"), None);
    }

    #[test]
    fn an_ended_thread_makes_us_count_ticks() {
        let before = CpuReading { threads: HashMap::from([((1, 1), 100), ((1, 2), 50)]), ticks: 10 };
        let after =
            CpuReading { threads: HashMap::from([((1, 1), 400), ((1, 2), 60), ((1, 3), 5)]), ticks: 11 };
        assert_eq!(before.until(&after), Duration::from_nanos(315));
        let ended = CpuReading { threads: HashMap::from([((1, 1), 400)]), ticks: 12 };
        let began = CpuReading::default();
        let tick = Duration::from_secs(1) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap();
        assert_eq!(before.until(&ended), tick * 2);
        assert_eq!(began.until(&ended), tick * 12);
    }

    #[test]
    fn own_process_is_readable() {
        let pid = std::process::id();
        let before = CpuReading::take(pid).unwrap();
        let mut sum = 0u64;
        for number in 0..2_000_000u64 {
            sum = std::hint::black_box(sum.wrapping_add(number));
        }
        let after = CpuReading::take(pid).unwrap();
        assert!(!after.threads.is_empty());
        // Other tests' threads may end meanwhile; the reading must still not go backwards.
        assert!(before.until(&after) >= Duration::ZERO);
        assert!(resident_kib(pid).unwrap() > 0);
        assert!(proportional_kib(pid).unwrap() > 0);
    }
}
