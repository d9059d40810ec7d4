//! `kstate.http`: other services, when their hosts were granted.

mod ask;
mod error;
#[cfg(test)]
pub(in crate::lua) mod tests;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use mlua::{Lua, LuaString, Table, Value};

use crate::lua::api::{Def, Module, Options, Param, Type};
use crate::lua::error::ScriptError;
use crate::lua::vm::{self, Vm};
use crate::store::rest;
use ask::{Asked, Hop, at, parse};
use error::ERROR;

/// `kstate.http`.
pub(super) static MODULE: Module = Module {
    name: "http",
    summary: "Requests to other services, when their hosts were granted.",
    functions: &[ERROR, ESCAPE, REQUEST],
    classes: &[],
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The most that an answer may have.
const LIMIT: u64 = 8 << 20;

/// How many redirects are followed.
const FOLLOW: usize = 5;

const ESCAPE: Def = Def {
    name: "http.escape",
    summary: "Writes a text as a part of a URL's path: its slashes stay, all else that may mean \
              something there is percent-encoded.",
    body: "",
    params: &[Param::new("text", Type::String, "such as a key")],
    options: &[],
    returns: &[("string", "the text for a URL")],
    errors: &[],
    permission: "",
    since: "0.1.0",
    example: r#"assert(kstate.http.escape("a b/100%") == "a%20b/100%25")"#,
    make: |def, lua| def.sync(lua, |_, text: String| Ok(rest::encoded_path(&text))),
};

const REQUEST: Def = Def {
    name: "http.request",
    summary: "Asks a service over HTTP or HTTPS, and returns its answer.",
    body: "Any status is an answer and no error. The names of the answer's headers are in small \
           letters; one that came several times is joined by commas. Proxies are used as for \
           stores (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`). A redirect is \
           followed only to a host that was granted too, and never from `https` to `http`; to \
           another host go only the headers `accept`, `accept-language`, `content-type` and \
           `user-agent`. Credentials don't belong in the URL: use a header. A rehearsal (a dry \
           run, a plan) refuses all methods but `GET`, `HEAD` and `OPTIONS`.",
    params: &[Param::new(
        "url",
        Type::String,
        "an `http://` or `https://` URL",
    )],
    options: &[
        Param::optional("method", Type::String, "default `GET`"),
        Param::optional("headers", Type::Table, "texts by name"),
        Param::optional("body", Type::String, "what is sent"),
        Param::optional(
            "timeout",
            Type::Duration,
            "how long it may take, redirects included; default 30 seconds",
        ),
        Param::optional(
            "limit",
            Type::Size,
            "the most that the answer may have; default 8 MiB",
        ),
        Param::optional(
            "follow",
            Type::Integer,
            "how many redirects to follow; default 5, and 0 returns them",
        ),
    ],
    returns: &[("table", "`status`, `headers`, `body`")],
    errors: &[
        (
            "permission_denied",
            "the host, or one that it redirects to, was not granted",
        ),
        ("unavailable", "the service can't be reached"),
        ("timeout", "it took too long"),
        ("unsupported", "the answer has more than the limit"),
        (
            "refused",
            "this is a rehearsal, and the request may change something",
        ),
    ],
    permission: "`--allow-http HOST`",
    since: "0.1.0",
    example: r#"
local ok, err = pcall(kstate.http.request, "https://api.example.com/health")
assert(not ok and err:is("permission_denied")) -- unless it is run with --allow-http api.example.com
"#,
    make: |def, lua| def.wait(lua, request),
};

async fn request(lua: Lua, (url, options): (String, Options)) -> mlua::Result<Table> {
    let vm = vm::of(&lua);
    let asked = Asked {
        hop: hop(&url, &options)?,
        grants: vm.grants.borrow().clone(),
        profile: vm.host.profile,
        follow: match options.get::<i64>("follow")? {
            None => FOLLOW,
            Some(times) => usize::try_from(times)
                .map_err(|_| ScriptError::invalid("option 'follow' must be at least 0"))?,
        },
        limit: options.size("limit")?.unwrap_or(LIMIT),
    };
    let denied = |error| at(&asked.hop.url, error);
    asked.permit(&asked.hop.url, false).map_err(denied)?;
    permit_method(&vm, &asked.hop)?;
    let timeout = options.duration("timeout")?.unwrap_or(TIMEOUT);
    let (connector, first) = (connector(&lua), asked.hop.url.clone());
    let answer = vm::on_io(&lua, async move {
        tokio::time::timeout(timeout, asked.answer(&connector))
            .await
            .unwrap_or_else(|_| {
                let message = format!("no answer within {timeout:?}");
                Err(at(
                    &first,
                    ScriptError::new("timeout", message).retryable(true),
                ))
            })
    })
    .await??;
    let table = lua.create_table()?;
    table.raw_set("status", answer.status().as_u16())?;
    table.raw_set("headers", headers_of(&lua, answer.headers())?)?;
    table.raw_set("body", lua.create_string(answer.body())?)?;
    Ok(table)
}

fn hop(url: &str, options: &Options) -> Result<Hop, ScriptError> {
    let method = options.get::<String>("method")?;
    let method = method.map_or_else(|| "GET".to_owned(), |method| method.to_ascii_uppercase());
    let valid = Method::from_bytes(method.as_bytes()).ok();
    let method = valid
        .filter(|method| *method != Method::CONNECT && *method != Method::TRACE)
        .ok_or_else(|| ScriptError::invalid(format!("{method:?} can't be a method")))?;
    let mut headers = HeaderMap::new();
    if let Some(given) = options.get::<Table>("headers")? {
        for pair in given.pairs::<Value, Value>() {
            let (name, value) = pair?;
            let (name, value) = header(&name, &value)?;
            headers.append(name, value);
        }
    }
    headers
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!(
            "kstate/",
            env!("CARGO_PKG_VERSION")
        )));
    let body = options.get::<LuaString>("body")?;
    Ok(Hop {
        url: parse(url)?,
        method,
        headers,
        body: body.map_or_else(Bytes::new, |body| Bytes::copy_from_slice(&body.as_bytes())),
    })
}

