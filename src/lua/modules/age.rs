//! `kstate.age`: encryption to public keys.

use mlua::{Lua, LuaString};

use crate::crypt::{self, Identities, Recipients};
use crate::lua::api::{Def, Module, Param, Type};
use crate::lua::vm;

/// `kstate.age`.
pub(super) static MODULE: Module = Module {
    name: "age",
    summary: "Encryption by age (age-encryption.org): to public keys, opened with secret ones.",
    functions: &[ENCRYPT, DECRYPT, RECIPIENTS],
    classes: &[],
};

const TO: Param = Param::new(
    "recipients",
    Type::Table,
    "a list of public keys (`age1…`), or of files with one a line",
);

const NO_KEY: (&str, &str) = ("invalid", "one of them is no public key, or there is none");
const UNREADABLE: (&str, &str) = ("not_found", "there is no such file");

const ENCRYPT: Def = Def {
    name: "age.encrypt",
    summary: "Encrypts bytes, so that each of the recipients can decrypt them.",
    body: "Each call gives other bytes: keep the old ones when what is in them didn't change.",
    params: &[Param::new("bytes", Type::String, "the bytes"), TO],
    options: &[],
    returns: &[("string", "the bytes of an age file")],
    errors: &[NO_KEY, UNREADABLE],
    permission: "",
    since: "0.1.0",
    example: r#"
local key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
local sealed = kstate.age.encrypt("token", { key })
assert(sealed:sub(1, 21) == "age-encryption.org/v1" and not sealed:find("token"))
"#,
    make: |def, lua| def.wait(lua, encrypt),
};

async fn encrypt(lua: Lua, (bytes, to): (LuaString, Vec<String>)) -> mlua::Result<LuaString> {
    let bytes = bytes.as_bytes().to_vec();
    let work = async move { Recipients::parse(&to)?.encrypt(&bytes) };
    lua.create_string(vm::on_io(&lua, work).await??)
}

const DECRYPT: Def = Def {
    name: "age.decrypt",
    summary: "Decrypts what was encrypted to one of these identities.",
    body: "",
    params: &[
        Param::new("bytes", Type::String, "the bytes of an age file"),
        Param::new(
            "identities",
            Type::Table,
            "a list of files with secret keys, as `age-keygen` writes them",
        ),
    ],
    options: &[],
    returns: &[("string", "the bytes")],
    errors: &[
        ("permission_denied", "no identity opens it"),
        (
            "corrupt",
            "these are not the bytes of a whole and unchanged age file",
        ),
        ("invalid", "a file has no secret key in it"),
        UNREADABLE,
    ],
    permission: "",
    since: "0.1.0",
    example: r#"
local ok, err = pcall(kstate.age.decrypt, "no age file", {})
assert(not ok and err:is("corrupt"))
"#,
    make: |def, lua| def.wait(lua, decrypt),
};

async fn decrypt(lua: Lua, (bytes, files): (LuaString, Vec<String>)) -> mlua::Result<LuaString> {
    let bytes = bytes.as_bytes().to_vec();
    let work = async move { crypt::decrypt(&bytes, "the bytes", &Identities::load(files)?) };
    lua.create_string(vm::on_io(&lua, work).await??)
}

const RECIPIENTS: Def = Def {
    name: "age.recipients",
    summary: "Returns the public keys that names of recipients stand for.",
    body: "",
    params: &[TO],
    options: &[],
    returns: &[("string[]", "the keys, each once, in byte order")],
    errors: &[NO_KEY, UNREADABLE],
    permission: "",
    since: "0.1.0",
    example: r#"
local key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
assert(#kstate.age.recipients({ key, key }) == 1)
"#,
    make: |def, lua| def.wait(lua, recipients),
};

async fn recipients(lua: Lua, to: Vec<String>) -> mlua::Result<Vec<String>> {
    let parsed = vm::on_io(&lua, async move { Recipients::parse(&to) }).await??;
    Ok(parsed.keys().map(str::to_owned).collect())
}
