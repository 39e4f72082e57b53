//! From what users write as an address to addresses of sockets.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::vec;

use rt_tasks_runtime::spawn_look_up;

use crate::error::cannot;

/// What can be turned into addresses: addresses, `"host:port"`, `("host", port)` and lists of addresses.
///
/// It differs from the trait of the same name in the standard library in that it does not block: names are
/// resolved on threads of their own, and only names.
pub trait ToSocketAddrs: sealed::Sealed {
    #[doc(hidden)]
    fn target(&self) -> Target<'_>;
}

/// What an address turned out to be.
#[doc(hidden)]
#[derive(Debug)]
pub enum Target<'a> {
    Known(Cow<'a, [SocketAddr]>),
    /// A host's name and its port.
    Name(&'a str, u16),
    /// No address, and not the name of a host with a port.
    Malformed(&'a str),
}

mod sealed {
    pub trait Sealed {}
}

/// Resolves the name of a host, on one of 32 threads that do nothing else: however busy those of
/// [`spawn_blocking`](rt_tasks_runtime::spawn_blocking) are, names do not wait for them.
///
/// # Cancel safety
///
/// Nothing is lost. A question that has been asked is answered all the same, to nobody.
///
/// # Errors
///
/// The host is not known, or the resolver fails: then [`LookupError`] is inside. Or `host` is neither an address nor a name
/// with a port. The error names the host.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// # rt_tasks_runtime::block_on(async {
/// let mut addresses = rt::net::lookup_host(("127.0.0.1", 80)).await?;
/// assert_eq!(addresses.next(), Some(([127, 0, 0, 1], 80).into()));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn lookup_host(host: impl ToSocketAddrs) -> io::Result<vec::IntoIter<SocketAddr>> {
    Ok(resolve(&host).await?.into_iter())
}

/// The addresses of `target`: at least one.
pub(super) async fn resolve(target: &impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    let (addresses, name) = match target.target() {
        Target::Known(addresses) => (addresses.into_owned(), String::from("an empty list")),
        Target::Malformed(text) => {
            let kind = io::ErrorKind::InvalidInput;
            let reason = io::Error::new(kind, "neither an address nor a host with a port");
            return Err(cannot(format_args!("resolve {text:?}"), reason));
        }
        Target::Name(host, port) => {
            let name = host.to_owned();
            let asked = spawn_look_up(move || {
                let found = std::net::ToSocketAddrs::to_socket_addrs(&(name.as_str(), port));
                match found {
                    Ok(found) => Ok((found.collect::<Vec<_>>(), name)),
                    Err(error) => Err(LookupError::of(name, error)),
                }
            });
            asked
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)))?
        }
    };
    if addresses.is_empty() {
        let reason = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        return Err(cannot(format_args!("resolve {name}"), reason));
    }
    Ok(addresses)
}

/// Why there are no addresses for the name of a host: what is inside the `io::Error` of [`lookup_host`], and of whatever
/// else was given the name. The standard library has no [`ErrorKind`](io::ErrorKind) for it.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::net::{LookupError, TcpStream};
/// # rt_tasks_runtime::block_on(async {
/// // Longer than a name may be.
/// let name = "x".repeat(300);
/// let error = TcpStream::connect((name.as_str(), 80)).await.unwrap_err();
/// let failed = error.get_ref().unwrap().downcast_ref::<LookupError>().unwrap();
/// assert_eq!(failed.host(), name);
/// # });
/// ```
#[derive(Debug)]
pub struct LookupError {
    host: String,
    error: io::Error,
}

impl LookupError {
    #[cold]
    fn of(host: String, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), Self { host, error })
    }

    /// The name that was asked for.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot resolve {}: {}", self.host, self.error)
    }
}

impl Error for LookupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

fn known<'a>(address: impl Into<SocketAddr>) -> Target<'a> {
    Target::Known(Cow::Owned(vec![address.into()]))
}

fn host_and_port(host: &str, port: u16) -> Target<'_> {
    match host.parse::<IpAddr>() {
        Ok(address) => known((address, port)),
        Err(_) => Target::Name(host, port),
    }
}

impl sealed::Sealed for str {}
impl ToSocketAddrs for str {
    fn target(&self) -> Target<'_> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return known(address);
        }
        let parts = self.rsplit_once(':');
        let parsed = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
        match parsed {
            Some((host, port)) if !host.is_empty() => Target::Name(host, port),
            _ => Target::Malformed(self),
        }
    }
}

impl sealed::Sealed for String {}
impl ToSocketAddrs for String {
    fn target(&self) -> Target<'_> {
        self.as_str().target()
    }
}

impl sealed::Sealed for (&str, u16) {}
impl ToSocketAddrs for (&str, u16) {
    fn target(&self) -> Target<'_> {
        host_and_port(self.0, self.1)
    }
}

impl sealed::Sealed for (String, u16) {}
impl ToSocketAddrs for (String, u16) {
    fn target(&self) -> Target<'_> {
        host_and_port(&self.0, self.1)
    }
}

impl sealed::Sealed for [SocketAddr] {}
impl ToSocketAddrs for [SocketAddr] {
    fn target(&self) -> Target<'_> {
        Target::Known(Cow::Borrowed(self))
    }
}

impl<const N: usize> sealed::Sealed for [SocketAddr; N] {}
impl<const N: usize> ToSocketAddrs for [SocketAddr; N] {
    fn target(&self) -> Target<'_> {
        Target::Known(Cow::Borrowed(self))
    }
}

impl sealed::Sealed for Vec<SocketAddr> {}
impl ToSocketAddrs for Vec<SocketAddr> {
    fn target(&self) -> Target<'_> {
        Target::Known(Cow::Borrowed(self))
    }
}

impl<T: ToSocketAddrs + ?Sized> sealed::Sealed for &T {}
impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn target(&self) -> Target<'_> {
        (**self).target()
    }
}

macro_rules! addresses {
    ($($address:ty),*) => {$(
        impl sealed::Sealed for $address {}
        impl ToSocketAddrs for $address {
            fn target(&self) -> Target<'_> {
                known(*self)
            }
        }
    )*};
}

addresses!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);
