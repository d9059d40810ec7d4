//! `kstate.process`: other programs, without a shell.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use mlua::{Lua, LuaString, Table, Value};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::config::permissions::{EnvName, Program};
use crate::lua::api::{Def, Module, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::vm::{self, Vm};
use crate::session::permissions::Wanted;
use crate::store::registry::Env;
use crate::text::human_size;

/// `kstate.process`.
pub(super) static MODULE: Module = Module {
    name: "process",
    summary: "Other programs, run without a shell, when that was granted.",
    functions: &[RUN],
    classes: &[],
};

/// What a program gets of the environment: where things are and how to print, no credentials.
const ENVIRONMENT: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
];

/// The most that a program may print on either way out.
const LIMIT: u64 = 8 << 20;

const RUN: Def = Def {
    name: "process.run",
    summary: "Runs a program to its end, and returns what it printed.",
    body: "There is no shell: the arguments reach the program as they are. A bare name is looked \
           up in `PATH`. An exit code other than 0 is no error; `128 + n` means that signal `n` \
           ended the program. Of the environment it gets `PATH`, `HOME`, `USER`, `LOGNAME`, \
           `SHELL`, `TERM`, `TMPDIR`, `TZ`, `LANG` and the like, and what `env` adds; no \
           credentials. When the call is cancelled or takes too long, the program and all that it \
           started are killed. kstate can't see what a program writes, so a rehearsal (a dry \
           run, a plan) refuses to run one, unless `read_only` says that it changes nothing. \
           `--read-only` and `--allow-write` don't bind programs.",
    params: &[
        Param::new("name", Type::String, "a bare name or an absolute path"),
        Param::optional("args", Type::Table, "a list of texts and whole numbers"),
    ],
    options: &[
        Param::optional("stdin", Type::String, "what it reads; default: nothing"),
        Param::optional(
            "timeout",
            Type::Duration,
            "how long it may run; default: as long as the script",
        ),
        Param::optional("env", Type::Table, "more environment variables, by name"),
        Param::optional(
            "cwd",
            Type::String,
            "the folder to run it in; default: kstate's own",
        ),
        Param::optional(
            "limit",
            Type::Size,
            "the most that it may print on either way; default 8 MiB",
        ),
        Param::optional(
            "read_only",
            Type::Boolean,
            "it changes nothing, so that a rehearsal may run it too",
        ),
    ],
    returns: &[("table", "`code`, `stdout`, `stderr`")],
    errors: &[
        ("permission_denied", "the program was not granted"),
        ("not_found", "there is no such program or folder"),
        ("timeout", "it took too long, and was killed"),
        (
            "unsupported",
            "it printed more than the limit, and was killed",
        ),
        (
            "refused",
            "this is a rehearsal, and the program may change something",
        ),
    ],
    permission: "`--allow-process NAME`",
    since: "0.1.0",
    example: r#"
local ok, err = pcall(kstate.process.run, "kops", { "version" })
assert(not ok and err:is("permission_denied")) -- unless it is run with --allow-process kops
"#,
    make: |def, lua| def.wait(lua, run),
};

async fn run(
    lua: Lua,
    (name, args, options): (String, Option<Table>, Options),
) -> mlua::Result<Table> {
    let vm = vm::of(&lua);
    let program = Program::parse(&name).map_err(ScriptError::invalid)?;
    let place = |error: ScriptError| error.at(Some("run".into()), Some(name.clone()), None);
    permit(&vm, &program, options.get("read_only")?.unwrap_or(false)).map_err(place)?;
    let job = job(&vm, &program, args, &options).map_err(place)?;
    let ended = vm::on_io(&lua, job.run()).await?.map_err(place)?;
    let table = lua.create_table()?;
    table.raw_set("code", code(ended.status))?;
    table.raw_set("stdout", lua.create_string(ended.stdout)?)?;
    table.raw_set("stderr", lua.create_string(ended.stderr)?)?;
    Ok(table)
}

fn permit(vm: &Vm, program: &Program, read_only: bool) -> Result<(), ScriptError> {
    if !vm.grants.borrow().allows_process(program) {
        let wanted = Wanted::new("allow-process", program.as_str());
        return Err(
            ScriptError::denied("this run may not start the program").hint(wanted.to_string())
        );
    }
    if vm.is_dry_run() && !read_only {
        return Err(ScriptError::new(
            "refused",
            "this is a rehearsal, and what the program changes would be changed for good",
        )
        .hint("leave it out with `if not kstate.dry_run`; when it changes nothing, say so with { read_only = true }"));
    }
    Ok(())
}

/// A program that is about to run.
struct Job {
    command: Command,
    stdin: Vec<u8>,
    timeout: Option<Duration>,
    limit: u64,
}

