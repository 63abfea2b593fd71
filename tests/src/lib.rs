//! Nothing to use: this package holds the tests of the real binary, in `tests/it`.
