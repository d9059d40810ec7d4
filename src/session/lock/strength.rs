//! What a lock on a store is worth, and how that is found out.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::verdicts::Verdicts;
use crate::store::{Result, Store, probe};

/// What a lock is worth, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Announced and looked for: it excludes others as long as the store shows each of them what
    /// the other wrote in time.
    Advisory,
    /// Kept by a service that hands out leases itself.
    Lease,
    /// Taken and kept by conditional writes: the store lets one win, whatever the timing.
    Atomic,
}

impl Strength {
    const ALL: [Self; 3] = [Self::Advisory, Self::Lease, Self::Atomic];

    /// The name that scripts and files use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Advisory => "advisory",
            Self::Lease => "lease",
            Self::Atomic => "atomic",
        }
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strength {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = Self::ALL.into_iter();
        all.clone()
            .find(|strength| strength.name() == text)
            .ok_or_else(|| {
                let names: Vec<_> = all.map(Self::name).collect();
                let near = crate::text::did_you_mean(text, names.iter().copied());
                format!(
                    "'{text}' is no strength of a lock{near}; there are {}",
                    names.join(", ")
                )
            })
    }
}

/// What a store's locks are worth, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What they are worth.
    pub strength: Strength,
    /// What that was concluded from.
    pub why: String,
}

/// What is known of a store without a single write to it.
pub(super) fn known(store: &dyn Store, verdicts: &Verdicts) -> Option<Judgement> {
    let able = store.capabilities();
    let judgement = |strength, why: &str| {
        let why = why.to_owned();
        Some(Judgement { strength, why })
    };
    if store.leases().is_some() {
        judgement(Strength::Lease, "the service keeps a lease for it")
    } else if able.proven_conditions {
        judgement(Strength::Atomic, "its conditional writes are known to hold")
    } else if able.if_absent && able.if_match {
        verdicts.of(&store.place().root)
    } else if able.if_absent {
        judgement(Strength::Advisory, "it has no compare-and-swap")
    } else {
        judgement(Strength::Advisory, "it has no conditional writes")
    }
}

/// What is known of a store, or what a probe of it shows, which is remembered.
pub(super) async fn judge(store: &Arc<dyn Store>, verdicts: &Verdicts) -> Result<Judgement> {
    let judgement = if let Some(judgement) = known(&**store, verdicts) {
        judgement
    } else {
        let judgement = probed(probe::race(&**store).await?);
        verdicts.remember(&store.place().root, &judgement);
        judgement
    };
    let Judgement { strength, why } = &judgement;
    tracing::debug!("locks on {} are {strength}: {why}", store.url());
    Ok(judgement)
}

/// What a race has shown.
fn probed(broken: Option<String>) -> Judgement {
    match broken {
        Some(seen) => Judgement {
            strength: Strength::Advisory,
            why: seen,
        },
        None => Judgement {
            strength: Strength::Atomic,
            why: "of many that wrote at once, its conditional writes let one win each time"
                .to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_has_its_order_and_its_names() {
        assert!(Strength::Advisory < Strength::Lease && Strength::Lease < Strength::Atomic);
        for strength in Strength::ALL {
            assert_eq!(strength.name().parse(), Ok(strength));
        }
        let error = "atomc".parse::<Strength>().expect_err("a typo");
        assert!(error.contains("did you mean 'atomic'"), "{error}");
    }
}
