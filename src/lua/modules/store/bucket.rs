//! What the bucket is told that a store lies in.

use mlua::{AnyUserData, Lua};

use super::handle::{self, Handle};
use super::methods;
use crate::lua::api::Def;
use crate::store::{Error, ErrorKind, StoreUrl};

pub(super) const BUCKET: Def = Def {
    name: "Store:bucket",
    summary: "Returns the settings of the bucket that the store lies in, as a store of their own.",
    body: "`policy.json` is the bucket's policy; it can be written and deleted, in rehearsals, \
           plans and journals as any object. `encryption.json` tells the default encryption and \
           is only read. What the bucket hasn't is missing. S3 compares nothing when it takes a \
           policy, so there are no preconditions. The URL is `s3-bucket://BUCKET`, which all \
           commands take; `--allow-write` of the bucket's objects doesn't let a run write it.",
    params: &[],
    options: &[],
    returns: &[("kstate.Store", "the settings")],
    errors: &[("unsupported", "the store is no bucket of `s3://`")],
    permission: "",
    since: "0.1.0",
    example: r#"
local bucket = kstate.store.open("s3://state/prod"):bucket()
assert(bucket:url() == "s3-bucket://state")
"#,
    make: |def, lua| def.sync(lua, bucket),
};

fn bucket(lua: &Lua, this: AnyUserData) -> mlua::Result<Handle> {
    let store = handle::of(&this)?;
    let url = StoreUrl::parse(store.url())?;
    if url.scheme != "s3" {
        let message = "only a bucket of s3:// has settings here";
        let error = Error::new(ErrorKind::Unsupported, "open", message);
        return Err(error.at(store.url(), None).into());
    }
    let settings = StoreUrl {
        scheme: "s3-bucket".to_owned(),
        path: String::new(),
        options: this.borrow::<Handle>()?.options.clone(),
        ..url
    };
    methods::open_url(lua, settings)
}
