//! The bytes that a backend's `read` gives.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use mlua::{LuaString, MultiValue, Value};
use tokio::sync::mpsc;

use super::failure;
use super::serve::{Clock, Served};
use super::values;
use crate::lua::error::ScriptError;
use crate::store::{Body, Error, ErrorKind, Hasher, Key, Meta, Result, Tag};

/// What `read` is asked for.
pub(super) struct Call {
    pub(super) key: String,
    pub(super) range: Option<Range<u64>>,
    pub(super) if_match: Option<Tag>,
}

/// What it gave.
pub(super) struct Read {
    pub(super) meta: Option<Meta>,
    pub(super) body: Body,
}

/// In the VM: calls `read`; `None` for a missing object.
pub(super) async fn read(
    vm: Rc<Served>,
    key: Key,
    call: Call,
) -> std::result::Result<Option<Read>, ScriptError> {
    let how = vm.lua.create_table()?;
    if let Some(range) = call.range {
        let length = range.end.saturating_sub(range.start);
        how.raw_set("range", [range.start, length])?;
    }
    how.raw_set("if_match", call.if_match.map(|tag| tag.0))?;
    let clock = Rc::new(Clock::new());
    let mut results = vm.call("read", &clock, (call.key, how)).await?;
    let meta = match results.get(1) {
        // An iterator has its own values behind it.
        Some(Value::Table(table)) => {
            let size = results
                .front()
                .and_then(|body| Some(body.as_string()?.as_bytes().len() as u64));
            let meta = values::meta(table, key, size);
            Some(meta.map_err(|fault| vm.faulty("read", &fault))?)
        }
        None | Some(Value::Nil) => None,
        other => {
            return Err(vm.nonsense(
                "read",
                &format!("{} behind the body", values::shown(other)),
                "the metadata",
            ));
        }
    };
    let body = match results.pop_front() {
        None | Some(Value::Nil) => return Ok(None),
        Some(Value::String(text)) => Body::from(Bytes::copy_from_slice(&text.as_bytes())),
        Some(iterator @ Value::Function(_)) => chunks(vm, clock, iterator),
        other => {
            let what = values::shown(other.as_ref());
            return Err(vm.nonsense("read", &what, "a string, an iterator or nil"));
        }
    };
    Ok(Some(Read { meta, body }))
}

/// The chunks of an iterator. It is asked for no more when nobody takes them.
fn chunks(vm: Rc<Served>, clock: Rc<Clock>, iterator: Value) -> Body {
    let (send, mut receive) = mpsc::channel::<Result<Bytes>>(1);
    tokio::task::spawn_local(async move {
        let gone = send.clone();
        let pumped = pump(&vm, &clock, iterator, &send);
        let ended = tokio::select! {
            biased;
            () = gone.closed() => return,
            ended = pumped => ended,
        };
        let last = match ended {
            // An empty chunk is the mark of the end: a stream that just stops was cut off.
            Ok(()) => Ok(Bytes::new()),
            Err(error) => Err(failure::to_store(&error, vm.name(), "read")),
        };
        let _ = send.send(last).await;
    });
    let parts = stream::poll_fn(move |context| receive.poll_recv(context));
    let whole = parts.chain(stream::iter([Err(Error::new(
        ErrorKind::Other,
        "read",
        "the backend's VM ended before the body",
    ))]));
    let until_end = whole.take_while(|part| {
        let is_end = part.as_ref().is_ok_and(Bytes::is_empty);
        std::future::ready(!is_end)
    });
    Body::stream(None, until_end)
}

async fn pump(
    vm: &Rc<Served>,
    clock: &Rc<Clock>,
    iterator: Value,
    to: &mpsc::Sender<Result<Bytes>>,
) -> std::result::Result<(), ScriptError> {
    let held = Rc::new(Cell::new(None));
    let sink = {
        let (held, vm) = (Rc::clone(&held), Rc::downgrade(vm));
        move |_: &mlua::Lua, value: Value| match (&value, vm.upgrade()) {
            (Value::String(text), _) => {
                held.set(chunk(text));
                Ok(!text.as_bytes().is_empty())
            }
            (other, Some(vm)) => {
                let what = format!("{} instead of a chunk", values::shown(Some(other)));
                Err(vm.faulty("read", &what).into())
            }
            (_, None) => Ok(false),
        }
    };
    let flush = {
        let (clock, to) = (Rc::clone(clock), to.downgrade());
        move |_: mlua::Lua, ()| {
            let (clock, to, chunk) = (Rc::clone(&clock), to.upgrade(), held.take());
            async move {
                if let (Some(to), Some(chunk)) = (to, chunk) {
                    let _ = clock.stopped(to.send(Ok(chunk))).await;
                }
                Ok(())
            }
        }
    };
    let functions = (
        vm.lua.create_function(sink)?,
        vm.lua.create_async_function(flush)?,
    );
    vm.each("read", clock, functions, MultiValue::from_iter([iterator]))
        .await
}

