//! Listings, in pages.

use std::collections::BTreeMap;
use std::fmt::Write;

use http::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http_double::decoded;

use super::{Azure, Blob, Call, LAST_MODIFIED, Outcome, refuse};

pub(super) const PARAMETERS: [&str; 7] = [
    "restype",
    "comp",
    "prefix",
    "delimiter",
    "marker",
    "maxresults",
    "include",
];

impl Azure {
    pub(super) fn list(&mut self, call: &Call<'_>, given: &BTreeMap<String, String>) -> Outcome {
        call.takes(&[])?;
        let text = |name: &str| given.get(name).map_or("", String::as_str);
        if text("restype") != "container" || !matches!(text("include"), "" | "metadata") {
            return refuse(400, "InvalidQueryParameterValue", "no such listing");
        }
        let most = match given.get("maxresults").map(|most| most.parse::<usize>()) {
            None => self.page_size,
            Some(Ok(most @ 1..=5000)) => most.min(self.page_size),
            Some(_) => return refuse(400, "OutOfRangeQueryParameterValue", "maxresults"),
        };
        let after = match text("marker") {
            "" => None,
            marker => match marker.strip_prefix("2!after!") {
                Some(name) => Some(decoded(name)),
                None => return refuse(400, "InvalidMarker", "no such page"),
            },
        };
        let (prefix, delimiter) = (text("prefix"), text("delimiter"));
        let (mut entries, mut count, mut next) = (String::new(), 0, None);
        let mut last: Option<String> = None;
        for (name, blob) in self.container(call.place)? {
            let Some(rest) = name.strip_prefix(prefix) else {
                continue;
            };
            let folder = (!delimiter.is_empty())
                .then(|| rest.find(delimiter))
                .flatten()
                .map(|at| format!("{prefix}{}", &rest[..at + delimiter.len()]));
            let shown = folder.clone().unwrap_or_else(|| name.clone());
            let was_given = after.as_ref().is_some_and(|after| shown <= *after);
            if was_given || last.as_ref() == Some(&shown) {
                continue;
            }
            if count == most {
                next = last.map(|name| format!("2!after!{}", encoded(&name)));
                break;
            }
            count += 1;
            match folder {
                Some(folder) => {
                    let _ = write!(entries, "<BlobPrefix>{}</BlobPrefix>", xml_name(&folder));
                }
                None => entries.push_str(&element(name, blob, text("include") == "metadata")),
            }
            last = Some(shown);
        }
        let next = next.map_or("<NextMarker />".to_owned(), |marker| {
            format!("<NextMarker>{marker}</NextMarker>")
        });
        let page = format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults \
             ServiceEndpoint=\"http://double/\" ContainerName=\"{}\"><Prefix>{}</Prefix>\
             <Blobs>{entries}</Blobs>{next}</EnumerationResults>",
            call.place.container,
            escaped(prefix)
        );
        let response = Response::builder().header("content-type", "application/xml");
        Ok(response.body(page.into()).expect("a response"))
    }
}

fn element(name: &str, blob: &Blob, with_metadata: bool) -> String {
    let md5 = blob.md5.as_ref();
    let md5 = md5.map_or("<Content-MD5 />".to_owned(), |md5| {
        format!("<Content-MD5>{md5}</Content-MD5>")
    });
    let mut metadata = String::new();
    if with_metadata {
        for (name, value) in &blob.metadata {
            let _ = write!(metadata, "<{name}>{}</{name}>", escaped(value));
        }
        metadata = format!("<Metadata>{metadata}</Metadata>");
    }
    format!(
        "<Blob>{}<Properties><Creation-Time>{LAST_MODIFIED}</Creation-Time>\
         <Last-Modified>{LAST_MODIFIED}</Last-Modified><Etag>{}</Etag>\
         <Content-Length>{}</Content-Length><Content-Type>{}</Content-Type><Content-Encoding />\
         {md5}<BlobType>BlockBlob</BlobType><LeaseStatus>unlocked</LeaseStatus></Properties>\
         {metadata}<OrMetadata /></Blob>",
        xml_name(name),
        blob.tag(),
        blob.bytes.len(),
        escaped(&blob.content_type),
    )
}

/// Since version 2021-02-12, names that XML can't hold are percent-encoded.
fn xml_name(name: &str) -> String {
    if name.contains(['\u{fffe}', '\u{ffff}']) {
        return format!("<Name Encoded=\"true\">{}</Name>", encoded(name));
    }
    format!("<Name>{}</Name>", escaped(name))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
