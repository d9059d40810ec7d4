//! What a store says that it can do, in words, beside the checks that show whether it is so.

use std::fmt;

use super::super::{Algorithm, Capabilities};
use super::{Outcome, Report};
use crate::text;

/// One capability of a store.
pub struct Claim {
    /// The field of [`Capabilities`], by which programs know it.
    pub field: &'static str,
    /// The capability, for people.
    pub name: &'static str,
    /// What a store says.
    pub said: fn(&Capabilities) -> Said,
    /// The checks that show it.
    checks: &'static [&'static str],
}

/// What a store says of a capability. Its `Display` is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Whether it has it.
    Has(bool),
    /// The checksum that it publishes.
    Sums(Option<Algorithm>),
    /// The most that it takes, in bytes.
    AtMost(Option<u64>),
}

/// What the checks found of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is so.
    Holds,
    /// It isn't, and what the store did.
    Broken(String),
    /// The store doesn't claim it, and says so when it is asked for.
    NotClaimed,
    /// No check can tell.
    Untested,
}

/// All that a store says of itself.
pub const CLAIMS: &[Claim] = &[
    Claim {
        field: "if_absent",
        name: "create only what is absent",
        said: |can| Said::Has(can.if_absent),
        checks: &[
            "if-absent creates a new object",
            "if-absent leaves an existing object alone",
            "of many that create an object exactly one wins",
        ],
    },
    Claim {
        field: "if_match",
        name: "replace only the version seen",
        said: |can| Said::Has(can.if_match),
        checks: &[
            "if-match replaces the version it names",
            "if-match leaves every other version alone",
            "if-match creates nothing",
            "of many that swap none loses an update",
        ],
    },
    Claim {
        field: "delete_if_match",
        name: "delete only the version seen",
        said: |can| Said::Has(can.delete_if_match),
        checks: &[
            "delete-if-match deletes the version it names",
            "delete-if-match leaves every other version alone",
            "of many that delete a version exactly one wins",
        ],
    },
    Claim {
        field: "proven_conditions",
        name: "trusted with these without a trial",
        said: |can| Said::Has(can.proven_conditions),
        checks: &[
            "of many that create an object exactly one wins",
            "of many that swap none loses an update",
        ],
    },
    Claim {
        field: "server_copy",
        name: "copies that the service makes",
        said: |can| Said::Has(can.server_copy),
        checks: &[
            "a copy within the store has the same bytes",
            "a copy is of the version that was asked for",
        ],
    },
    Claim {
        field: "copy_conditions",
        name: "conditions on these copies",
        said: |can| Said::Has(can.copy_conditions),
        checks: &["a copy keeps its preconditions"],
    },
    Claim {
        field: "verified_writes",
        name: "checks what arrives",
        said: |can| Said::Has(can.verified_writes),
        checks: &[],
    },
    Claim {
        field: "checksum",
        name: "checksum in listings",
        said: |can| Said::Sums(can.checksum),
        checks: &["what a listing tells is what a stat tells"],
    },
    Claim {
        field: "metadata",
        name: "content type and user metadata",
        said: |can| Said::Has(can.metadata),
        checks: &["content type and user metadata are kept"],
    },
    Claim {
        field: "hierarchical",
        name: "a and a/b exclude each other",
        said: |can| Said::Has(can.hierarchical),
        checks: &[],
    },
    Claim {
        field: "ephemeral",
        name: "gone with this process",
        said: |can| Said::Has(can.ephemeral),
        checks: &[],
    },
    Claim {
        field: "max_key",
        name: "longest name",
        said: |can| Said::AtMost(can.max_key.and_then(|bytes| u64::try_from(bytes).ok())),
        checks: &["the longest name is kept, and a longer one refused"],
    },
    Claim {
        field: "max_size",
        name: "largest object",
        said: |can| Said::AtMost(can.max_size),
        checks: &[],
    },
    Claim {
        field: "max_conditional",
        name: "largest object with conditions",
        said: |can| Said::AtMost(can.max_conditional),
        checks: &[],
    },
];

impl Report {
    /// What the checks found of a claim.
    #[must_use]
    pub fn proof(&self, claim: &Claim, can: &Capabilities) -> Proof {
        if !(claim.said)(can).is_yes() {
            return Proof::NotClaimed;
        }
        let mut held = false;
        let all = self.checks.iter();
        for check in all.filter(|check| claim.checks.contains(&check.name)) {
            match &check.outcome {
                Outcome::Failed(why) => {
                    return Proof::Broken(format!("{}: {why}", check.name));
                }
                Outcome::Passed => held = true,
                Outcome::NotClaimed(_) => {}
            }
        }
        if held { Proof::Holds } else { Proof::Untested }
    }
}

impl Said {
    /// Whether the store has it at all.
    fn is_yes(self) -> bool {
        !matches!(self, Self::Has(false) | Self::Sums(None))
    }

    /// For programs.
    #[must_use]
    pub fn to_json(self) -> serde_json::Value {
        match self {
            Self::Has(has) => has.into(),
            Self::Sums(sum) => sum.map(Algorithm::name).into(),
            Self::AtMost(bytes) => bytes.into(),
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Has(true) => f.write_str("yes"),
            Self::Has(false) => f.write_str("no"),
            Self::Sums(sum) => f.write_str(sum.map_or("none", Algorithm::name)),
            Self::AtMost(None) => f.write_str("no limit"),
            Self::AtMost(Some(bytes)) => f.write_str(&text::human_size(*bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Check, Options, run};
    use super::*;
    use crate::store::mem::Buckets;
    use crate::store::{Store, StoreUrl};

    fn quick() -> Options {
        Options {
            large_size: 1 << 20,
            many: 50,
            ..Options::default()
        }
    }

    #[tokio::test]
    async fn every_proof_is_a_check_and_decides() {
        let url = StoreUrl::parse("memfs://claims").expect("a URL");
        let store: Arc<dyn Store> = Arc::new(Buckets::default().open(&url));
        let can = store.capabilities();
        let mut report = run(store, quick()).await;
        for claim in CLAIMS {
            let wanted = match (claim.said)(&can) {
                Said::Has(false) | Said::Sums(None) => Proof::NotClaimed,
                _ if claim.checks.is_empty() => Proof::Untested,
                _ => Proof::Holds,
            };
            assert_eq!(report.proof(claim, &can), wanted, "{}", claim.field);
            for wanted in claim.checks {
                let known = report.checks.iter().any(|check| check.name == *wanted);
                assert!(known, "there is no check '{wanted}'");
            }
        }
        report.checks.push(Check {
            name: "if-match creates nothing",
            outcome: Outcome::Failed("it did".into()),
        });
        let swap = CLAIMS.iter().find(|claim| claim.field == "if_match");
        let wanted = Proof::Broken("if-match creates nothing: it did".into());
        assert_eq!(report.proof(swap.expect("the claim"), &can), wanted);
    }
}
