//! Uploads in parts.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use http::Response;

use super::objects::{content_type, copied, range_of, told, user};
use super::state::{Kind, Object, md5_hex};
use super::{Asked, Oss, Outcome, refuse, xml};

/// Parts but the last are no smaller, in bytes.
const SMALLEST_PART: usize = 100 << 10;
const MOST_PARTS: u32 = 10_000;

pub(super) struct Upload {
    bucket: String,
    name: String,
    content_type: String,
    user: BTreeMap<String, String>,
    parts: BTreeMap<u32, Bytes>,
}

fn no_upload<T>() -> Outcome<T> {
    let message = "The specified upload does not exist.";
    refuse(404, "NoSuchUpload", "0042-00000104", message)
}

impl Oss {
    pub(super) fn begin(&mut self, asked: &Asked<'_>) -> Outcome {
        let headers = ["x-oss-meta-", "x-oss-forbid-overwrite"];
        asked.only(&["uploads", "encoding-type"], &headers)?;
        self.check_overwrite(asked)?;
        let upload = Upload {
            bucket: asked.bucket.to_owned(),
            name: asked.name.to_owned(),
            content_type: content_type(asked),
            user: user(asked)?,
            parts: BTreeMap::new(),
        };
        let id = self.next_id();
        let told = format!(
            "<Bucket>{}</Bucket><Key>{}</Key><UploadId>{id}</UploadId>",
            asked.bucket,
            xml::escaped(asked.name)
        );
        self.uploads.insert(id, upload);
        Ok(xml::answer("InitiateMultipartUploadResult", &told))
    }

    fn upload(&mut self, asked: &Asked<'_>) -> Outcome<&mut Upload> {
        let id = asked.query.get("uploadId").map_or("", String::as_str);
        match self.uploads.get_mut(id) {
            Some(upload) if upload.bucket == asked.bucket && upload.name == asked.name => {
                Ok(upload)
            }
            _ => no_upload(),
        }
    }

    fn keep(&mut self, asked: &Asked<'_>, bytes: Bytes) -> Outcome<()> {
        let number = asked
            .query
            .get("partNumber")
            .and_then(|text| text.parse().ok());
        let Some(number) = number.filter(|number| (1..=MOST_PARTS).contains(number)) else {
            let message = "Part number must be an integer between 1 and 10000, inclusive.";
            return refuse(400, "InvalidArgument", "", message);
        };
        self.upload(asked)?.parts.insert(number, bytes);
        Ok(())
    }

    pub(super) fn put_part(&mut self, asked: &Asked<'_>) -> Outcome {
        asked.only(&["partNumber", "uploadId"], &["content-md5"])?;
        asked.check_digest()?;
        self.keep(asked, asked.body.clone())?;
        let response = told(&Object::normal(asked.body.clone()), None);
        Ok(response.body(Bytes::new()).expect("a response"))
    }

    pub(super) fn copy_part(&mut self, asked: &Asked<'_>) -> Outcome {
        let headers = [
            "x-oss-copy-source",
            "x-oss-copy-source-if-match",
            "x-oss-copy-source-range",
        ];
        asked.only(&["partNumber", "uploadId"], &headers)?;
        let whole = self.source(asked)?.bytes;
        let bytes = match asked.header("x-oss-copy-source-range") {
            None => whole,
            Some(text) => match range_of(text) {
                Some((first, end)) if end <= whole.len() => whole.slice(first..end),
                _ => return refuse(400, "InvalidArgument", "", "x-oss-copy-source-range"),
            },
        };
        self.keep(asked, bytes.clone())?;
        Ok(copied("CopyPartResult", &Object::normal(bytes), None))
    }

    pub(super) fn complete(&mut self, asked: &Asked<'_>) -> Outcome {
        asked.only(&["uploadId", "encoding-type"], &["x-oss-forbid-overwrite"])?;
        let listed = listed(asked.body)?;
        self.upload(asked)?;
        self.check_overwrite(asked)?;
        let upload = self.upload(asked)?;
        let mut whole = BytesMut::new();
        let mut digests = String::new();
        for (at, (number, etag)) in listed.iter().enumerate() {
            let part = upload.parts.get(number);
            let Some(part) = part.filter(|part| md5_hex(part) == etag.trim_matches('"')) else {
                let message = "One or more of the specified parts could not be found.";
                return refuse(400, "InvalidPart", "0042-00000305", message);
            };
            if part.len() < SMALLEST_PART && at + 1 < listed.len() {
                let message = "Your proposed upload is smaller than the minimum allowed size.";
                return refuse(400, "EntityTooSmall", "0042-00000203", message);
            }
            whole.extend_from_slice(part);
            digests.push_str(&md5_hex(part));
        }
        let object = Object {
            bytes: whole.freeze(),
            content_type: upload.content_type.clone(),
            user: upload.user.clone(),
            // Looks like an MD5 and is none.
            etag: md5_hex(digests.as_bytes()),
            kind: Kind::Multipart,
        };
        self.uploads.remove(&asked.query["uploadId"]);
        let result = format!(
            "<Location>http://127.0.0.1/{0}</Location><Bucket>{0}</Bucket><Key>{1}</Key>\
             <ETag>\"{2}\"</ETag>",
            asked.bucket,
            xml::escaped(asked.name),
            object.etag
        );
        let id = self.next_id();
        let version = self.bucket(asked).put(asked.name, object.clone(), id);
        let body = xml::answer("CompleteMultipartUploadResult", &result).into_body();
        let response = told(&object, version).header("content-type", "application/xml");
        Ok(response.body(body).expect("a response"))
    }

    pub(super) fn abort(&mut self, asked: &Asked<'_>) -> Outcome {
        asked.only(&["uploadId"], &[])?;
        self.upload(asked)?;
        self.uploads.remove(&asked.query["uploadId"]);
        let response = Response::builder().status(204);
        Ok(response.body(Bytes::new()).expect("a response"))
    }
}

/// The parts that a request names: numbers, which must rise, and tags.
fn listed(body: &[u8]) -> Outcome<Vec<(u32, String)>> {
    let mut numbers = Vec::new();
    let mut tags = Vec::new();
    for (path, text) in xml::leaves(body)? {
        match path.as_str() {
            "CompleteMultipartUpload/Part/PartNumber" => numbers.push(text.parse().unwrap_or(0)),
            "CompleteMultipartUpload/Part/ETag" => tags.push(text),
            other => return refuse(400, "MalformedXML", "", other),
        }
    }
    if numbers.len() != tags.len() || numbers.is_empty() {
        return refuse(400, "MalformedXML", "", "numbers and tags");
    }
    if !numbers.is_sorted_by(|a, b| a < b) {
        let message = "The list of parts was not in ascending order.";
        return refuse(400, "InvalidPartOrder", "", message);
    }
    Ok(numbers.into_iter().zip(tags).collect())
}
