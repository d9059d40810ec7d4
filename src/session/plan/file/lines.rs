//! The lines of a plan's file. The last one has the checksum of all before it.

use std::borrow::Cow;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::{Origin, Plan, PlannedLock, PlannedStore, SeenListing, SeenObject, Step};
use super::Fault;
use crate::store::{Algorithm, Checksum, ErrorKind, Hasher};

/// The version of the format that this kstate writes and reads.
const VERSION: u64 = 1;

/// The first line, as far as every version has it.
#[derive(Deserialize)]
struct Version {
    kstate_plan: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    kstate_plan: u64,
    origin: Cow<'a, Origin>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Store(Cow<'a, PlannedStore>),
    Content {
        sha256: Cow<'a, str>,
        base64: Cow<'a, str>,
    },
    Step(Cow<'a, Step>),
    Lock(Cow<'a, PlannedLock>),
    Object(Cow<'a, SeenObject>),
    Listing(Cow<'a, SeenListing>),
}

/// Writes all lines of a plan.
pub(super) fn encode(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    let mut lines = Lines {
        out,
        count: 0,
        hasher: Hasher::new(Algorithm::Sha256),
    };
    lines.put(&Header {
        kstate_plan: VERSION,
        origin: Cow::Borrowed(&plan.origin),
    })?;
    for store in &plan.stores {
        lines.put(&Line::Store(Cow::Borrowed(store)))?;
    }
    for (sha256, bytes) in &plan.contents {
        lines.put(&Line::Content {
            sha256: sha256.into(),
            base64: STANDARD.encode(bytes).into(),
        })?;
    }
    for step in &plan.steps {
        lines.put(&Line::Step(Cow::Borrowed(step)))?;
    }
    for lock in &plan.locks {
        lines.put(&Line::Lock(Cow::Borrowed(lock)))?;
    }
    for object in &plan.observed.objects {
        lines.put(&Line::Object(Cow::Borrowed(object)))?;
    }
    for listing in &plan.observed.listings {
        lines.put(&Line::Listing(Cow::Borrowed(listing)))?;
    }
    let end = end(lines.count, &lines.hasher.finish().hex());
    out.write_all(end.as_bytes())
}

struct Lines<'a, W> {
    out: &'a mut W,
    count: usize,
    hasher: Hasher,
}

impl<W: Write> Lines<'_, W> {
    fn put(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.hasher.update(&bytes);
        self.count += 1;
        self.out.write_all(&bytes)
    }
}

/// The last line: how many are before it, and the checksum of their bytes.
pub(super) fn end(lines: usize, sha256: &str) -> String {
    format!("{{\"end\":{{\"lines\":{lines},\"sha256\":\"{sha256}\"}}}}\n")
}

/// Reads all lines of a plan. What they say of each other is not checked here.
pub(super) fn decode(bytes: &[u8]) -> Result<Plan, Fault> {
    let no_plan = || Fault {
        kind: ErrorKind::Invalid,
        message: "this is no plan".to_owned(),
        hint: "kstate plan SCRIPT -o FILE writes one",
    };
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
    let version: Version = serde_json::from_slice(first).map_err(|_| no_plan())?;
    if version.kstate_plan != VERSION {
        return Err(Fault {
            kind: ErrorKind::Unsupported,
            message: format!(
                "it has version {} of the plan format, and this kstate reads version {VERSION}",
                version.kstate_plan
            ),
            hint: "use the kstate that wrote it, or plan the script again with this one",
        });
    }
    let body = unsealed(bytes)?;
    let mut lines = body.split_inclusive(|byte| *byte == b'\n');
    let header: Header = parse(1, lines.next().unwrap_or_default())?;
    let mut plan = Plan {
        origin: header.origin.into_owned(),
        ..Plan::default()
    };
    for (at, line) in lines.enumerate() {
        let number = at + 2;
        match parse(number, line)? {
            Line::Store(store) => plan.stores.push(store.into_owned()),
            Line::Content { sha256, base64 } => {
                let bytes = STANDARD.decode(base64.as_bytes()).map_err(|error| {
                    Fault::damaged(format!("line {number}: a content is no base64: {error}"))
                })?;
                let earlier = plan.contents.insert(sha256.into_owned(), bytes.into());
                if earlier.is_some() {
                    return Err(Fault::damaged(format!("line {number}: a content twice")));
                }
            }
            Line::Step(step) => plan.steps.push(step.into_owned()),
            Line::Lock(lock) => plan.locks.push(lock.into_owned()),
            Line::Object(object) => plan.observed.objects.push(object.into_owned()),
            Line::Listing(listing) => plan.observed.listings.push(listing.into_owned()),
        }
    }
    Ok(plan)
}

/// All lines but the last, when the last one is theirs.
fn unsealed(bytes: &[u8]) -> Result<&[u8], Fault> {
    let cut = || Fault::damaged("its end is missing: it was cut or edited");
    let lines = bytes.strip_suffix(b"\n").ok_or_else(cut)?;
    let at = lines.iter().rposition(|byte| *byte == b'\n');
    let (body, last) = bytes.split_at(at.ok_or_else(cut)? + 1);
    if !last.starts_with(b"{\"end\":") {
        return Err(cut());
    }
    #[expect(clippy::naive_bytecount, reason = "the hash takes far longer")]
    let count = body.iter().filter(|byte| **byte == b'\n').count();
    let sha256 = Checksum::of(Algorithm::Sha256, body).hex();
    if last == end(count, &sha256).as_bytes() {
        Ok(body)
    } else {
        Err(Fault::damaged(
            "its checksum doesn't match: it was cut or edited",
        ))
    }
}

fn parse<'a, T: Deserialize<'a>>(number: usize, line: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(line).map_err(|error| {
        // The error's own words could repeat what stands in the file.
        Fault::damaged(format!(
            "line {number}, column {}: not what kstate writes",
            error.column()
        ))
    })
}

/// The name under which a plan keeps bytes.
pub(super) fn hash(bytes: &Bytes) -> String {
    Checksum::of(Algorithm::Sha256, bytes).hex()
}
