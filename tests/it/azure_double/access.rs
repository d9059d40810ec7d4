//! Who asks: a signature by the account's key, a shared access signature, or a token.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::Uri;
use http::request::Parts;
use sha2::Sha256;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use super::tokens::TOKEN;
use super::{Azure, Place, Refusal, VERSION, refuse, text_of};
use crate::http_double::query;

/// The parameters of a shared access signature.
pub(super) const SIGNATURE: [&str; 8] = ["sv", "st", "se", "sp", "sr", "sip", "spr", "sig"];

/// The key of an account, in Base64.
pub(crate) fn key_of(account: &str) -> String {
    BASE64_STANDARD.encode(format!("{account:-<64}"))
}

/// What whoever asks may do.
pub(super) enum Grant {
    All,
    /// The letters of a shared access signature.
    Some(String),
}

impl Grant {
    /// Whether one of these letters is among them.
    pub(super) fn allows(&self, letters: &str) -> Result<(), Refusal> {
        match self {
            Self::Some(given) if !letters.chars().any(|letter| given.contains(letter)) => refuse(
                403,
                "AuthorizationPermissionMismatch",
                "This request is not authorized to perform this operation using this permission.",
            ),
            _ => Ok(()),
        }
    }
}

fn unknown<T>(why: &str) -> Result<T, Refusal> {
    let words = "Server failed to authenticate the request. Make sure the value of Authorization \
        header is formed correctly including the signature.";
    // The first line is the service's own; the others tell a test what is wrong.
    refuse(403, "AuthenticationFailed", &format!("{words}\n{why}"))
}

impl Azure {
    pub(super) fn authorize(&mut self, request: &Parts, place: &Place) -> Result<Grant, Refusal> {
        if text_of(request, "x-ms-version") != Some(VERSION) {
            return refuse(400, "InvalidHeaderValue", "no x-ms-version that is known");
        }
        let authorization = text_of(request, "authorization");
        match authorization.map(|text| text.split_once(' ').unwrap_or_default()) {
            Some(("SharedKey", signed)) => {
                check_date(request)?;
                let signature = signature(&string_to_sign(request, &place.account), place);
                if signed != format!("{}:{signature}", place.account) {
                    return unknown("the signature is another one");
                }
                self.signed_by.insert("key");
                Ok(Grant::All)
            }
            Some(("Bearer", token)) => {
                check_date(request)?;
                self.signed_by.insert("token");
                check_token(token)
            }
            Some(_) => refuse(401, "InvalidAuthenticationInfo", "no such scheme"),
            None => {
                self.signed_by.insert("signature");
                shared_access(&request.uri, place)
            }
        }
    }
}

pub(super) fn check_token(token: &str) -> Result<Grant, Refusal> {
    if token == TOKEN {
        Ok(Grant::All)
    } else {
        refuse(401, "InvalidAuthenticationInfo", "no such token")
    }
}

/// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>: the clock may
/// be 15 minutes off.
fn check_date(request: &Parts) -> Result<(), Refusal> {
    let date = text_of(request, "x-ms-date").unwrap_or_default();
    let date = OffsetDateTime::parse(date, &Rfc2822);
    let off = date.map(|date| (OffsetDateTime::now_utc() - date).abs().whole_minutes());
    match off {
        Ok(..15) => Ok(()),
        _ => unknown("the date is missing or too far off"),
    }
}

