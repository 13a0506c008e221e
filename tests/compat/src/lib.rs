//! Nothing but tests: the same programs on smolkit and on smol's crates, and their results compared.
