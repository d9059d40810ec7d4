//! Deleting: the object first, then its chunks.

use super::K8sStore;
use super::call::About;
use super::layout::{Role, Version};
use crate::store::{Error, ErrorKind, Key, Precondition, Result};

/// How often others may write an object while it is deleted.
const RACES: u32 = 100;

impl K8sStore {
    pub(super) async fn delete_one(&self, key: &Key, precondition: &Precondition) -> Result<()> {
        match precondition {
            Precondition::None => self.delete_any(key).await,
            Precondition::IfMatch(tag) => match Version::parse(tag) {
                Some(version) => self.delete_version(key, &version).await,
                None => Err(self.not_this_version(key).await?),
            },
            Precondition::IfAbsent => {
                let message = "an object can't be deleted only if there is none";
                Err(self
                    .folder
                    .error(ErrorKind::Invalid, "delete", key, message))
            }
        }
    }

    async fn delete_any(&self, key: &Key) -> Result<()> {
        let name = Role::Object.name_of(&self.folder.full(key.as_str()));
        for _ in 0..RACES {
            let Some(there) = self.look(about(key), &name).await? else {
                return Ok(());
            };
            let Some(version) = Version::of(&there) else {
                let message = "what is there has no version";
                return Err(self
                    .folder
                    .error(ErrorKind::Corrupt, "delete", key, message));
            };
            match self.remove(about(key), &name, &version).await {
                Ok(()) => {}
                Err(refused) if refused.is(&ErrorKind::NotFound) => {}
                Err(refused) if refused.is_conflict() => continue,
                Err(refused) => return Err(refused.error),
            }
            self.drop_chunks_of(key, &version).await;
            return Ok(());
        }
        let message = "others write it again and again";
        Err(self
            .folder
            .error(ErrorKind::Unavailable, "delete", key, message))
    }

    async fn delete_version(&self, key: &Key, version: &Version) -> Result<()> {
        let name = Role::Object.name_of(&self.folder.full(key.as_str()));
        match self.remove(about(key), &name, version).await {
            Ok(()) => {}
            // An earlier attempt, whose answer was lost, did it.
            Err(refused) if refused.is(&ErrorKind::NotFound) && refused.uncertain => {}
            Err(refused) if refused.is_conflict() => {
                return Err(self.not_this_version(key).await?);
            }
            Err(refused) => return Err(refused.error),
        }
        self.drop_chunks_of(key, version).await;
        Ok(())
    }

    async fn drop_chunks_of(&self, key: &Key, version: &Version) {
        if let Some(write) = &version.chunks {
            self.drop_chunks(key, write).await;
        }
    }

    async fn not_this_version(&self, key: &Key) -> Result<Error> {
        let name = Role::Object.name_of(&self.folder.full(key.as_str()));
        let there = self.look(about(key), &name).await?;
        let found = there.and_then(|there| Some(Version::of(&there)?.tag()));
        Ok(self.folder.overtaken("delete", key, found))
    }
}

fn about(key: &Key) -> About<'_> {
    About {
        operation: "delete",
        key: Some(key.as_str()),
    }
}
