//! Signatures of version 4, computed anew:
//! <https://www.alibabacloud.com/help/en/oss/developer-reference/recommend-to-use-signature-version-4>.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_core::hash::{hex_hmac_sha256, hex_sha256, hmac_sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use super::{Asked, KEY, Outcome, REGION, machine, refuse};

const ALGORITHM: &str = "OSS4-HMAC-SHA256";

/// How far a client's clock may be off, in minutes.
const SKEW: i64 = 15;

const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const PATH: &AsciiSet = &VALUE.remove(b'/');

fn denied<T>(code: &'static str, ec: &'static str, message: &str) -> Outcome<T> {
    refuse(403, code, ec, message)
}

pub(super) fn check(asked: &Asked<'_>) -> Outcome<()> {
    let Some(header) = asked.header("authorization") else {
        return denied("AccessDenied", "0003-00000001", "nobody may do that");
    };
    let Some(fields) = header.strip_prefix(ALGORITHM) else {
        return refuse(400, "InvalidArgument", "0002-00000001", "no V4 signature");
    };
    let (mut credential, mut signature, mut additional) = ("", "", Vec::new());
    for field in fields.split(',') {
        match field.trim().split_once('=') {
            Some(("Credential", value)) => credential = value,
            Some(("Signature", value)) => signature = value,
            Some(("AdditionalHeaders", "")) => {
                return refuse(
                    400,
                    "InvalidArgument",
                    "0002-00000209",
                    "AdditionalHeaders is empty",
                );
            }
            Some(("AdditionalHeaders", names)) => additional = names.split(';').collect(),
            _ => return refuse(400, "InvalidArgument", "0002-00000203", "Authorization"),
        }
    }
    check_additional(asked, &additional)?;
    let [id, date, region, "oss", "aliyun_v4_request"] =
        credential.split('/').collect::<Vec<_>>()[..]
    else {
        return refuse(400, "InvalidArgument", "0002-00000204", "Credential");
    };
    if region != REGION {
        let message = "Invalid signing region in Authorization header.";
        return refuse(400, "InvalidArgument", "0002-00000222", message);
    }
    let time = asked.header("x-oss-date").unwrap_or_default();
    check_time(time, date)?;
    if asked.header("x-oss-content-sha256") != Some("UNSIGNED-PAYLOAD") {
        return refuse(
            400,
            "InvalidArgument",
            "0002-00000226",
            "x-oss-content-sha256",
        );
    }
    let token = asked.header("x-oss-security-token");
    let secret = match (id, token) {
        (id, None) if id == KEY.0 => KEY.1,
        (machine::KEY, Some(machine::TOKEN)) => machine::SECRET,
        (machine::KEY, _) => {
            return denied("InvalidAccessKeyId", "0002-00000902", "no such token");
        }
        _ => return denied("InvalidAccessKeyId", "0002-00000902", "no such key"),
    };
    let scope = format!("{date}/{region}/oss/aliyun_v4_request");
    let canonical = canonical(asked, &additional);
    let text = format!(
        "{ALGORITHM}\n{time}\n{scope}\n{}",
        hex_sha256(canonical.as_bytes())
    );
    let key = [date, region, "oss", "aliyun_v4_request"]
        .iter()
        .fold(format!("aliyun_v4{secret}").into_bytes(), |key, part| {
            hmac_sha256(&key, part.as_bytes())
        });
    if hex_hmac_sha256(&key, text.as_bytes()) == signature {
        return Ok(());
    }
    let message = format!("The request signature does not match. CanonicalRequest: {canonical}");
    denied("SignatureDoesNotMatch", "0002-00000040", &message)
}

/// Names of further headers: small, in order, none that is signed anyway, all of them there.
fn check_additional(asked: &Asked<'_>, names: &[&str]) -> Outcome<()> {
    let is_wrong = |name: &&&str| {
        name.is_empty()
            || **name != name.to_ascii_lowercase()
            || is_signed(name)
            || asked.header(name).is_none()
    };
    if names.iter().any(|name| is_wrong(&name)) || !names.is_sorted() {
        return refuse(400, "InvalidArgument", "0002-00000210", "AdditionalHeaders");
    }
    Ok(())
}

fn is_signed(header: &str) -> bool {
    header.starts_with("x-oss-") || matches!(header, "content-type" | "content-md5")
}

fn check_time(time: &str, date: &str) -> Outcome<()> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let Ok(at) = time::PrimitiveDateTime::parse(time, format) else {
        return refuse(400, "InvalidArgument", "0002-00000225", "x-oss-date");
    };
    let off = (OffsetDateTime::now_utc() - at.assume_utc()).whole_minutes();
    if off.abs() > SKEW || !time.starts_with(date) {
        return denied(
            "RequestTimeTooSkewed",
            "0002-00000504",
            "the time is another one",
        );
    }
    Ok(())
}

fn canonical(asked: &Asked<'_>, additional: &[&str]) -> String {
    let value = |text: &str| utf8_percent_encode(text, VALUE).to_string();
    let path = format!("/{}/{}", asked.bucket, asked.name);
    let mut query: Vec<(String, String)> = asked
        .query
        .iter()
        .map(|(name, text)| (value(name), value(text)))
        .collect();
    query.sort();
    let query: Vec<String> = query
        .into_iter()
        .map(|(name, text)| {
            if text.is_empty() {
                name
            } else {
                format!("{name}={text}")
            }
        })
        .collect();
    let mut headers: Vec<(&str, &str)> = asked
        .request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default().trim()))
        .filter(|(name, _)| is_signed(name) || additional.contains(name))
        .collect();
    headers.sort_unstable();
    let mut text = format!(
        "{}\n{}\n{}\n",
        asked.request.method,
        utf8_percent_encode(&path, PATH),
        query.join("&")
    );
    for (name, value) in headers {
        writeln!(text, "{name}:{value}").expect("writing to a String can't fail");
    }
    text + "\n" + &additional.join(";") + "\nUNSIGNED-PAYLOAD"
}
