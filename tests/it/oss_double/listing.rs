//! Listings in pages, and deleting what is named in a list.

use std::fmt::Write;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::objects::MODIFIED;
use super::{Asked, Oss, Outcome, refuse, xml};

/// What a page of a listing tells, as it is written into the answer.
struct Names {
    is_encoded: bool,
}

impl Names {
    fn of(asked: &Asked<'_>) -> Outcome<Self> {
        match asked.query.get("encoding-type").map(String::as_str) {
            None => Ok(Self { is_encoded: false }),
            Some("url") => Ok(Self { is_encoded: true }),
            Some(_) => refuse(400, "InvalidArgument", "", "encoding-type is url"),
        }
    }

    fn written(&self, name: &str) -> String {
        if self.is_encoded {
            utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
        } else {
            xml::escaped(name)
        }
    }

    fn encoding(&self) -> &'static str {
        if self.is_encoded {
            "<EncodingType>url</EncodingType>"
        } else {
            ""
        }
    }
}

/// What a listing asks for.
struct Wanted<'a> {
    prefix: &'a str,
    delimiter: &'a str,
    start: &'a str,
    /// What was told last on the page before.
    after: Option<&'a str>,
    most: usize,
}

impl<'a> Wanted<'a> {
    fn of(asked: &'a Asked<'_>, page_size: usize) -> Outcome<Self> {
        let text = |name: &str| asked.query.get(name).map_or("", String::as_str);
        let too_long = |name: &&str| text(name).len() >= 1024;
        if text("list-type") != "2" || ["prefix", "start-after"].iter().any(too_long) {
            return refuse(400, "InvalidArgument", "", "list-type, prefix, start-after");
        }
        let most = match text("max-keys") {
            "" => 100,
            text => match text.parse::<usize>() {
                Ok(most) if (1..=1000).contains(&most) => most,
                _ => return refuse(400, "InvalidArgument", "", "max-keys is 1 to 1000"),
            },
        };
        // The token holds what was told last, behind a mark that needs encoding.
        let after = match text("continuation-token") {
            "" => None,
            token => match token.strip_prefix("~+") {
                None => return refuse(400, "InvalidArgument", "", "continuation-token"),
                after => after,
            },
        };
        Ok(Self {
            prefix: text("prefix"),
            delimiter: text("delimiter"),
            start: text("start-after"),
            after,
            most: most.min(page_size),
        })
    }

    /// What a name is listed as, if it is: itself, or the folder that it lies in, and whether that.
    fn shown<'b>(&self, name: &'b str) -> Option<(&'b str, bool)> {
        let rest = name.strip_prefix(self.prefix)?;
        let folder = rest
            .find(self.delimiter)
            .filter(|_| !self.delimiter.is_empty());
        let shown = match folder {
            Some(at) => &name[..self.prefix.len() + at + self.delimiter.len()],
            None => name,
        };
        let was_told = self.after.is_some_and(|after| shown <= after);
        (name > self.start && !was_told).then_some((shown, folder.is_some()))
    }
}

impl Oss {
    /// <https://www.alibabacloud.com/help/en/oss/developer-reference/listobjectsv2>
    pub(super) fn list(&mut self, asked: &Asked<'_>) -> Outcome {
        let known = [
            "list-type",
            "encoding-type",
            "prefix",
            "delimiter",
            "start-after",
            "continuation-token",
            "max-keys",
            "fetch-owner",
        ];
        asked.only(&known, &[])?;
        let names = Names::of(asked)?;
        let wanted = Wanted::of(asked, self.page_size)?;
        let (mut contents, mut folders) = (String::new(), String::new());
        let (mut count, mut next) = (0, String::new());
        let mut last = String::new();
        for (name, object) in self.bucket(asked).all() {
            let shown = wanted.shown(name).filter(|(shown, _)| *shown != last);
            let Some((shown, is_folder)) = shown else {
                continue;
            };
            if count == wanted.most {
                next = names.written(&format!("~+{last}"));
                break;
            }
            count += 1;
            shown.clone_into(&mut last);
            let told = names.written(shown);
            if is_folder {
                write!(
                    folders,
                    "<CommonPrefixes><Prefix>{told}</Prefix></CommonPrefixes>"
                )
            } else {
                write!(
                    contents,
                    "<Contents><Key>{told}</Key><LastModified>{MODIFIED}</LastModified>\
                     <ETag>\"{}\"</ETag><Type>{}</Type><Size>{}</Size>\
                     <StorageClass>Standard</StorageClass></Contents>",
                    object.etag,
                    object.kind.name(),
                    object.bytes.len()
                )
            }
            .expect("writing to a String can't fail");
        }
        let is_truncated = !next.is_empty();
        let page = format!(
            "<Name>{}</Name><Prefix>{}</Prefix><MaxKeys>{}</MaxKeys>{}\
             <IsTruncated>{is_truncated}</IsTruncated>{contents}{folders}\
             <NextContinuationToken>{next}</NextContinuationToken><KeyCount>{count}</KeyCount>",
            asked.bucket,
            names.written(wanted.prefix),
            wanted.most,
            names.encoding()
        );
        Ok(xml::answer("ListBucketResult", &page))
    }

    /// <https://www.alibabacloud.com/help/en/oss/developer-reference/deletemultipleobjects>
    pub(super) fn delete_many(&mut self, asked: &Asked<'_>) -> Outcome {
        asked.only(&["delete", "encoding-type"], &["content-md5"])?;
        let names = Names::of(asked)?;
        if asked.header("content-md5").is_none() {
            return refuse(
                400,
                "MissingArgument",
                "",
                "Missing Some Required Arguments.",
            );
        }
        asked.check_digest()?;
        let (mut keys, mut is_quiet) = (Vec::new(), false);
        for (path, text) in xml::leaves(asked.body)? {
            match path.as_str() {
                "Delete/Quiet" => is_quiet = text == "true",
                "Delete/Object/Key" => keys.push(text),
                other => return refuse(400, "MalformedXML", "", other),
            }
        }
        if keys.is_empty() || keys.len() > 1000 {
            return refuse(400, "MalformedXML", "", "1 to 1000 objects");
        }
        let mut told = names.encoding().to_owned();
        for key in keys {
            if self.undeletable.as_ref() == Some(&key) {
                continue;
            }
            let id = self.next_id();
            self.bucket(asked).delete(&key, id);
            if !is_quiet {
                let key = names.written(&key);
                write!(told, "<Deleted><Key>{key}</Key></Deleted>")
                    .expect("writing to a String can't fail");
            }
        }
        Ok(xml::answer("DeleteResult", &told))
    }
}