/// The string to sign of the page above, of the version for Blob Storage since 2014-02-14.
fn string_to_sign(request: &Parts, account: &str) -> String {
    const HEADERS: [&str; 11] = [
        "content-encoding",
        "content-language",
        "content-length",
        "content-md5",
        "content-type",
        "date",
        "if-modified-since",
        "if-match",
        "if-none-match",
        "if-unmodified-since",
        "range",
    ];
    let header = |name: &str| text_of(request, name).unwrap_or_default();
    let mut lines = vec![request.method.to_string()];
    lines.extend(HEADERS.map(|name| match (name, header(name)) {
        ("content-length", "0") => String::new(),
        (_, value) => value.to_owned(),
    }));
    let names = request.headers.keys().map(http::HeaderName::as_str);
    let names: BTreeSet<&str> = names.filter(|name| name.starts_with("x-ms-")).collect();
    lines.extend(names.into_iter().map(|name| {
        let words: Vec<_> = header(name).split_whitespace().collect();
        format!("{name}:{}", words.join(" "))
    }));
    lines.push(format!("/{account}{}", request.uri.path()));
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in query(request) {
        let values = parameters.entry(name.to_ascii_lowercase()).or_default();
        values.push(value);
    }
    lines.extend(parameters.into_iter().map(|(name, mut values)| {
        values.sort();
        format!("{name}:{}", values.join(","))
    }));
    lines.join("\n")
}

fn signature(text: &str, place: &Place) -> String {
    let key = BASE64_STANDARD
        .decode(key_of(&place.account))
        .expect("a key");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length will do");
    mac.update(text.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// <https://learn.microsoft.com/rest/api/storageservices/create-service-sas#version-2020-12-06-and-later>
fn shared_access_text(given: &BTreeMap<String, String>, place: &Place) -> Option<String> {
    let text = |name: &str| given.get(name).map(String::as_str);
    let Place {
        account,
        container,
        name,
    } = place;
    let resource = match text("sr")? {
        "c" => format!("/blob/{account}/{container}"),
        "b" => format!("/blob/{account}/{container}/{name}"),
        _ => return None,
    };
    let or_empty = |name: &str| text(name).unwrap_or_default().to_owned();
    let fields = [
        text("sp")?.to_owned(),
        or_empty("st"),
        text("se")?.to_owned(),
        resource,
        String::new(),
        or_empty("sip"),
        or_empty("spr"),
        text("sv")?.to_owned(),
        text("sr")?.to_owned(),
    ];
    // A snapshot, an encryption scope, and five headers of the answer.
    Some(format!("{}{}", fields.join("\n"), "\n".repeat(7)))
}

/// Who may do something by the query of a URL.
pub(super) fn shared_access(uri: &Uri, place: &Place) -> Result<Grant, Refusal> {
    let (parts, ()) = http::Request::get(uri.clone())
        .body(())
        .expect("a request")
        .into_parts();
    let given: BTreeMap<String, String> = query(&parts).into_iter().collect();
    let Some(signed) = given.get("sig") else {
        return refuse(401, "NoAuthenticationInformation", "nobody has signed this");
    };
    let text = shared_access_text(&given, place);
    if text.map(|text| signature(&text, place)).as_ref() != Some(signed) {
        return unknown("the shared access signature is another one");
    }
    if given
        .get("spr")
        .is_some_and(|protocols| protocols == "https")
    {
        return unknown("the shared access signature is for HTTPS");
    }
    let end = OffsetDateTime::parse(&given["se"], &Rfc3339);
    if end.map_or(true, |end| end < OffsetDateTime::now_utc()) {
        return unknown("the shared access signature has run out");
    }
    Ok(Grant::Some(given["sp"].clone()))
}

/// A shared access signature for a container of the first account.
pub(crate) fn sas(container: &str, permissions: &str) -> String {
    let place = Place {
        account: super::ACCOUNTS[0].to_owned(),
        container: container.to_owned(),
        name: String::new(),
    };
    let given = [
        ("sv", "2022-11-02"),
        ("se", "2099-01-01T00:00:00Z"),
        ("sr", "c"),
        ("sp", permissions),
    ];
    let mut given: BTreeMap<String, String> = given
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let text = shared_access_text(&given, &place).expect("all fields");
    given.insert("sig".to_owned(), signature(&text, &place));
    let encoded = |value: &str| {
        percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs = given.iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    pairs.join("&")
}
