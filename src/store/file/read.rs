//! Reading one version of a file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use futures::stream;
use rustix::fs::Stat;

use super::super::{Body, Key, Object, ReadOptions, Result};
use super::tree::Tree;
use super::trouble::{Context, Trouble, on, on_std};
use super::{blocking, version};

/// How many bytes are read at once; what isn't larger is read whole.
const CHUNK: u64 = 256 << 10;

/// Opens a file and gives what was asked for of the version that was opened.
pub(super) fn open(
    tree: &Tree,
    path: &str,
    key: Key,
    options: ReadOptions,
    context: Context,
) -> Result<Object, Trouble> {
    let (mut file, stat) = tree.open(path)?;
    let tag = version::tag(&stat);
    if options.if_match.is_some_and(|wanted| wanted != tag) {
        return Err(Trouble::OtherVersion(Some(tag)));
    }
    let meta = version::meta(key, &stat);
    let asked = options.range.unwrap_or(0..meta.size);
    let end = asked.end.min(meta.size);
    let range = asked.start.min(end)..end;
    let size = range.end - range.start;
    file.seek(SeekFrom::Start(range.start))
        .map_err(on_std(tree.path(path)))?;
    let mut rest = Rest {
        file,
        stat,
        range,
        path: tree.path(path),
    };
    let body = if size <= CHUNK {
        Body::Bytes(rest.chunk()?)
    } else {
        rest.stream(size, context)
    };
    Ok(Object { meta, body })
}

/// What is still to be read.
struct Rest {
    file: File,
    stat: Stat,
    range: Range<u64>,
    path: String,
}

impl Rest {
    fn chunk(&mut self) -> Result<Bytes, Trouble> {
        let length = (self.range.end - self.range.start).min(CHUNK);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let read = self.file.read_exact(&mut bytes);
        self.range.start += length;
        let changed = || Trouble::Corrupt("the file was changed while it was read".into());
        match read {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(changed());
            }
            read => read.map_err(on_std(&self.path))?,
        }
        if self.range.is_empty() {
            let now = rustix::fs::fstat(&self.file).map_err(on(&self.path))?;
            if !version::same_bytes(&self.stat, &now) {
                return Err(changed());
            }
        }
        Ok(bytes.into())
    }

    fn stream(self, size: u64, context: Context) -> Body {
        let chunks = stream::try_unfold(self, move |mut rest| {
            let context = context.clone();
            async move {
                if rest.range.is_empty() {
                    return Ok(None);
                }
                blocking(context, move || Ok(Some((rest.chunk()?, rest)))).await
            }
        });
        Body::stream(Some(size), chunks)
    }
}