struct Ended {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that starts programs"
)]
fn job(
    vm: &Vm,
    program: &Program,
    args: Option<Table>,
    options: &Options,
) -> Result<Job, ScriptError> {
    let env = vm.host.session.env();
    let mut command = Command::new(find(program, env)?);
    command.env_clear();
    for name in ENVIRONMENT {
        if let Some(value) = env.get(name) {
            command.env(name, value);
        }
    }
    for (index, arg) in (1..).zip(args.iter().flat_map(Table::sequence_values::<Value>)) {
        command.arg(argument(index, &arg?)?);
    }
    if let Some(more) = options.get::<Table>("env")? {
        for pair in more.pairs::<Value, Value>() {
            let (name, value) = pair?;
            let name = name.as_string().map(LuaString::to_string_lossy);
            let name = EnvName::parse(&name.unwrap_or_default()).map_err(ScriptError::invalid)?;
            let Value::String(value) = value else {
                let wrong = format!("the environment variable {name} is no text");
                return Err(ScriptError::invalid(wrong));
            };
            command.env(name.as_str(), OsString::from_vec(value.as_bytes().to_vec()));
        }
    }
    if let Some(folder) = options.get::<String>("cwd")? {
        if !Path::new(&folder).is_dir() {
            let message = format!("there is no folder {folder}");
            return Err(ScriptError::new("not_found", message));
        }
        command.current_dir(folder);
    }
    let stdin = options.get::<LuaString>("stdin")?;
    let way_in = if stdin.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    command
        .stdin(way_in)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    Ok(Job {
        command,
        stdin: stdin
            .map(|text| text.as_bytes().to_vec())
            .unwrap_or_default(),
        timeout: options.duration("timeout")?,
        limit: options.size("limit")?.unwrap_or(LIMIT),
    })
}

fn argument(index: usize, value: &Value) -> Result<OsString, ScriptError> {
    let bytes = match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Integer(number) => number.to_string().into_bytes(),
        _ => {
            let wrong = format!("argument {index} is no text and no whole number");
            return Err(ScriptError::invalid(wrong));
        }
    };
    if bytes.contains(&0) {
        let wrong = format!("argument {index} has a NUL byte in it");
        return Err(ScriptError::invalid(wrong));
    }
    Ok(OsString::from_vec(bytes))
}

/// Where a program is. Folders of `PATH` that are relative would make it depend on where kstate
/// was started, and don't count.
fn find(program: &Program, env: &Env) -> Result<PathBuf, ScriptError> {
    let path = env.get("PATH").unwrap_or_default();
    let candidates: Vec<_> = if program.is_path() {
        vec![PathBuf::from(program.as_str())]
    } else {
        path.split(':')
            .filter(|folder| folder.starts_with('/'))
            .map(|folder| Path::new(folder).join(program.as_str()))
            .collect()
    };
    let is_program = |path: &PathBuf| {
        let found = path.metadata();
        found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    candidates.into_iter().find(is_program).ok_or_else(|| {
        let message = if program.is_path() {
            "there is no such program".to_owned()
        } else {
            format!("there is no such program in PATH ({path})")
        };
        ScriptError::new("not_found", message)
    })
}

/// Ends a program with all that it started.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // They may all be gone.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Job {
    async fn run(mut self) -> Result<Ended, ScriptError> {
        let mut child = self
            .command
            .spawn()
            .map_err(|error| ScriptError::new("other", error.to_string()))?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        let mut group = Group(leader.and_then(Pid::from_raw));
        let work = talk(&mut child, &self.stdin, self.limit);
        let ended = match self.timeout {
            None => work.await,
            Some(timeout) => tokio::time::timeout(timeout, work).await.map_err(|_| {
                ScriptError::new(
                    "timeout",
                    format!("it took longer than {timeout:?}, and was killed"),
                )
            })?,
        }?;
        group.0 = None;
        Ok(ended)
    }
}

/// Feeds a program and reads what it prints, all at once, so that no side waits for the other.
async fn talk(child: &mut Child, input: &[u8], limit: u64) -> Result<Ended, ScriptError> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program need not read all that it is given.
            let _ = stdin.write_all(input).await;
        }
        Ok(())
    };
    let wait = async {
        let status = child.wait().await;
        status.map_err(|error| ScriptError::new("other", error.to_string()))
    };
    let ((), stdout, stderr, status) =
        tokio::try_join!(feed, all(stdout, limit), all(stderr, limit), wait)?;
    Ok(Ended {
        status,
        stdout,
        stderr,
    })
}

async fn all(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> Result<Vec<u8>, ScriptError> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut bounded = stream.take(limit.saturating_add(1));
        let read = bounded.read_to_end(&mut bytes).await;
        read.map_err(|error| ScriptError::new("other", error.to_string()))?;
    }
    if bytes.len() as u64 > limit {
        let message = format!("it printed more than {}, and was killed", human_size(limit));
        return Err(ScriptError::new("unsupported", message)
            .hint("raise the option 'limit', or let it print to a file"));
    }
    Ok(bytes)
}

/// The exit code as shells count it.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let signal = status.signal().map(|signal| 128 + signal);
    status.code().or(signal).unwrap_or(-1)
}

#[cfg(test)]
mod tests;
