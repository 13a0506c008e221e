//! From and to `std`, `Async` and raw descriptors, the same for every socket type.

/// `$socket` is a wrapper around `Arc<Async<$std>>` with the field `inner`, and maybe others that have a default.
macro_rules! conversions {
    ($socket:ident, $std:ty $(, $other:ident)*) => {
        impl From<smolkit_runtime::Async<$std>> for $socket {
            fn from(io: smolkit_runtime::Async<$std>) -> $socket {
                $socket { inner: std::sync::Arc::new(io) $(, $other: Default::default())* }
            }
        }

        impl From<$socket> for std::sync::Arc<smolkit_runtime::Async<$std>> {
            fn from(socket: $socket) -> Self {
                socket.inner
            }
        }

        /// Sets the socket to non-blocking mode, which holds for all who share it, and registers it.
        ///
        /// # Errors
        ///
        /// As [`Async::new`](smolkit_runtime::Async::new).
        impl TryFrom<$std> for $socket {
            type Error = std::io::Error;

            fn try_from(io: $std) -> std::io::Result<$socket> {
                Ok($socket::from(smolkit_runtime::Async::new(io)?))
            }
        }

        /// As from the socket in `std`. Whether it is one of this type nobody checks: if not, its calls fail.
        ///
        /// # Errors
        ///
        /// As [`Async::new`](smolkit_runtime::Async::new).
        impl TryFrom<std::os::fd::OwnedFd> for $socket {
            type Error = std::io::Error;

            fn try_from(fd: std::os::fd::OwnedFd) -> std::io::Result<$socket> {
                $socket::try_from(<$std>::from(fd))
            }
        }

        /// The descriptor, in non-blocking mode. While other clones live it is a duplicate.
        ///
        /// # Errors
        ///
        /// EMFILE and the others of `dup(2)`, while other clones live; none otherwise.
        impl TryFrom<$socket> for std::os::fd::OwnedFd {
            type Error = std::io::Error;

            fn try_from(socket: $socket) -> std::io::Result<std::os::fd::OwnedFd> {
                match std::sync::Arc::try_unwrap(socket.inner) {
                    Ok(io) => io.into_inner().map(Into::into),
                    Err(shared) => std::os::fd::AsFd::as_fd(&*shared).try_clone_to_owned(),
                }
            }
        }

        /// The socket in `std`, in non-blocking mode. While other clones live it is a duplicate.
        ///
        /// # Errors
        ///
        /// EMFILE and the others of `dup(2)`, while other clones live; none otherwise.
        impl TryFrom<$socket> for $std {
            type Error = std::io::Error;

            fn try_from(socket: $socket) -> std::io::Result<$std> {
                std::os::fd::OwnedFd::try_from(socket).map(Into::into)
            }
        }

        impl std::os::fd::AsFd for $socket {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.inner.as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $socket {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&*self.inner)
            }
        }
    };
}

pub(crate) use conversions;
