//! Deleting many objects: <https://docs.openstack.org/swift/latest/middleware.html#bulk-delete>.

use bytes::Bytes;
use http::request::Parts;

use super::large::summary;
use super::{Outcome, Swift, parameters, refuse, text};
use crate::http_double::decoded;

impl Swift {
    pub(super) fn bulk_delete(&mut self, request: &Parts, body: &Bytes, account: &str) -> Outcome {
        parameters(request, &["bulk-delete"])?;
        let (Some(most), Some(_)) = (self.max_deletes, request.uri.query()) else {
            return refuse(405, "The method is not allowed for this resource.");
        };
        let is_asked = text(request, "content-type") == Some("text/plain")
            && text(request, "accept") == Some("application/json");
        let Ok(lines) = std::str::from_utf8(body) else {
            return refuse(400, "Invalid File Name");
        };
        if !is_asked || lines.lines().count() > most {
            return refuse(413, "Maximum Bulk Deletes per request, or of another type");
        }
        let (mut deleted, mut missing, mut errors) = (0, 0, Vec::new());
        for line in lines.lines() {
            let path = decoded(line.trim());
            let Some((container, name)) = path.strip_prefix('/').and_then(|p| p.split_once('/'))
            else {
                return refuse(400, "no object");
            };
            if self.protected.as_deref() == Some(name) {
                let told = if self.misnames { name } else { line };
                errors.push((told.to_owned(), "403 Forbidden".to_owned()));
                continue;
            }
            let container = self.container(account, container).ok();
            match container.and_then(|container| container.objects.remove(name)) {
                Some(_) => deleted += 1,
                None => missing += 1,
            }
        }
        Ok(summary(deleted, missing, &errors))
    }
}
