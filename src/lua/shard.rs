//! A run's share of the work that several runs do together.

use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

/// One of several shares. What is in it is decided by each name alone, so that runs which list the
/// same clusters at different times still agree.
#[derive(Debug)]
pub struct Shard {
    index: u64,
    count: u64,
    was_asked: AtomicBool,
}

impl Shard {
    /// The share `index`, counted from 0, of `count`.
    ///
    /// # Errors
    /// Says what is wrong when there is no such share.
    pub fn new(index: u64, count: u64) -> Result<Self, String> {
        if index >= count {
            return Err(format!(
                "there is no share {index} of {count}: they are counted from 0"
            ));
        }
        Ok(Self {
            index,
            count,
            was_asked: AtomicBool::new(false),
        })
    }

    /// Whether a name is in this share.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.was_asked.store(true, Ordering::Relaxed);
        let digest = Sha256::digest(name.as_bytes());
        let first = digest.iter().take(8);
        let number = first.fold(0, |number, byte| number << 8 | u64::from(*byte));
        number % self.count == self.index
    }

    /// The script asked for its share, also when there was nothing to divide.
    pub(super) fn ask(&self) {
        self.was_asked.store(true, Ordering::Relaxed);
    }

    /// Whether the script asked what its share is.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::Relaxed)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::Shard;

    #[test]
    fn each_name_is_in_one_share_for_ever() {
        let shares: Vec<_> = (0..7).map(|index| Shard::new(index, 7).unwrap()).collect();
        let mut sizes = [0; 7];
        for number in 0..700 {
            let name = format!("c{number}.example.com");
            let mut those = (0..7).filter(|index| shares[*index].has(&name));
            sizes[those.next().unwrap()] += 1;
            assert_eq!(those.next(), None, "{name}");
        }
        assert!(
            sizes.iter().all(|size| (60..150).contains(size)),
            "{sizes:?}"
        );
        // Another version of kstate must not divide in another way while a job runs.
        assert!(Shard::new(0, 3).unwrap().has("blue.k8s.example.com"));
        assert!(Shard::new(3, 3).is_err() && Shard::new(0, 0).is_err());
    }
}
