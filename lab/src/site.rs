//! The map: which address belongs to which place. Every part of the lab asks here, so that the layout is in
//! one file.

use std::net::{Ipv4Addr, SocketAddr};

/// A place. `Gra` and `Sbg` are the two regions; `Par` is where the responder, the resolver and the alerting
/// live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    Gra,
    Sbg,
    Par,
}

/// The two regions, origin first.
pub const REGIONS: [Site; 2] = [Site::Gra, Site::Sbg];

impl Site {
    pub fn name(self) -> &'static str {
        match self {
            Site::Gra => "gra",
            Site::Sbg => "sbg",
            Site::Par => "par",
        }
    }

    /// The other region; a third place has none and answers itself.
    pub fn other(self) -> Site {
        match self {
            Site::Gra => Site::Sbg,
            Site::Sbg => Site::Gra,
            Site::Par => Site::Par,
        }
    }

    /// An address inside the place's /24.
    pub fn ip(self, last: u8) -> Ipv4Addr {
        let net = match self {
            Site::Gra => 1,
            Site::Sbg => 2,
            Site::Par => 3,
        };
        Ipv4Addr::new(127, 0, net, last)
    }

    pub fn postgres(self) -> Ipv4Addr {
        self.ip(5)
    }

    pub fn redis(self) -> Ipv4Addr {
        self.ip(6)
    }

    /// A member of a Patroni cluster; in par also its etcd.
    pub fn patroni(self) -> Ipv4Addr {
        self.ip(7)
    }

    /// sshd of the machine on which the database runs.
    pub fn database_host(self) -> Ipv4Addr {
        self.ip(10)
    }

    pub fn dns(self) -> Ipv4Addr {
        self.ip(53)
    }

    /// The n-th application host (0 is the one the public name points at).
    pub fn app(self, n: u8) -> Ipv4Addr {
        self.ip(80 + n)
    }

    /// The public IPv6 address of the site: it is only ever published, never bound.
    pub fn ipv6(self) -> &'static str {
        match self {
            Site::Gra => "2001:db8:a::80",
            Site::Sbg => "2001:db8:b::80",
            Site::Par => "2001:db8:c::80",
        }
    }

    pub fn blackbox(self) -> Ipv4Addr {
        self.ip(115)
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Shorthand used all over the lab.
pub(crate) fn at(ip: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((ip, port))
}
