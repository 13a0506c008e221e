//! Unix signals: being asked to stop, and all others that a program may listen to.
//!
//! | to | take |
//! |---|---|
//! | stop a service: SIGINT or SIGTERM, and a second one ends it at once | [`shutdown_signal`] |
//! | wait for one SIGINT or one SIGTERM | [`ctrl_c`], [`terminate`] |
//! | hear of several signals, again and again | [`Signals`] |
//!
//! # What to expect
//!
//! - *Several listeners.* Each of them hears each signal, in whatever runtime or executor it is polled; none takes it from another. A
//!   listener needs no particular runtime: when the one that it waited in ends, it goes on in the next.
//! - *Coalescing.* As the system does with pending signals, a listener remembers *that* a signal came, not how often: of a hundred that come
//!   before it looks, it hears at least one and at most a hundred. Different signals come in the order of their numbers.
//! - *Before and after.* A listener hears what comes from its making on, not from its first poll. As long as somebody listens to a signal, it has
//!   no other effect. When the last listener is dropped, it does again what it does by default (SIGINT and SIGTERM: end the process), also where it was
//!   ignored when the program started. Keep one [`Signals`] rather than making a [`ctrl_c`] after the other: in between, Ctrl-C ends the program.
//! - *Handlers of others* stay in force: the handlers are signal-hook's, which calls those that it finds.
//!
//! # Never caught
//!
//! SIGKILL and SIGSTOP: the system does not let a program see them. SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGABRT and SIGTRAP tell of a fault
//! of the very instruction that runs; to go on after them would be undefined. SIGPIPE: Rust programs ignore it, and writes report `BrokenPipe` instead. SIGALRM,
//! SIGPROF and SIGVTALRM belong to whoever has set their timers.

mod defaults;
mod kind;
mod once;
mod shutdown;
mod stream;

pub use self::kind::Signal;
pub use self::once::{Arrival, ctrl_c, terminate};
pub use self::shutdown::{ShutdownSignal, shutdown_signal};
pub use self::stream::Signals;
