//! Vendor behaviours as data: what each service that speaks S3 does differently.

/// A service that the double can stand in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Personality {
    /// Amazon S3 as documented: every condition, checksums, SSE by default, all settings.
    Aws,
    /// [`Personality::Aws`] with versioning enabled on every new bucket.
    Versioned,
    /// Ceph radosgw 16: `If-Match` on writes is compared with the unquoted tag as it stands in
    /// the header, so a quoted one never matches; conditions on copies and completions are
    /// ignored; aws-chunked uploads are refused; no checksums in answers; no bucket encryption.
    Ceph,
    /// Garage: answers 200 to every conditional write and overwrites; no versions, ACLs, tags,
    /// policies or encryption settings.
    Garage,
    /// The moto server: no conditions on copies, neither on the source nor on the destination;
    /// bad checksums are accepted.
    Moto,
    /// `DigitalOcean` Spaces: conditional writes are refused with 501, copies from another region
    /// too; buckets have no encryption setting.
    Spaces,
    /// Linode Object Storage: refuses aws-chunked uploads and uploads with checksum headers, has
    /// no SSE.
    Linode,
    /// Scaleway Object Storage: conditional puts work, copies stay within a region, no bucket
    /// encryption setting, conditions elsewhere are ignored.
    Scaleway,
}

/// What a service does with a condition on a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conditions {
    /// Checks it atomically with the write.
    Honoured,
    /// Writes all the same and says 200.
    Ignored,
    /// Answers 501.
    Refused,
}

/// What a service does with checksums other than Content-MD5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksums {
    /// Verifies and remembers them, and answers with them.
    Full,
    /// Verifies them, then forgets them.
    Silent,
    /// Neither verifies nor answers.
    Unverified,
    /// Answers 400 to an upload that has one.
    Refused,
}

/// A bucket's default encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// Settable; AES256 when nothing was set.
    Always,
    /// Nothing is ever configured: 404.
    NotFound,
    /// The API is missing: 501.
    NotImplemented,
}

/// The switches that make up a personality.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a feature of its own"
)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quirks {
    pub(crate) put: Conditions,
    pub(crate) copy: Conditions,
    pub(crate) copy_source: Conditions,
    pub(crate) complete: Conditions,
    pub(crate) delete: Conditions,
    /// `If-Match` of a write is compared with the unquoted tag, byte by byte.
    pub(crate) raw_if_match: bool,
    /// aws-chunked uploads are accepted.
    pub(crate) chunked: bool,
    pub(crate) checksums: Checksums,
    pub(crate) encryption: Encryption,
    /// `x-amz-server-side-encryption` is accepted.
    pub(crate) sse: bool,
    pub(crate) acl: bool,
    pub(crate) tagging: bool,
    pub(crate) policy: bool,
    pub(crate) versioning: bool,
    /// New buckets are versioned.
    pub(crate) versioned: bool,
    /// Copies may cross regions.
    pub(crate) cross_region: bool,
}

const AWS: Quirks = Quirks {
    put: Conditions::Honoured,
    copy: Conditions::Honoured,
    copy_source: Conditions::Honoured,
    complete: Conditions::Honoured,
    delete: Conditions::Honoured,
    raw_if_match: false,
    chunked: true,
    checksums: Checksums::Full,
    encryption: Encryption::Always,
    sse: true,
    acl: true,
    tagging: true,
    policy: true,
    versioning: true,
    versioned: false,
    cross_region: true,
};

impl Personality {
    pub(crate) fn quirks(self) -> Quirks {
        match self {
            Self::Aws => AWS,
            Self::Versioned => Quirks {
                versioned: true,
                ..AWS
            },
            Self::Ceph => Quirks {
                copy: Conditions::Ignored,
                complete: Conditions::Ignored,
                delete: Conditions::Ignored,
                raw_if_match: true,
                chunked: false,
                checksums: Checksums::Silent,
                encryption: Encryption::NotFound,
                ..AWS
            },
            Self::Garage => Quirks {
                put: Conditions::Ignored,
                copy: Conditions::Ignored,
                complete: Conditions::Ignored,
                delete: Conditions::Ignored,
                encryption: Encryption::NotImplemented,
                acl: false,
                tagging: false,
                policy: false,
                versioning: false,
                ..AWS
            },
            Self::Moto => Quirks {
                copy: Conditions::Ignored,
                copy_source: Conditions::Ignored,
                checksums: Checksums::Unverified,
                ..AWS
            },
            Self::Spaces => Quirks {
                put: Conditions::Refused,
                copy: Conditions::Refused,
                complete: Conditions::Refused,
                delete: Conditions::Refused,
                checksums: Checksums::Silent,
                encryption: Encryption::NotImplemented,
                cross_region: false,
                ..AWS
            },
            Self::Linode => Quirks {
                copy: Conditions::Ignored,
                complete: Conditions::Ignored,
                delete: Conditions::Ignored,
                chunked: false,
                checksums: Checksums::Refused,
                encryption: Encryption::NotFound,
                sse: false,
                cross_region: false,
                ..AWS
            },
            Self::Scaleway => Quirks {
                copy: Conditions::Ignored,
                complete: Conditions::Ignored,
                delete: Conditions::Ignored,
                encryption: Encryption::NotFound,
                cross_region: false,
                ..AWS
            },
        }
    }
}
