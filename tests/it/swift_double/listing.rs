//! Listings, in pages.

use http::request::Parts;
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

use super::objects::etag;
use super::{Object, Outcome, Swift, answer, parameters, refuse};

impl Swift {
    pub(super) fn list(&mut self, request: &Parts, account: &str, container: &str) -> Outcome {
        let known = ["format", "prefix", "delimiter", "marker", "limit"];
        let known = parameters(request, &known)?;
        let text = |name: &str| known.get(name).map_or("", String::as_str);
        if text("format") != "json" {
            return refuse(400, "only JSON is spoken here");
        }
        let most = match known.get("limit").map(|limit| limit.parse::<usize>()) {
            None => self.page_size,
            Some(Ok(limit)) if limit <= 10_000 => limit.min(self.page_size),
            Some(_) => return refuse(412, "Value of limit must be at most 10000"),
        };
        let (prefix, delimiter, marker) = (text("prefix"), text("delimiter"), text("marker"));
        let mut items = Vec::new();
        let mut last = String::new();
        for (name, object) in &self.container(account, container)?.objects {
            let Some(rest) = name.strip_prefix(prefix) else {
                continue;
            };
            let folder = (!delimiter.is_empty())
                .then(|| rest.find(delimiter))
                .flatten()
                .map(|at| format!("{prefix}{}", &rest[..at + delimiter.len()]));
            // A folder that the marker lies in is told again, but not the marker itself.
            if name.as_str() <= marker || folder.as_deref() == Some(marker) {
                continue;
            }
            match folder {
                Some(folder) if folder == last => continue,
                Some(folder) => {
                    items.push(json!({ "subdir": folder }));
                    last = folder;
                }
                None => items.push(item(name, object)),
            }
            if items.len() == most {
                break;
            }
        }
        Ok(answer(200, json!(items).to_string().into()))
    }
}

fn item(name: &str, object: &Object) -> serde_json::Value {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]");
    let nanoseconds = i128::from(object.timestamp) * 1000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).expect("a time");
    // A large object's hash is that of its manifest.
    let plain = Object {
        segments: None,
        ..object.clone()
    };
    let mut item = json!({
        "name": name,
        "hash": etag(&plain),
        "bytes": object.size(),
        "content_type": object.content_type,
        "last_modified": time.format(format).expect("a time"),
    });
    if object.segments.is_some() {
        item["slo_etag"] = format!("\"{}\"", etag(object)).into();
    }
    item
}