/// Headers that say where a request goes or where it ends are no script's: with another `host`
/// it would reach another service than the one that was granted.
fn header(name: &Value, value: &Value) -> Result<(HeaderName, HeaderValue), ScriptError> {
    const OURS: [&str; 7] = [
        "host",
        "connection",
        "content-length",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let text = name.as_string().map(LuaString::to_string_lossy);
    let text = text.unwrap_or_default();
    let invalid = |what: &str| ScriptError::invalid(format!("the header {text:?} {what}"));
    let name =
        HeaderName::from_bytes(text.as_bytes()).map_err(|_| invalid("can't be the name of one"))?;
    if OURS.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
        return Err(invalid("is set by kstate alone"));
    }
    let value = match value {
        Value::String(value) => HeaderValue::from_bytes(&value.as_bytes()).ok(),
        Value::Integer(value) => Some(HeaderValue::from(*value)),
        _ => None,
    };
    Ok((
        name,
        value.ok_or_else(|| invalid("has a value that can't be one"))?,
    ))
}

fn permit_method(vm: &Vm, hop: &Hop) -> Result<(), ScriptError> {
    if vm.is_dry_run() && !is_safe(&hop.method) {
        let message = format!(
            "this is a rehearsal, and what {} changes would be changed for good",
            hop.method
        );
        let error = ScriptError::new("refused", message);
        return Err(at(
            &hop.url,
            error.hint("leave it out with `if not kstate.dry_run`"),
        ));
    }
    Ok(())
}

fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

fn headers_of(lua: &Lua, headers: &HeaderMap) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for name in headers.keys() {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        table.raw_set(name.as_str(), lua.create_string(values.join(&b", "[..]))?)?;
    }
    Ok(table)
}

/// The VM's client, which keeps connections; made when it is first needed.
fn connector(lua: &Lua) -> Arc<Connector> {
    type Kept = Rc<Arc<Connector>>;
    if let Some(kept) = lua.app_data_ref::<Kept>() {
        return Arc::clone(&kept);
    }
    let made = Connector::builder()
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build();
    let made = Arc::new(made);
    lua.set_app_data(Rc::new(Arc::clone(&made)));
    made
}
