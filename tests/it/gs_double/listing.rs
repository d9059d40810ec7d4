//! Listings, in pages.

use std::collections::BTreeSet;

use http::request::Parts;
use serde_json::json;

use super::objects::resource;
use super::{Gs, Outcome, answer, parameters, refuse};

impl Gs {
    pub(super) fn list(&mut self, request: &Parts, bucket: &str) -> Outcome {
        let known = [
            "prefix",
            "delimiter",
            "startOffset",
            "pageToken",
            "maxResults",
            "fields",
        ];
        let known = parameters(request, &known)?;
        let text = |name: &str| known.get(name).map_or("", String::as_str);
        let most = match known.get("maxResults").map(|most| most.parse::<usize>()) {
            None => self.page_size,
            Some(Ok(most)) if most > 0 => most.min(self.page_size),
            Some(_) => return refuse(400, "invalid", "maxResults is no number"),
        };
        let after = match text("pageToken") {
            "" => None,
            token => match token.strip_prefix("after:") {
                Some(name) => Some(name.to_owned()),
                None => return refuse(400, "invalid", "no such page"),
            },
        };
        let (prefix, delimiter) = (text("prefix"), text("delimiter"));
        let (mut items, mut prefixes) = (Vec::new(), BTreeSet::new());
        let mut last: Option<String> = None;
        let mut next = None;
        for (name, object) in self.bucket(bucket)?.range(text("startOffset").to_owned()..) {
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
            if items.len() + prefixes.len() == most {
                next = last.map(|name| format!("after:{name}"));
                break;
            }
            match folder {
                Some(folder) => drop(prefixes.insert(folder)),
                None => items.push(resource(bucket, name, object)),
            }
            last = Some(shown);
        }
        let mut page = json!({"kind": "storage#objects"});
        if !items.is_empty() {
            page["items"] = items.into();
        }
        if !prefixes.is_empty() {
            page["prefixes"] = json!(prefixes);
        }
        if let Some(next) = next {
            page["nextPageToken"] = next.into();
        }
        Ok(answer(200, page.to_string().into()))
    }
}
