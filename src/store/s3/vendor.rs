//! What the S3 services do differently, as data.

/// One service that speaks S3.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent quirk"
)]
pub(super) struct Vendor {
    /// The name that people know it by.
    pub name: &'static str,
    /// kOps's schemes that can only mean this service.
    pub scheme: Option<&'static str>,
    /// The ends of its host names.
    pub hosts: &'static [&'static str],
    /// Sends and checks the SDK's own checksums. Without them each write carries `Content-MD5`:
    /// Ceph before Squid refuses or ignores the newer headers.
    pub sdk_checksums: bool,
    /// Conditions on `CopyObject` and `CompleteMultipartUpload` are known to be honoured. Ceph
    /// and others ignore them and answer 200.
    pub late_conditions: bool,
    /// `If-Match` on `DeleteObject` is known to be honoured.
    pub delete_if_match: bool,
    /// The bucket is part of the host name rather than of the path.
    pub virtual_hosts: bool,
    /// Which label of the host name, counted from 0, is the region that requests are signed for.
    pub region_label: Option<usize>,
}

const CEPH_LIKE: Vendor = Vendor {
    name: "this S3 service",
    scheme: None,
    hosts: &[],
    sdk_checksums: false,
    late_conditions: false,
    delete_if_match: false,
    virtual_hosts: false,
    region_label: None,
};

/// Amazon's own. Conditions: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html>.
pub(super) static AWS: Vendor = Vendor {
    name: "AWS",
    hosts: &["amazonaws.com", "amazonaws.com.cn", "api.aws"],
    sdk_checksums: true,
    late_conditions: true,
    delete_if_match: true,
    virtual_hosts: true,
    ..CEPH_LIKE
};

/// Anything that no other row knows: only what every S3 service can do.
pub(super) static GENERIC: Vendor = CEPH_LIKE;

static OTHERS: [Vendor; 4] = [
    Vendor {
        name: "DigitalOcean Spaces",
        scheme: Some("do"),
        hosts: &["digitaloceanspaces.com"],
        ..CEPH_LIKE
    },
    // Scaleway checks the region in the signature: s3.fr-par.scw.cloud.
    Vendor {
        name: "Scaleway Object Storage",
        scheme: Some("scw"),
        hosts: &["scw.cloud"],
        region_label: Some(1),
        ..CEPH_LIKE
    },
    Vendor {
        name: "Linode Object Storage",
        scheme: Some("linode"),
        hosts: &["linodeobjects.com"],
        ..CEPH_LIKE
    },
    // Hetzner: fsn1.your-objectstorage.com.
    Vendor {
        name: "Hetzner Object Storage",
        scheme: Some("hos"),
        hosts: &["your-objectstorage.com"],
        region_label: Some(0),
        ..CEPH_LIKE
    },
];

impl Vendor {
    /// The service behind an endpoint's host name; failing that, the one that the scheme means.
    pub(super) fn of(scheme: &str, host: Option<&str>) -> &'static Self {
        let Some(host) = host else {
            return &AWS;
        };
        let is_theirs = |vendor: &&Self| {
            vendor.hosts.iter().any(|end| {
                host.strip_suffix(end)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        };
        let all = || OTHERS.iter().chain([&AWS]);
        all()
            .find(is_theirs)
            .or_else(|| all().find(|vendor| vendor.scheme == Some(scheme)))
            .unwrap_or(&GENERIC)
    }

    /// The region that a host name of this service spells out.
    pub(super) fn region_in<'a>(&self, host: &'a str) -> Option<&'a str> {
        let ours = self.hosts.iter().any(|end| host.ends_with(end));
        host.split('.').nth(self.region_label?).filter(|_| ours)
    }

    pub(super) fn is_aws(&self) -> bool {
        std::ptr::eq(self, &raw const AWS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_decide_before_schemes() {
        let name = |scheme, host| Vendor::of(scheme, host).name;
        assert_eq!(name("s3", None), "AWS");
        assert_eq!(name("s3", Some("s3.eu-west-1.amazonaws.com")), "AWS");
        assert_eq!(name("s3", Some("notamazonaws.com")), "this S3 service");
        assert_eq!(
            name("s3", Some("nyc3.digitaloceanspaces.com")),
            "DigitalOcean Spaces"
        );
        assert_eq!(
            name("do", Some("fsn1.your-objectstorage.com")),
            "Hetzner Object Storage"
        );
        assert_eq!(name("linode", Some("127.0.0.1")), "Linode Object Storage");
        assert_eq!(name("s3", Some("127.0.0.1")), "this S3 service");
    }

    #[test]
    fn regions_are_read_off_host_names_that_spell_them() {
        let region = |scheme, host| Vendor::of(scheme, Some(host)).region_in(host);
        assert_eq!(region("scw", "s3.fr-par.scw.cloud"), Some("fr-par"));
        assert_eq!(region("hos", "fsn1.your-objectstorage.com"), Some("fsn1"));
        assert_eq!(region("scw", "127.0.0.1"), None);
        assert_eq!(region("do", "nyc3.digitaloceanspaces.com"), None);
    }
}
