//! Ranges of IP addresses, written like `10.0.0.0/8`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cidr {
    is_v6: bool,
    prefix: u32,
    first: u128,
}

impl Cidr {
    /// The range that a text names, and whether it names an address inside the range instead of
    /// its first.
    pub(super) fn parse(text: &str) -> Option<(Self, bool)> {
        let (address, prefix) = text.split_once('/')?;
        if !prefix.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let prefix: u32 = prefix.parse().ok()?;
        let (is_v6, address) = match address.parse().ok()? {
            IpAddr::V4(address) => (false, u128::from(address.to_bits())),
            IpAddr::V6(address) => (true, address.to_bits()),
        };
        let host_bits = width(is_v6).checked_sub(prefix)?;
        // Two steps: a shift by all 128 bits is none.
        let first = address >> (host_bits / 2) >> (host_bits - host_bits / 2);
        let first = first << (host_bits / 2) << (host_bits - host_bits / 2);
        let range = Self {
            is_v6,
            prefix,
            first,
        };
        Some((range, first != address))
    }

    pub(super) fn is_v6(self) -> bool {
        self.is_v6
    }

    /// The family and the first address: ranges in this order overlap only with those before
    /// them.
    pub(super) fn start(self) -> (bool, u128) {
        (self.is_v6, self.first)
    }

    fn last(self) -> u128 {
        let host_bits = width(self.is_v6) - self.prefix;
        self.first | u128::MAX.checked_shr(128 - host_bits).unwrap_or(0)
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.is_v6 == other.is_v6 && self.first <= other.first && other.last() <= self.last()
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        // Of two ranges with a power of two addresses each, one holds the other or none of it.
        self.contains(other) || other.contains(self)
    }
}

fn width(is_v6: bool) -> u32 {
    if is_v6 { 128 } else { 32 }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = self.prefix;
        match u32::try_from(self.first) {
            Ok(first) if !self.is_v6 => write!(f, "{}/{prefix}", Ipv4Addr::from_bits(first)),
            _ => write!(f, "{}/{prefix}", Ipv6Addr::from_bits(self.first)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).expect(text).0
    }

    #[test]
    fn parses_what_go_parses() {
        for (text, printed, has_host_bits) in [
            ("10.0.0.0/8", "10.0.0.0/8", false),
            ("10.1.2.3/8", "10.0.0.0/8", true),
            ("0.0.0.0/0", "0.0.0.0/0", false),
            ("1.2.3.4/32", "1.2.3.4/32", false),
            ("::/0", "::/0", false),
            ("2001:db8::1/64", "2001:db8::/64", true),
            ("2001:db8::1/128", "2001:db8::1/128", false),
        ] {
            let (range, found) = Cidr::parse(text).expect(text);
            assert_eq!(
                (range.to_string().as_str(), found),
                (printed, has_host_bits)
            );
        }
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "a/8",
            "1.1.1.1/+8",
            "1.1.1.1/",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }

    #[test]
    fn knows_what_lies_in_what() {
        for (a, b, contains, overlaps) in [
            ("10.0.0.0/8", "10.1.0.0/16", true, true),
            ("10.1.0.0/16", "10.0.0.0/8", false, true),
            ("10.0.0.0/16", "10.1.0.0/16", false, false),
            ("10.0.0.0/8", "10.0.0.0/8", true, true),
            ("0.0.0.0/0", "255.255.255.255/32", true, true),
            ("::/0", "ffff::/16", true, true),
            ("::/0", "0.0.0.0/0", false, false),
            ("::/96", "0.0.0.0/0", false, false),
        ] {
            assert_eq!(cidr(a).contains(cidr(b)), contains, "{a} {b}");
            assert_eq!(cidr(a).overlaps(cidr(b)), overlaps, "{a} {b}");
        }
    }
}
