//! `kstate.hash`.

use mlua::LuaString;

use crate::lua::api::{Def, Module, Param, Type};
use crate::store::{Algorithm, Checksum};

/// `kstate.hash`.
pub(super) static MODULE: Module = Module {
    name: "hash",
    summary: "Checksums of bytes, in lower-case hex.",
    functions: &[SHA256, MD5, CRC32C],
    classes: &[],
};

const PARAMS: &[Param] = &[Param::new("bytes", Type::String, "the bytes")];
const RETURNS: &[(&str, &str)] = &[("string", "the checksum in lower-case hex")];

fn hex(algorithm: Algorithm, bytes: &LuaString) -> String {
    Checksum::of(algorithm, &bytes.as_bytes()).hex()
}

const SHA256: Def = Def {
    name: "hash.sha256",
    summary: "Returns the SHA-256 of bytes.",
    body: "",
    params: PARAMS,
    options: &[],
    returns: RETURNS,
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.hash.sha256("a"):sub(1, 8) == "ca978112")"#,
    make: |def, lua| def.sync(lua, |_, bytes| Ok(hex(Algorithm::Sha256, &bytes))),
};

const MD5: Def = Def {
    name: "hash.md5",
    summary: "Returns the MD5 of bytes, which guards against accidents but not against people.",
    body: "",
    params: PARAMS,
    options: &[],
    returns: RETURNS,
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.hash.md5("a") == "0cc175b9c0f1b6a831c399e269772661")"#,
    make: |def, lua| def.sync(lua, |_, bytes| Ok(hex(Algorithm::Md5, &bytes))),
};

const CRC32C: Def = Def {
    name: "hash.crc32c",
    summary: "Returns the CRC-32C of bytes.",
    body: "",
    params: PARAMS,
    options: &[],
    returns: RETURNS,
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.hash.crc32c("123456789") == "e3069283")"#,
    make: |def, lua| def.sync(lua, |_, bytes| Ok(hex(Algorithm::Crc32c, &bytes))),
};
