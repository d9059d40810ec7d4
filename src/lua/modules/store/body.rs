//! The bytes that a backend's `write` is given.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use mlua::{
    AnyUserData, Lua, MetaMethod, MultiValue, UserData, UserDataFields, UserDataMethods, Value,
};
use tokio::sync::{Mutex, mpsc};

use super::read::string;
use crate::lua::api::{self, Class, Def};
use crate::lua::backend::{Chunk, Clock, Part, Sending};
use crate::lua::error::ScriptError;
use crate::store::{self, Checksum, Error, ErrorKind};

/// A body in a backend's hands.
#[derive(Clone)]
pub(in crate::lua) struct Incoming(Rc<Inner>);

struct Inner {
    size: Option<u64>,
    rest: Mutex<Rest>,
    clock: Rc<Clock>,
    taken: Cell<u64>,
    ended: Cell<bool>,
    /// Of all bytes; known at the end.
    sum: RefCell<Option<Checksum>>,
    failure: RefCell<Option<Error>>,
}

enum Rest {
    Whole(Option<Bytes>, Option<Checksum>),
    Stream(mpsc::Receiver<Part>),
}

impl Incoming {
    pub(in crate::lua) fn new(body: Sending, clock: Rc<Clock>) -> Self {
        let (size, rest) = match body {
            Sending::Whole(bytes, sum) => (Some(bytes.len() as u64), Rest::Whole(Some(bytes), sum)),
            Sending::Stream { size, parts } => (size, Rest::Stream(parts)),
        };
        Self(Rc::new(Inner {
            size,
            rest: Mutex::new(rest),
            clock,
            taken: Cell::new(0),
            ended: Cell::default(),
            sum: RefCell::default(),
            failure: RefCell::default(),
        }))
    }

    /// The next chunk; `None` at the end.
    async fn next(&self) -> store::Result<Option<Bytes>> {
        let inner = &self.0;
        if inner.ended.get() {
            return Ok(None);
        }
        let mut rest = inner.rest.lock().await;
        let part = match &mut *rest {
            Rest::Whole(bytes, sum) => match bytes.take().filter(|bytes| !bytes.is_empty()) {
                Some(bytes) => Ok(Chunk::Bytes(bytes)),
                None => Ok(Chunk::End(sum.take())),
            },
            Rest::Stream(parts) => inner.clock.stopped(parts.recv()).await.unwrap_or_else(|| {
                let message = "the bytes stopped coming";
                Err(Error::new(ErrorKind::Other, "write", message))
            }),
        };
        match part {
            Ok(Chunk::Bytes(bytes)) => {
                inner.taken.set(inner.taken.get() + bytes.len() as u64);
                Ok(Some(bytes))
            }
            Ok(Chunk::End(sum)) => {
                inner.ended.set(true);
                inner.sum.replace(sum);
                Ok(None)
            }
            Err(error) => {
                inner.failure.replace(Some(error.clone()));
                Err(error)
            }
        }
    }

    /// What was wrong with the bytes themselves.
    pub(in crate::lua) fn failure(&self) -> Option<Error> {
        self.0.failure.borrow().clone()
    }

    /// How many bytes were taken, and their checksum; `None` when the backend left some.
    ///
    /// # Errors
    /// What was wrong with the bytes.
    pub(in crate::lua) async fn settle(&self) -> store::Result<Option<(u64, Option<Checksum>)>> {
        // It may have stopped right before the end.
        if self.next().await?.is_some() {
            return Ok(None);
        }
        let sum = self.0.sum.borrow().clone();
        Ok(Some((self.0.taken.get(), sum)))
    }
}

impl UserData for Incoming {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        api::class(fields, &CLASS);
    }
}

/// The iterator over a body.
struct Chunks(Incoming);

impl UserData for Chunks {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_meta_method(MetaMethod::Call, |lua, this, _: MultiValue| async move {
            match this.0.next().await? {
                Some(bytes) => string(&lua, bytes),
                None => Ok(Value::Nil),
            }
        });
    }
}

/// What `write` of a backend gets.
pub(super) static CLASS: Class = Class {
    name: "Body",
    summary: "The bytes that `write` of a backend is to store. They are counted and checked \
              before the last of them comes, so a write that is only made when all are there is \
              never a wrong one.",
    fields: &[],
    methods: &[READ, CHUNKS, SIZE],
    call: "",
};

fn of(this: &AnyUserData) -> mlua::Result<Incoming> {
    match this.borrow::<Incoming>() {
        Ok(body) => Ok(body.clone()),
        Err(_) => Err(ScriptError::invalid("this is no body").into()),
    }
}

const EXAMPLE: &str = r#"
local kept = {}
local backend = kstate.backend{
  scheme = "kept",
  stat = function(_, key) return kept[key] and { size = #kept[key], tag = kstate.hash.md5(kept[key]) } end,
  read = function(_, key) return kept[key] end,
  write = function(_, key, body) kept[key] = body:read() end,
  delete = function(_, key) kept[key] = nil end,
  list = function() return { items = {} } end,
}
kstate.store.register(backend)
kstate.store.open("kept://here"):write("a", "1")
assert(kept.a == "1")
"#;

const READ: Def = Def {
    name: "Body:read",
    summary: "Returns all bytes.",
    body: "",
    params: &[],
    options: &[],
    returns: &[("string", "the bytes")],
    errors: &[(
        "corrupt",
        "the bytes are not what was announced; write nothing then",
    )],
    permission: "",
    since: "0.1.0",
    example: EXAMPLE,
    make: |def, lua| {
        def.wait(lua, |lua, this: AnyUserData| async move {
            let body = of(&this)?;
            let Some(first) = body.next().await? else {
                return lua.create_string("").map(Value::String);
            };
            let mut more = Vec::new();
            while let Some(chunk) = body.next().await? {
                if more.is_empty() {
                    more.extend_from_slice(&first);
                }
                more.extend_from_slice(&chunk);
            }
            string(&lua, if more.is_empty() { first } else { more.into() })
        })
    },
};

const CHUNKS: Def = Def {
    name: "Body:chunks",
    summary: "Returns an iterator over the bytes as they come, in strings of any length.",
    body: "",
    params: &[],
    options: &[],
    returns: &[("fun(): string?", "the iterator")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: EXAMPLE,
    make: |def, lua| {
        def.sync(lua, |lua: &Lua, this: AnyUserData| {
            lua.create_userdata(Chunks(of(&this)?))
        })
    },
};

const SIZE: Def = Def {
    name: "Body:size",
    summary: "Returns how many bytes there are.",
    body: "",
    params: &[],
    options: &[],
    returns: &[(
        "integer|nil",
        "the number; `nil` when it isn't known before the end",
    )],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: EXAMPLE,
    make: |def, lua| def.sync(lua, |_, this: AnyUserData| Ok(of(&this)?.0.size)),
};