fn chunk(text: &LuaString) -> Option<Bytes> {
    let bytes = text.as_bytes();
    (!bytes.is_empty()).then(|| Bytes::copy_from_slice(&bytes))
}

/// A body that must have the size, and of a whole object the checksum, that its metadata tells.
pub(super) fn exactly(
    body: Body,
    meta: &Meta,
    range: Option<&Range<u64>>,
    place: impl Fn(Error) -> Error + Send + 'static,
) -> Result<Body> {
    let size = range.map_or(meta.size, |range| {
        let end = range.end.min(meta.size);
        end.saturating_sub(range.start.min(end))
    });
    let sum = meta.checksum.clone().filter(|_| range.is_none());
    let mut check = Check {
        left: size,
        sum: sum.map(|sum| (Hasher::new(sum.algorithm), sum)),
    };
    match body {
        Body::Bytes(bytes) => {
            check
                .add(&bytes)
                .and_then(|()| check.end())
                .map_err(place)?;
            Ok(Body::Bytes(bytes))
        }
        Body::Stream { stream, .. } => {
            let state = Some((stream, check));
            let checked = stream::unfold(state, step);
            let checked: BoxStream<'static, Result<Bytes>> =
                checked.map(move |part| part.map_err(&place)).boxed();
            Ok(Body::stream(Some(size), checked))
        }
    }
}

type Checked = (BoxStream<'static, Result<Bytes>>, Check);

async fn step(state: Option<Checked>) -> Option<(Result<Bytes>, Option<Checked>)> {
    let (mut stream, mut check) = state?;
    match stream.next().await {
        None => match check.end() {
            Ok(()) => None,
            Err(error) => Some((Err(error), None)),
        },
        Some(Err(error)) => Some((Err(error), None)),
        Some(Ok(chunk)) => match check.add(&chunk) {
            Ok(()) => Some((Ok(chunk), Some((stream, check)))),
            Err(error) => Some((Err(error), None)),
        },
    }
}

struct Check {
    left: u64,
    sum: Option<(Hasher, crate::store::Checksum)>,
}

fn corrupt(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "read", message)
}

impl Check {
    fn add(&mut self, chunk: &Bytes) -> Result<()> {
        let Some(left) = self.left.checked_sub(chunk.len() as u64) else {
            return Err(corrupt("the body is longer than its metadata tells"));
        };
        self.left = left;
        if let Some((hasher, _)) = &mut self.sum {
            hasher.update(chunk);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if self.left > 0 {
            let left = self.left;
            return Err(corrupt(&format!("the body ended {left} bytes early")));
        }
        match self.sum.take().map(|(hasher, sum)| hasher.finish() == sum) {
            Some(false) => Err(corrupt(
                "the bytes don't have the checksum that the metadata tells",
            )),
            _ => Ok(()),
        }
    }
}

/// A part of a body that is read from its beginning, and not further than needed.
pub(super) fn part(body: Body, range: &Range<u64>) -> Body {
    match body {
        Body::Bytes(bytes) => {
            let at = |place: u64| {
                usize::try_from(place)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len())
            };
            let end = at(range.end);
            Body::Bytes(bytes.slice(at(range.start).min(end)..end))
        }
        Body::Stream { size, stream } => {
            let (start, end) = (range.start, range.end);
            let known = size.map(|size| end.min(size).saturating_sub(start.min(size)));
            let state = (stream, 0_u64);
            let parts = stream::unfold(state, move |(mut stream, mut at)| async move {
                while at < end {
                    let chunk = match stream.next().await? {
                        Ok(chunk) => chunk,
                        Err(error) => return Some((Err(error), (stream, end))),
                    };
                    let length = chunk.len() as u64;
                    let from = start.saturating_sub(at).min(length);
                    let to = (end - at).min(length);
                    at += length;
                    if from < to {
                        // Both are within the chunk, whose length is a usize.
                        let cut = |place: u64| usize::try_from(place).unwrap_or(chunk.len());
                        return Some((Ok(chunk.slice(cut(from)..cut(to))), (stream, at)));
                    }
                }
                None
            });
            Body::stream(known, parts)
        }
    }
}
