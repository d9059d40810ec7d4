//! The unified diff of one object in two stores.

use bytes::Bytes;

use crate::store::{Key, ReadOptions, Result, Store};
use crate::text::unified_diff;

/// What hides secrets: gets an object's key and text, gives the text that may be shown.
pub type Mask = dyn Fn(&Key, &str) -> String + Send + Sync;

/// How texts are compared.
#[derive(Clone, Copy)]
pub struct TextOptions<'a> {
    /// The largest object that is compared, in bytes.
    pub limit: u64,
    /// How many unchanged lines are shown around a change.
    pub context: usize,
    /// What hides secrets before anything is shown.
    pub mask: Option<&'a Mask>,
}

impl Default for TextOptions<'_> {
    fn default() -> Self {
        Self {
            limit: 1 << 20,
            context: 3,
            mask: None,
        }
    }
}

/// How the text of an object differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextDiff {
    /// Not at all.
    Same,
    /// As this unified diff says.
    Unified(String),
    /// Only in what the mask hides.
    Masked,
    /// At least one side is no UTF-8 text.
    Binary,
    /// At least one side is larger than the limit.
    TooLarge,
}

enum Side {
    Missing,
    Bytes(Bytes),
    TooLarge,
}

/// Compares the object under `key` in two stores as text. One that is missing is empty.
///
/// # Errors
/// The stores' own.
pub async fn text_diff(
    a: &dyn Store,
    b: &dyn Store,
    key: &Key,
    options: TextOptions<'_>,
) -> Result<TextDiff> {
    let sides = tokio::try_join!(side(a, key, options.limit), side(b, key, options.limit))?;
    let (Some(bytes_a), Some(bytes_b)) = (sides.0.bytes(), sides.1.bytes()) else {
        return Ok(TextDiff::TooLarge);
    };
    if bytes_a == bytes_b && sides.0.exists() == sides.1.exists() {
        return Ok(TextDiff::Same);
    }
    let (Some(text_a), Some(text_b)) = (text(&bytes_a), text(&bytes_b)) else {
        return Ok(TextDiff::Binary);
    };
    let masked = |text: &str| {
        options
            .mask
            .map_or_else(|| text.to_owned(), |mask| mask(key, text))
    };
    let (text_a, text_b) = (masked(text_a), masked(text_b));
    if text_a == text_b && options.mask.is_some() {
        return Ok(TextDiff::Masked);
    }
    let (name_a, name_b) = (sides.0.name(a, key), sides.1.name(b, key));
    let diff = unified_diff((&name_a, &text_a), (&name_b, &text_b), options.context);
    Ok(TextDiff::Unified(diff))
}

async fn side(store: &dyn Store, key: &Key, limit: u64) -> Result<Side> {
    let object = match store.read(key, ReadOptions::default()).await {
        Ok(object) => object,
        Err(error) if error.is_missing_key() => return Ok(Side::Missing),
        Err(error) => return Err(error),
    };
    if object.meta.size > limit {
        return Ok(Side::TooLarge);
    }
    Ok(Side::Bytes(object.body.collect(limit).await?))
}

impl Side {
    fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::Missing => Some(Bytes::new()),
            Self::Bytes(bytes) => Some(bytes.clone()),
            Self::TooLarge => None,
        }
    }

    fn exists(&self) -> bool {
        !matches!(self, Self::Missing)
    }

    fn name(&self, store: &dyn Store, key: &Key) -> String {
        match self {
            Self::Missing => "/dev/null".to_owned(),
            _ => format!("{}/{key}", store.url().trim_end_matches('/')),
        }
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}
