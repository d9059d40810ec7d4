//! Who takes a lock, told so that another process on the same machine can see whether the holder
//! still lives.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::store::registry::Env;

/// A process that takes locks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The user's name.
    pub user: String,
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The run of kstate.
    pub run: String,
    /// What tells the process from all others that ever had its number; where the system says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
}

/// What the kernel knows of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The boot of the machine.
    pub boot: String,
    /// Within which process numbers mean the same.
    pub pid_namespace: String,
    /// When it started, in ticks since the boot.
    pub started: u64,
}

impl Holder {
    /// This process, in this run.
    #[must_use]
    pub fn here(env: &Env, run: &str) -> Self {
        let user = env.get("USER").or_else(|| env.get("LOGNAME"));
        let system = rustix::system::uname();
        Self {
            user: user.map_or_else(
                || format!("uid {}", rustix::process::getuid().as_raw()),
                printable,
            ),
            host: printable(&system.nodename().to_string_lossy()),
            pid: std::process::id(),
            run: run.to_owned(),
            process: Process::with_number("self"),
        }
    }

    /// Whether the process has ended, as far as `here` can be sure of that.
    #[must_use]
    pub fn is_gone(&self, here: &Self) -> bool {
        let (Some(process), Some(ours)) = (&self.process, &here.process) else {
            return false;
        };
        let is_near = self.host == here.host
            && process.boot == ours.boot
            && process.pid_namespace == ours.pid_namespace;
        let number = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let (true, Some(number)) = (is_near, number) else {
            return false;
        };
        if test_kill_process(number) == Err(Errno::SRCH) {
            return true;
        }
        // One that waits for its parent to take note of its end is gone too.
        match status(&self.pid.to_string()) {
            Some((state, started)) => state == 'Z' || started != process.started,
            None => false,
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            user,
            host,
            pid,
            run,
            ..
        } = self;
        write!(f, "{user}@{host} (pid {pid}, run {run})")
    }
}

/// A name without what would disturb a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

impl Process {
    fn with_number(number: &str) -> Option<Self> {
        let namespace = rustix::fs::readlink(format!("/proc/{number}/ns/pid"), Vec::new()).ok()?;
        Some(Self {
            boot: system_file("/proc/sys/kernel/random/boot_id")?,
            pid_namespace: namespace.into_string().ok()?,
            started: status(number)?.1,
        })
    }
}

/// A process's state and when it started; see proc(5).
fn status(number: &str) -> Option<(char, u64)> {
    let text = system_file(&format!("/proc/{number}/stat"))?;
    // The name of the program may hold anything, brackets included.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the kernel tells of processes is no state"
)]
fn system_file(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Holder {
        Holder::here(&Env::from_iter([("USER", "ann")]), "7f3a")
    }

    #[test]
    fn names_the_process_without_what_disturbs_a_terminal() {
        let env = Env::from_iter([("USER", "an\u{1b}[31mn\n")]);
        let shown = Holder::here(&env, "7f3a").to_string();
        assert!(shown.starts_with("an[31mn@"), "{shown}");
        assert!(shown.contains(&format!("pid {}, run 7f3a", std::process::id())));
    }

    #[test]
    fn a_process_that_lives_is_not_gone() {
        assert!(!here().is_gone(&here()));
    }

    #[test]
    fn one_whose_number_is_free_or_another_process_now_is_gone() {
        let mut free = here();
        // The largest number that Linux gives is 2^22.
        free.pid = (1 << 22) + 1;
        assert!(free.is_gone(&here()));
        let mut reused = here();
        if let Some(process) = &mut reused.process {
            process.started += 1;
        }
        assert!(reused.is_gone(&here()));
    }

    #[test]
    fn nothing_is_sure_about_processes_of_other_machines_boots_and_containers() {
        let changes: [fn(&mut Holder); 4] = [
            |holder| holder.host.push('x'),
            |holder| holder.process = None,
            |holder| holder.process.as_mut().expect("on Linux").boot.push('x'),
            |holder| {
                let process = holder.process.as_mut().expect("on Linux");
                process.pid_namespace.push('x');
            },
        ];
        for change in changes {
            let mut far = here();
            far.pid = (1 << 22) + 1;
            change(&mut far);
            assert!(!far.is_gone(&here()), "{far:?}");
        }
    }
}
