//! Which endpoint of Keystone's catalogue is meant.

use serde::Deserialize;

use super::login::Wanted;

/// A service in a catalogue.
#[derive(Deserialize)]
pub(super) struct Entry {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default)]
    interface: String,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    region_id: Option<String>,
    url: String,
}

impl Endpoint {
    fn region(&self) -> &str {
        let region = self.region_id.as_deref().or(self.region.as_deref());
        region.unwrap_or_default()
    }
}

/// The account's URL in a catalogue.
pub(super) fn account(catalog: &[Entry], wanted: &Wanted) -> Result<String, String> {
    let Wanted {
        service_type,
        service_name,
        region,
        interface,
    } = wanted;
    if catalog.is_empty() {
        return Err(
            "the token is for no project, so there is no catalogue: name one with \
             OS_PROJECT_NAME or OS_PROJECT_ID, or project_name in clouds.yaml"
                .to_owned(),
        );
    }
    let services = catalog.iter().filter(|entry| {
        entry.kind == *service_type && service_name.as_ref().is_none_or(|name| entry.name == *name)
    });
    let endpoints = services.flat_map(|entry| &entry.endpoints);
    let endpoints: Vec<&Endpoint> = endpoints
        .filter(|one| one.interface == *interface)
        .collect();
    let mut regions: Vec<&str> = endpoints.iter().map(|one| one.region()).collect();
    regions.sort_unstable();
    regions.dedup();
    let here = match region {
        None if regions.len() > 1 => {
            let regions = regions.join(", ");
            return Err(format!(
                "the catalogue has object stores in {regions}: name one with OS_REGION_NAME or \
                 ?region="
            ));
        }
        None => endpoints.first(),
        Some(region) => endpoints
            .iter()
            .find(|one| one.region() == region || one.region.as_ref() == Some(region)),
    };
    here.map(|one| one.url.clone()).ok_or_else(|| match region {
        Some(region) if !regions.is_empty() => {
            let near = crate::text::did_you_mean(region, regions.iter().copied());
            let regions = regions.join(", ");
            format!("the catalogue has no object store in '{region}'{near}: there is {regions}")
        }
        _ => format!("the catalogue has no {interface} endpoint of the type {service_type}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Vec<Entry> {
        let endpoint = |interface: &str, region: &str| {
            serde_json::json!({ "interface": interface, "region": region, "region_id": region,
                "url": format!("http://{interface}.{region}/v1/AUTH_p") })
        };
        serde_json::from_value(serde_json::json!([
            { "type": "identity", "name": "keystone", "endpoints": [endpoint("public", "One")] },
            { "type": "object-store", "name": "swift", "endpoints": [
                endpoint("public", "One"), endpoint("internal", "One"), endpoint("public", "Two"),
            ]},
            { "type": "object-store", "name": "ceph", "endpoints": [endpoint("admin", "One")] },
        ]))
        .unwrap()
    }

    #[test]
    fn one_endpoint_is_meant_or_the_error_says_what_there_is() {
        let found = |region: Option<&str>, interface: &str, name: Option<&str>| {
            let wanted = Wanted {
                service_type: "object-store".to_owned(),
                service_name: name.map(str::to_owned),
                region: region.map(str::to_owned),
                interface: interface.to_owned(),
            };
            account(&catalog(), &wanted).unwrap_or_else(|why| why)
        };
        for (region, interface, name, wanted) in [
            (Some("Two"), "public", None, "http://public.Two/v1/AUTH_p"),
            (
                Some("One"),
                "internal",
                None,
                "http://internal.One/v1/AUTH_p",
            ),
            (None, "internal", None, "http://internal.One/v1/AUTH_p"),
            (None, "admin", Some("ceph"), "http://admin.One/v1/AUTH_p"),
            (
                None,
                "public",
                None,
                "in One, Two: name one with OS_REGION_NAME",
            ),
            (
                Some("Tow"),
                "public",
                None,
                "(did you mean 'Two'?): there is One, Two",
            ),
            (
                None,
                "public",
                Some("ceph"),
                "no public endpoint of the type object-store",
            ),
        ] {
            let found = found(region, interface, name);
            assert!(found.contains(wanted), "{region:?} {interface}: {found}");
        }
        let wanted = Wanted {
            service_type: String::new(),
            service_name: None,
            region: None,
            interface: String::new(),
        };
        let none = account(&[], &wanted).unwrap_err();
        assert!(none.contains("the token is for no project"), "{none}");
    }
}
